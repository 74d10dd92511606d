"""The picture of a series on which nothing was called: written where it is asked for, and it says what is said."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.analysis import Analysis
from inference.trust.statement import Conclusion, Statement
from reports.objects.results import write_results
from reports.objects.roles import ALWAYS

Series = Callable[..., list[Path]]
Analyse = Callable[..., Analysis]
Written = Callable[..., list[Dataset]]
ROLE = "negative_capture"


@pytest.fixture
def written(series: Series, analyse: Analyse, tmp_path: Path, created: datetime) -> Written:
    def make(objects: tuple[str, ...] = (*ALWAYS, ROLE), **options: object) -> list[Dataset]:
        results = write_results(analyse(series(3), **options), tmp_path / "out", created=created, objects=objects)
        return [dcmread(result.path) for result in results if result.role == ROLE]

    return make


def test_a_negative_has_a_capture_where_a_destination_asks_for_it_and_else_none(written: Written) -> None:
    assert len(written(found=False)) == 1
    assert written(ALWAYS, found=False) == []


def test_a_series_with_a_finding_has_none(written: Written) -> None:
    assert written(found=True) == []


@pytest.mark.parametrize("said", [Conclusion.NOTHING_FOUND, Conclusion.NO_STATEMENT])
def test_it_says_in_its_header_what_is_said_of_the_series(written: Written, said: Conclusion) -> None:
    distance = 1.7 if said is Conclusion.NO_STATEMENT else 0.6
    (capture,) = written(found=False, statement=Statement(said, ("The noise differs.",), {}, distance))
    assert capture.DerivationDescription.startswith("NOT FOR DIAGNOSTIC USE")
    assert said.value.capitalize() in capture.DerivationDescription
    assert "The noise differs." in capture.DerivationDescription
    assert (capture.PhotometricInterpretation, capture.BurnedInAnnotation) == ("RGB", "YES")
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.8.498.1.2", "the middle one"


def test_the_two_statements_are_different_pictures(written: Written) -> None:
    pictures = [
        written(found=False, statement=Statement(said, (), {}, distance))[0].pixel_array
        for said, distance in ((Conclusion.NOTHING_FOUND, 0.5), (Conclusion.NO_STATEMENT, 2.0))
    ]
    assert (pictures[0] != pictures[1]).any()


def test_it_is_the_same_to_the_byte_every_time(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    analysis = analyse(series(2), found=False)
    digests = {
        tuple(result.sha256 for result in write_results(analysis, tmp_path / name, created=created, objects=(ROLE,)))
        for name in ("first", "second")
    }
    assert len(digests) == 1


def test_dciodvfy_finds_no_error(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime, errors: Callable[[Path], list[str]]
) -> None:
    results = write_results(analyse(series(2), found=False), tmp_path / "out", created=created, objects=(ROLE,))
    (capture,) = [result.path for result in results if result.role == ROLE]
    assert errors(capture) == []

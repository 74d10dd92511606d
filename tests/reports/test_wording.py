"""Words are plain, short enough, and count planes as viewers do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from inference.analysis import Analysis
from inference.findings import Finding
from inference.passport.calibrator import Recalibration
from inference.passport.class_calibration import ClassCalibration
from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.objects.equipment import series_description
from reports.picture.typeface import SMALL, width, wrapped
from reports.wording import calibration, number, percent, plain, probability, shortened


@settings(max_examples=60)
@given(st.text())
def test_every_text_becomes_printable_ascii_of_one_line(text: str) -> None:
    assert all(" " <= character <= "~" and character != "\\" for character in plain(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("größer \u2013 3 \u00d7 4", "grosser - 3 x 4"), ("a\\b\nc", "a/b c"), ("Å", "A"), ("膠", "?")],
)
def test_letters_keep_as_much_as_they_can(text: str, expected: str) -> None:
    assert plain(text) == expected


@settings(max_examples=60)
@given(st.text(max_size=90), st.sampled_from([*Verdict, "nothing found", "TRUSTED/CAUTION"]))
def test_warning_and_conclusion_are_whole_in_every_series_description(name: str, conclusion: str) -> None:
    description = series_description(name, conclusion, "key images")
    assert len(description) <= 64
    assert description.endswith(f": {conclusion}, key images - NOT FOR DIAGNOSTIC USE")


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="abc XYZ-", max_size=200), st.integers(60, 500))
def test_wrapping_loses_nothing_and_fits(text: str, room: int) -> None:
    lines = wrapped(text, SMALL, room)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(width(line, SMALL) <= room for line in lines)


def test_numbers_that_are_none_are_dashes() -> None:
    assert [number(value) for value in (None, float("nan"), float("inf"), 0.126)] == ["-", "-", "-", "0.13"]


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "over 99 %"), (0.991, "over 99 %"), (0.969, "97 %"), (0.5, "50 %"), (0.01, "1 %"), (0.0, "under 1 %")],
)
def test_no_share_is_shown_as_certain(share: float, words: str) -> None:
    assert percent(share) == words


def test_a_probability_says_whether_it_is_calibrated() -> None:
    finding = Finding("glioma", 0, None, 0.985, 0.5, 0)
    assert probability(finding, None) == "probability 0.98 (not calibrated), threshold 0.50"
    assert probability(finding, 0.969) == "97 %, calibrated here (raw 0.98, threshold 0.50)"


def test_a_calibration_says_what_it_rests_on_or_why_there_is_none() -> None:
    line = Recalibration((0.0,), (0.0,), 1.0)
    made = ClassCalibration(recalibration=line, cases=467, with_class=17, without_class=16, cross_fitted=False)
    assert "467 cases of commissioning: 17 patients or groups with it, 16 with" in calibration("glioma", made)
    none = ClassCalibration(
        recalibration=None, reason="Why.", cases=9, with_class=1, without_class=2, cross_fitted=False
    )
    assert calibration("glioma", none) == "The probability of glioma is not calibrated here. Why."


def test_a_shortened_text_shows_that_it_is() -> None:
    assert shortened("abcdefgh", 6) == "abc..."
    assert shortened("abcdef", 6) == "abcdef"


def test_planes_are_counted_from_one_and_known_by_the_number_viewers_show(
    series: Callable[..., list[Path]], analyse: Callable[..., Analysis]
) -> None:
    def title(paths: list[Path], frame: int) -> str:
        return ExplainedPlane.of(analyse(paths, frame=frame), 0).plane.title

    assert title(series(3), 1) == "plane 2 of 3 (image 12)"
    assert title(series(1), 0) == "single image"
    assert title([Path(str(get_testdata_file("emri_small.dcm")))], 4).startswith("plane 5 of 10")

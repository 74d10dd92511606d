"""The presentation state draws peak and localiser on the source's own pixels, and nothing of a withheld map."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from inference.analysis import Analysis
from inference.trust.verdict import Verdict
from reports.objects.presentation import write
from reports.objects.request import WriteRequest
from reports.objects.uids import ResultUids
from reports.regions import MOST_POINTS, contours

Series = Callable[..., list[Path]]
Analyse = Callable[..., Analysis]
Errors = Callable[[Path], list[str]]


@pytest.fixture
def state(
    analyse: Analyse, request_of: Callable[[Analysis], WriteRequest], errors: Errors, tmp_path: Path
) -> Callable[..., Dataset]:
    """Write one for an analysis of these files, valid, and read it again."""

    def make(paths: list[Path], **options: object) -> Dataset:
        analysis = analyse(paths, **options)
        (made,) = write(request_of(analysis))
        assert made.SOPInstanceUID == ResultUids.of_analysis(analysis).instance("presentation_state", 0)
        made.save_as(tmp_path / "state.dcm", enforce_file_format=True)
        assert errors(tmp_path / "state.dcm") == []
        return dcmread(tmp_path / "state.dcm")

    return make


def layers(state: Dataset) -> dict[str, Dataset]:
    return {annotation.GraphicLayer: annotation for annotation in state.GraphicAnnotationSequence}


def test_the_ring_is_round_the_middle_of_the_peak_pixel(series: Series, state: Callable[..., Dataset]) -> None:
    on_frame = np.zeros((48, 40), np.float32)
    on_frame[7, 39] = 1.0  # at the right edge: the ring's own point must stay inside of the image
    (ring,) = layers(state(series(1), on_frame=on_frame))["PEAK"].GraphicObjectSequence
    assert (ring.GraphicType, ring.GraphicAnnotationUnits) == ("CIRCLE", "PIXEL")
    assert list(ring.GraphicData[:2]) == [39.5, 7.5]
    assert 0 <= ring.GraphicData[2] <= 40


def test_the_contour_runs_round_what_the_localiser_sees(series: Series, state: Callable[..., Dataset]) -> None:
    localiser = np.zeros((48, 40), np.float32)
    localiser[10:20, 5:15], localiser[0:4, 36:40] = 0.9, 0.6
    lines = layers(state(series(1), localiser=localiser))["LOCALISER"].GraphicObjectSequence
    reaches = sorted(
        (min(x), max(x), min(y), max(y)) for x, y in ((line.GraphicData[::2], line.GraphicData[1::2]) for line in lines)
    )
    assert reaches == [(5, 15, 10, 20), (36, 40, 0, 4)]


def test_the_words_are_the_verdict_its_first_reason_and_the_warning(
    series: Series, state: Callable[..., Dataset]
) -> None:
    shown = state(series(1), verdict=Verdict.CAUTION, score=0.6, reasons=("two replicates disagree.", "More."))
    (text,) = layers(shown)["VERDICT"].TextObjectSequence
    assert text.UnformattedTextValue.splitlines() == [
        "glioma: CAUTION", "Two replicates disagree.", "NOT FOR DIAGNOSTIC USE"
    ]  # fmt: skip


def test_a_withheld_map_has_its_words_and_nothing_drawn(series: Series, state: Callable[..., Dataset]) -> None:
    shown = state(series(1), verdict=Verdict.WITHHELD, localiser=np.ones((48, 40), np.float32))
    assert list(layers(shown)) == ["VERDICT"]
    assert "WITHHELD" in layers(shown)["VERDICT"].TextObjectSequence[0].UnformattedTextValue
    assert len(shown.GraphicLayerSequence) == 1


def test_nothing_is_drawn_where_nothing_speaks_for_the_finding(series: Series, state: Callable[..., Dataset]) -> None:
    shown = state(series(1), on_frame=np.zeros((48, 40), np.float32), localiser=np.zeros((48, 40), np.float32))
    assert list(layers(shown)) == ["VERDICT"]


def test_it_shows_the_source_as_the_source_wants_to_be_shown(series: Series, state: Callable[..., Dataset]) -> None:
    def change(header: Dataset) -> None:
        header.PhotometricInterpretation, header.PixelSpacing = "MONOCHROME1", [0.9, 0.5]
        header.WindowCenter, header.WindowWidth = [40, 300], [400, 1500]
        header.RescaleSlope, header.RescaleIntercept, header.RescaleType = 2, -1024, "HU"

    shown = state(series(1, change=change))
    (window,) = shown.SoftcopyVOILUTSequence
    assert (window.WindowCenter, window.WindowWidth) == (40, 400)
    assert (shown.RescaleSlope, shown.RescaleIntercept, shown.RescaleType) == (2, -1024, "HU")
    assert shown.PresentationLUTShape == "INVERSE"
    (area,) = shown.DisplayedAreaSelectionSequence
    assert list(area.PresentationPixelSpacing) == [0.9, 0.5]
    assert list(area.DisplayedAreaBottomRightHandCorner) == [40, 48]


def test_it_holds_for_the_frame_it_is_of(state: Callable[..., Dataset]) -> None:
    path = Path(str(get_testdata_file("emri_small.dcm")))
    shown, source = state([path], frame=3), dcmread(path, stop_before_pixels=True)
    for item in (shown.ReferencedSeriesSequence[0], *shown.GraphicAnnotationSequence):
        (reference,) = item.ReferencedImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
        assert reference.ReferencedFrameNumber == 4


def test_a_radiograph_has_one_too(state: Callable[..., Dataset]) -> None:
    assert list(layers(state([Path(str(get_testdata_file("RG1_UNCR.dcm")))]))) == ["PEAK", "VERDICT"]


def test_a_long_contour_is_cut_into_lines_that_meet() -> None:
    comb = np.zeros((8, 4000), np.float32)
    comb[1], comb[1:7, ::4], comb[1:7, 1::4] = 1, 1, 1
    lines = contours(comb)
    assert max(len(line) for line in lines) == MOST_POINTS
    assert len(lines) > 1
    for line, after in pairwise(lines):
        np.testing.assert_array_equal(line[-1], after[0])

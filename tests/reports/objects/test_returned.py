"""What a returned object says of our overlays, and what is no word of a radiologist."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from inference.errors import UnreadableInstance
from inference.reading.study import read_series
from reports.objects.returned import Said, Shown, read_returned
from tests.reports.objects import remarks
from tests.reports.objects.remarks import code, group, item, region, report, says, shows

PEAK = (19, 24)
FINDING, NO, GLIOMA = code("121071", "DCM", "Finding"), code("373067005"), code("393564001")
SQUARE = [20, 15, 29, 15, 29, 24, 20, 24, 20, 15]
"""Column and row, round the peak."""
CAPTURE, REPORT = "1.2.3.1", "1.2.3.2"


class Overlaid:
    """One plane of a series, and what of it is shown."""

    def __init__(self, paths: list[Path], folder: Path) -> None:
        image = read_series(paths)
        self.source = remarks.header(image.frames[0].path)
        self.shown = Shown(CAPTURE, REPORT, image.frames[0], (48, 40), PEAK, "glioma", "393564001")
        self.capture = item(SOPClassUID="1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID=CAPTURE)
        self.report = item(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.34", SOPInstanceUID=REPORT)
        self.path = folder / "returned.dcm"

    def read(self, returned: Dataset, *further: Shown) -> list[Said]:
        return list(read_returned(remarks.save(returned, self.path), [self.shown, *further]))

    def mask(self, row: int, column: int) -> np.ndarray:
        drawn = np.zeros((48, 40), bool)
        drawn[row : row + 5, column : column + 5] = True
        return drawn


ACCEPTED = [Said(CAPTURE, "accept")]
REJECTED = [Said(CAPTURE, "reject")]


@pytest.fixture
def overlaid(series: Callable[..., list[Path]], tmp_path: Path) -> Overlaid:
    return Overlaid(series(), tmp_path)


def test_a_segmentation_accepts_the_peak_within_5_mm_of_it_and_else_says_where_the_finding_is(
    overlaid: Overlaid,
) -> None:
    source = overlaid.source
    assert overlaid.read(remarks.segmentation(source, overlaid.mask(17, 22))) == ACCEPTED
    assert overlaid.read(remarks.segmentation(source, overlaid.mask(PEAK[0] + 5, 24))) == ACCEPTED, "5 rows: 4.5 mm"
    assert overlaid.read(remarks.segmentation(source, overlaid.mask(PEAK[0] + 6, 24))) == [
        Said(CAPTURE, "elsewhere", (27, 26))
    ], "6 rows: 5.4 mm"


def test_without_pixel_spacing_the_peak_must_lie_inside(overlaid: Overlaid) -> None:
    overlaid.shown = replace(overlaid.shown, frame=replace(overlaid.shown.frame, pixel_spacing_mm=None))
    assert overlaid.read(remarks.segmentation(overlaid.source, overlaid.mask(19, 24))) == ACCEPTED
    assert overlaid.read(remarks.segmentation(overlaid.source, overlaid.mask(20, 24)))[0].word == "elsewhere"


@pytest.mark.parametrize(
    ("kind", "points", "said"),
    [
        ("CIRCLE", [24.5, 19.5, 30, 19.5], ACCEPTED),
        ("CIRCLE", [6.5, 6.5, 10, 6.5], [Said(CAPTURE, "elsewhere", (5, 5))]),  # its middle, to a pixel
        ("ELLIPSE", [18, 19, 31, 19, 24, 14, 24, 24], ACCEPTED),
        ("POLYLINE", SQUARE, ACCEPTED),
        ("INTERPOLATED", SQUARE, ACCEPTED),
        ("POINT", [24.5, 19.5], ACCEPTED),
        ("POINT", [2.5, 40.5], [Said(CAPTURE, "elsewhere", (40, 2))]),
        ("POLYLINE", [0, 0, 10, 0], []),
        ("POLYLINE", SQUARE[:-2], []),
    ],
)
def test_a_closed_graphic_is_a_region_and_a_measured_line_is_none(
    kind: str, points: list[float], said: list[Said], overlaid: Overlaid
) -> None:
    assert overlaid.read(remarks.presentation_state(overlaid.source, kind, points)) == said
    if kind != "INTERPOLATED":
        assert overlaid.read(report(overlaid.source, group(region(overlaid.source, kind, points)))) == said


def denials(one: Overlaid) -> dict[str, Dataset]:
    source, presence = one.source, code("705057003")
    return {
        "no finding beside our capture": report(source, group(shows(one.capture), says(FINDING, NO))),
        "the finding by its own name": report(source, group(shows(source), says(GLIOMA, NO))),
        "a finding that is modified": report(source, group(shows(source), says(FINDING, GLIOMA, says(presence, NO)))),
        "old codes": report(source, says(FINDING, code("R-00339", "SRT")), evidence=[one.report]),
        "absent": report(source, group(says(presence, code("2667000"))), evidence=[one.capture]),
        "rejected for quality": remarks.rejection(source, one.capture),
    }


@pytest.mark.parametrize("which", range(6))
def test_a_report_that_denies_the_finding_rejects_the_overlay(which: int, overlaid: Overlaid) -> None:
    name, returned = list(denials(overlaid).items())[which]
    assert overlaid.read(returned) == REJECTED, name


def silent(one: Overlaid) -> dict[str, Dataset]:
    source, device = one.source, says(code("121005", "DCM"), code("121007", "DCM"))
    return {
        "another question": report(source, group(shows(source), says(code("77386006"), NO))),
        "another finding": report(source, group(shows(source), says(FINDING, code("36118008"), says(FINDING, NO)))),
        "no overlay is named": report(source, says(FINDING, NO), evidence=[source]),
        "another algorithm": report(source, device, group(shows(one.capture), says(FINDING, NO))),
        "rejected for another reason": remarks.rejection(source, one.capture, "113039"),
        "an automatic segment": remarks.segmentation(source, one.mask(0, 0), drawn="AUTOMATIC"),
        "anatomy": remarks.segmentation(source, one.mask(0, 0), category="123037004"),
        "another grid": remarks.segmentation(source, np.ones((40, 48), bool)),
    }


@pytest.mark.parametrize("which", range(8))
def test_what_is_no_persons_word_on_the_finding_says_nothing(which: int, overlaid: Overlaid) -> None:
    name, returned = list(silent(overlaid).items())[which]
    assert overlaid.read(returned) == [], name


def test_of_two_findings_on_a_plane_a_region_speaks_of_the_one_it_names(overlaid: Overlaid) -> None:
    other = replace(overlaid.shown, capture="1.2.3.9", label="meningioma", code="302820008")
    far = overlaid.mask(40, 1)
    assert overlaid.read(remarks.segmentation(overlaid.source, far), other) == [Said(CAPTURE, "elsewhere", (42, 3))]
    assert overlaid.read(remarks.presentation_state(overlaid.source, "POLYLINE", SQUARE), other) == []


def cut(returned: Dataset) -> Dataset:
    returned.PixelData = returned.PixelData[: len(returned.PixelData) // 2]
    return returned


def without_segments(returned: Dataset) -> Dataset:
    del returned.SegmentSequence
    return returned


HOSTILE: dict[str, Callable[[Overlaid], Dataset]] = {
    "cut pixels": lambda one: cut(remarks.segmentation(one.source, one.mask(0, 0))),
    "no segments": lambda one: without_segments(remarks.segmentation(one.source, one.mask(0, 0))),
    "too many points": lambda one: report(one.source, region(one.source, "POLYLINE", [1.0] * 16_200)),
    "an odd number of them": lambda one: report(one.source, region(one.source, "POLYLINE", [1.0] * 9)),
    "no numbers": lambda one: report(one.source, region(one.source, "CIRCLE", [float("nan")] * 4)),
    "no concept": lambda one: report(one.source, item(ValueType="CODE", ConceptNameCodeSequence=[FINDING])),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_object_is_one_sentence_that_quotes_nothing_of_it(kind: str, overlaid: Overlaid) -> None:
    returned: Any = HOSTILE[kind](overlaid)
    if kind == "no concept":
        returned.CurrentRequestedProcedureEvidenceSequence = report(
            overlaid.source, evidence=[overlaid.capture]
        ).CurrentRequestedProcedureEvidenceSequence
    with pytest.raises(UnreadableInstance, match=r"cannot be read") as raised:
        overlaid.read(returned)
    assert "CANARY" not in str(raised.value)


def test_a_thousand_regions_far_away_are_read_within_bounds(overlaid: Overlaid) -> None:
    many = [region(overlaid.source, "POLYLINE", [1e30, 1e30, -1e30, 1e30, 1e30, -1e30, 1e30, 1e30])] * 1000
    assert len(overlaid.read(report(overlaid.source, *many))) <= 1


def test_what_is_no_dicom_is_not_read(overlaid: Overlaid) -> None:
    overlaid.path.write_bytes(b"%PDF-1.7" * 100)
    with pytest.raises(UnreadableInstance, match="InvalidDicomError"):
        read_returned(overlaid.path, [overlaid.shown])

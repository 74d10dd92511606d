"""The segmentation switches on and off what a map marks, over its source, and claims nothing that is not measured."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import segread
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from inference.analysis import Analysis, Explanation
from inference.trust.verdict import Verdict
from reports.objects.request import WriteRequest
from reports.objects.results import left_out, write_results
from reports.objects.segmentation import hottest, write
from reports.objects.uids import ResultUids
from reports.regions import marked

Series = Callable[..., list[Path]]
Analyse = Callable[..., Analysis]
Errors = Callable[[Path], list[str]]
Made = Callable[[Analysis], Dataset]
SHAPE = (48, 40)


@pytest.fixture
def made(request_of: Callable[[Analysis], WriteRequest], errors: Errors, tmp_path: Path) -> Made:
    """Write that of an analysis, valid, and read it again."""

    def make(analysis: Analysis) -> Dataset:
        (segmentation,) = write(request_of(analysis))
        segmentation.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
        assert errors(tmp_path / "seg.dcm") == []
        return segread(tmp_path / "seg.dcm")

    return make


@pytest.fixture
def seen() -> np.ndarray:
    localiser = np.zeros(SHAPE, np.float32)
    localiser[10:20, 5:15], localiser[30, 30] = 0.9, 0.4
    return localiser


def on_two_planes(analysis: Analysis, *frames: int) -> Analysis:
    """Give the analysis its explanation on each of these planes, the first as its first."""
    first = analysis.explanations[0]
    shown = [replace(first.map, frame=frame, finding=replace(first.map.finding, position=frame)) for frame in frames]
    return replace(analysis, explanations=tuple(Explanation(map_, first.trust) for map_ in shown))


def test_its_segments_are_the_region_the_hottest_shares_and_the_localiser_each_in_its_place(
    series: Series, analyse: Analyse, made: Made, seen: np.ndarray
) -> None:
    rows, columns = np.mgrid[:48, :40]
    without_ties = np.exp(-((rows - 19.3) ** 2 + (columns - 24.4) ** 2 + rows * columns / 77) / 60)
    analysis = analyse(series(3), frame=1, on_frame=without_ties, localiser=seen)
    read, shown = made(analysis), analysis.explanations[0].map
    assert [item.SegmentLabel for item in read.SegmentSequence] == [
        "Glioma, image 12: region the map marks",
        "Glioma, image 12: hottest 1 % of the map",
        "Glioma, image 12: hottest 5 % of the map",
        "Glioma, image 12: hottest 20 % of the map",
        "Glioma, image 12: seen by the localiser",
    ]
    source = dcmread(series(3)[1]).SOPInstanceUID
    pixels = read.get_pixels_by_source_instance([source])[0]
    np.testing.assert_array_equal(pixels[..., 0] > 0, marked(shown.on_frame, shown.peak))
    for number, per_cent in enumerate((1, 5, 20), 1):
        place = pixels[..., number] > 0
        assert place.sum() == round(48 * 40 * per_cent / 100)
        assert shown.on_frame[place].min() > shown.on_frame[~place].max()
    np.testing.assert_array_equal(pixels[..., 4] > 0, seen >= 0.5)


def test_it_is_binary_overlapping_and_no_probability(
    series: Series, analyse: Analyse, made: Made, seen: np.ndarray
) -> None:
    read = made(analyse(series(1), localiser=seen))
    assert (read.SOPClassUID, read.Modality, read.SegmentationType) == (SegmentationStorage, "SEG", "BINARY")
    assert read.SegmentsOverlap == "YES"
    assert "SegmentationFractionalType" not in read
    kinds = [item.SegmentedPropertyTypeCodeSequence[0].value for item in read.SegmentSequence]
    assert kinds == [
        "marked_region", "hottest_1_percent", "hottest_5_percent", "hottest_20_percent", "localised_region"
    ]  # fmt: skip
    assert len({tuple(item.RecommendedDisplayCIELabValue) for item in read.SegmentSequence}) == 5


def test_a_segment_carries_the_tracking_of_its_finding_in_the_report(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime, seen: np.ndarray
) -> None:
    analysis = on_two_planes(analyse(series(3), localiser=seen), 2, 0)
    results = write_results(analysis, tmp_path / "out", created=created, objects=["segmentation"])
    by_role = {result.role: dcmread(result.path) for result in results}
    report, segmentation = by_role["report"], by_role["segmentation"]
    groups = [
        {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in group.ContentSequence}
        for section in report.ContentSequence
        if section.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
        for group in section.ContentSequence
    ]
    tracked = [(group["Tracking Unique Identifier"].UID, group["Tracking Identifier"].TextValue) for group in groups]
    segments = [(item.TrackingUID, item.TrackingID) for item in segmentation.SegmentSequence]
    assert sorted(dict.fromkeys(segments)) == sorted(tracked)
    assert [segments.count(pair) for pair in tracked] == [5, 5]


def uneven(slice_: Dataset) -> None:
    slice_.ImagePositionPatient = [-10, -20, (slice_.InstanceNumber - 11) ** 3]


def downwards(slice_: Dataset) -> None:
    slice_.InstanceNumber = 24 - slice_.InstanceNumber


@pytest.mark.parametrize(
    ("change", "first", "then"),
    [(None, 2, 0), (downwards, 2, 0), (uneven, 0, 2)],
    ids=["from the far end", "whatever the numbers", "by number where uneven"],
)
def test_segments_come_in_the_order_in_which_ohif_stacks_the_slices_on_the_planes_they_are_of(
    series: Series, analyse: Analyse, made: Made, change: Callable[[Dataset], None] | None, first: int, then: int
) -> None:
    paths = series(3, change=change)
    read = made(on_two_planes(analyse(paths), 2, 0))
    sources = [dcmread(paths[place]) for place in (first, then)]
    expected = [f"Glioma, image {source.InstanceNumber}" for source in sources]
    assert [item.SegmentLabel.split(":")[0] for item in read.SegmentSequence[::4]] == expected
    for place, source in enumerate(sources):
        pixels = read.get_pixels_by_source_instance([source.SOPInstanceUID])[0]
        assert [bool(pixels[..., number].any()) for number in range(8)] == [place == 0] * 4 + [place == 1] * 4


def test_nothing_is_marked_of_a_map_that_is_withheld_and_it_is_said(
    series: Series, analyse: Analyse, request_of: Callable[[Analysis], WriteRequest], seen: np.ndarray
) -> None:
    analysis = analyse(series(1), verdict=Verdict.WITHHELD, localiser=seen)
    assert list(write(request_of(analysis))) == []
    assert left_out(analysis, ["segmentation"]) == ("No segments of glioma on single image: the map is withheld.",)


def test_a_map_that_speaks_for_nothing_has_no_segment(
    series: Series, analyse: Analyse, request_of: Callable[[Analysis], WriteRequest]
) -> None:
    analysis = analyse(series(1), on_frame=np.full(SHAPE, -1.0))
    assert list(write(request_of(analysis))) == []
    assert left_out(analysis, ["segmentation"])[0].endswith("neither map nor localiser marks a place.")


def test_only_what_speaks_for_the_class_is_hot() -> None:
    on_frame = np.zeros((10, 10), np.float32)
    on_frame[3, 3:6] = [1, 2, 3]
    assert np.argwhere(hottest(on_frame, 1)).tolist() == [[3, 5]]
    assert hottest(on_frame, 20).sum() == 3


def test_a_radiograph_without_a_place_has_its_segments(analyse: Analyse, made: Made) -> None:
    read = made(analyse([Path(str(get_testdata_file("RG1_UNCR.dcm")))]))
    assert [item.SegmentLabel for item in read.SegmentSequence][:2] == [
        "Glioma: region the map marks", "Glioma: hottest 1 % of the map"
    ]  # fmt: skip


def test_a_second_writing_gives_the_same_bytes(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    analysis = analyse(series(2))
    digests = [
        [result.sha256 for result in write_results(analysis, tmp_path / name, created=created, objects=wanted)]
        for name in ("first", "second")
        for wanted in [["segmentation", "parametric_map"]]
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 4
    assert ResultUids.of_analysis(analysis).series("segmentation")

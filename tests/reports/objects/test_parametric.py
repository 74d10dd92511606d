"""The parametric map is the raw map to the bit, where the source lies, and is not made of what is withheld."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, ParametricMapStorage

from inference.analysis import Analysis, Explanation
from inference.trust.verdict import Verdict
from reports.objects.parametric import NO_MAP, write
from reports.objects.request import WriteRequest
from reports.objects.results import ResultObject, left_out, write_results
from reports.objects.uids import ResultUids

Series = Callable[..., list[Path]]
Analyse = Callable[..., Analysis]
Errors = Callable[[Path], list[str]]
Made = Callable[[Analysis], Dataset]
WANTED = frozenset(("capture", "report", "parametric_map"))


def maps(results: tuple[ResultObject, ...]) -> list[ResultObject]:
    return [result for result in results if result.role == "parametric_map"]


@pytest.fixture
def made(
    request_of: Callable[[Analysis], WriteRequest], errors: Errors, tmp_path: Path
) -> Callable[[Analysis], Dataset]:
    """Write that of the first explanation, valid, and read it again."""

    def make(analysis: Analysis) -> Dataset:
        (image,) = write(request_of(analysis))
        image.save_as(tmp_path / "map.dcm", enforce_file_format=True)
        assert errors(tmp_path / "map.dcm") == []
        return dcmread(tmp_path / "map.dcm")

    return make


@pytest.fixture
def signed() -> np.ndarray:
    return np.random.default_rng(7).normal(0, 1e-4, (48, 40)).astype(np.float32)


def test_its_values_are_the_raw_map_to_the_bit(
    series: Series, analyse: Analyse, made: Made, signed: np.ndarray
) -> None:
    read = made(analyse(series(3), frame=1, on_frame=signed))
    np.testing.assert_array_equal(read.pixel_array[1].view(np.uint32), signed.view(np.uint32))
    (mapping,) = read.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == signed.min()
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == signed.max()
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue == "130403"


def test_it_lies_where_its_source_lies_and_points_at_it(series: Series, analyse: Analyse, made: Made) -> None:
    paths = series(3)
    analysis, source = analyse(paths, frame=2), dcmread(paths[2])
    read, uids = made(analysis), ResultUids.of_analysis(analysis)
    shared, frame = read.SharedFunctionalGroupsSequence[0], read.PerFrameFunctionalGroupsSequence[2]
    assert frame.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == source.ImageOrientationPatient
    assert shared.PixelMeasuresSequence[0].PixelSpacing == source.PixelSpacing
    assert shared.PixelMeasuresSequence[0].SliceThickness == source.SliceThickness
    assert read.FrameOfReferenceUID == source.FrameOfReferenceUID
    (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == source.SOPClassUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert (read.StudyInstanceUID, read.PatientID) == (source.StudyInstanceUID, source.PatientID)
    assert (read.SOPClassUID, read.SOPInstanceUID) == (ParametricMapStorage, uids.instance("parametric_map", "stack 0"))
    assert read.SeriesInstanceUID == uids.series("parametric_map")
    assert read.ContentQualification == "RESEARCH"
    assert "NOT FOR DIAGNOSTIC USE" in read.DerivationDescription


def test_every_plane_of_the_stack_has_a_frame_along_the_normal_and_those_without_a_map_say_so(
    series: Series, analyse: Analyse, made: Made, signed: np.ndarray
) -> None:
    upside_down = series(4, change=lambda header: setattr(header, "ImageOrientationPatient", [1, 0, 0, 0, -1, 0]))
    analysis = analyse(upside_down, frame=1, on_frame=signed)
    read = made(analysis)
    groups = read.PerFrameFunctionalGroupsSequence
    heights = [float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in groups]
    assert heights == [15, 10, 5, 0]  # the normal of [1, 0, 0, 0, -1, 0] points to the feet
    (shown,) = (index for index, height in enumerate(heights) if height == analysis.image.frames[1].position_mm[2])
    np.testing.assert_array_equal(read.pixel_array[shown], signed)
    assert not read.pixel_array[[index for index in range(4) if index != shown]].any()
    comments = [str(group.FrameContentSequence[0].FrameComments) for group in groups]
    assert "Verdict on the map" in comments[shown]
    assert comments.count(NO_MAP) == 3
    sources = [group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for group in groups]
    assert sources == [dcmread(path).SOPInstanceUID for path in reversed(upside_down)]


def test_a_stack_too_large_gets_frames_of_the_explained_planes_alone(
    series: Series, analyse: Analyse, made: Made, signed: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.objects.parametric.MOST_BYTES", 2 * signed.nbytes)
    read = made(analyse(series(3), frame=1, on_frame=signed))
    assert read.NumberOfFrames == 1
    np.testing.assert_array_equal(read.pixel_array, signed)


def test_the_planes_of_one_finding_share_an_object_and_each_finding_has_its_series(
    series: Series, analyse: Analyse, request_of: Callable[[Analysis], WriteRequest], signed: np.ndarray
) -> None:
    analysis = analyse(series(3), frame=2, on_frame=signed)
    (first,) = analysis.explanations
    other = replace(first.map, finding=replace(first.map.finding, label="metastasis"))
    further = replace(first.map, frame=0, on_frame=-signed)
    analysis = replace(
        analysis, explanations=tuple(Explanation(one, first.trust) for one in (first.map, further, other))
    )
    glioma, metastasis = write(request_of(analysis))
    assert glioma.SeriesInstanceUID != metastasis.SeriesInstanceUID
    assert glioma.SOPInstanceUID != metastasis.SOPInstanceUID
    planes = np.frombuffer(glioma.FloatPixelData, np.float32).reshape(3, *signed.shape)
    np.testing.assert_array_equal(planes, [-signed, np.zeros_like(signed), signed])
    assert not np.frombuffer(metastasis.FloatPixelData, np.float32).reshape(planes.shape)[:2].any()


def test_a_frame_of_a_multi_frame_source_is_named(analyse: Analyse, made: Made, tmp_path: Path) -> None:
    source = dcmread(get_testdata_file("emri_small.dcm"))
    groups = []
    for number in range(source.NumberOfFrames):
        position, orientation, measures, group = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [1, 2, 3.5 * number]
        orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        measures.PixelSpacing, measures.SliceThickness = [1.5, 1.25], 3
        group.PlanePositionSequence, group.PlaneOrientationSequence = [position], [orientation]
        group.PixelMeasuresSequence = [measures]
        groups.append(group)
    source.PerFrameFunctionalGroupsSequence = groups
    source.save_as(tmp_path / "enhanced.dcm")
    analysis = analyse([tmp_path / "enhanced.dcm"], frame=4)
    read = made(analysis)
    frame = read.PerFrameFunctionalGroupsSequence[4]
    (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
    assert reference.ReferencedFrameNumber == analysis.image.frames[4].frame_number == 5
    assert reference.ReferencedSOPClassUID == EnhancedMRImageStorage
    assert list(frame.PlanePositionSequence[0].ImagePositionPatient) == [1, 2, 14]
    assert read.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 3


def test_no_map_is_made_of_what_is_withheld(
    series: Series, analyse: Analyse, tmp_path: Path, created: datetime
) -> None:
    analysis = analyse(series(1), verdict=Verdict.WITHHELD)
    assert maps(write_results(analysis, tmp_path / "out", created=created, objects=WANTED)) == []
    assert left_out(analysis, WANTED) == ("No parametric map of glioma on single image: the map is withheld.",)


def test_a_source_without_a_place_has_none_and_says_why(analyse: Analyse) -> None:
    analysis = analyse([Path(str(get_testdata_file("RG1_UNCR.dcm")))])
    (reason,) = left_out(analysis, WANTED)
    assert reason.endswith("the source image does not say where in the patient its pixels lie.")
    assert left_out(analysis, ["capture", "report"]) == ()


@pytest.mark.parametrize("value", [0.0, -2.5])
def test_a_map_of_one_value_has_no_error(series: Series, analyse: Analyse, made: Made, value: float) -> None:
    flat = np.full((48, 40), value, np.float32)
    np.testing.assert_array_equal(made(analyse(series(1), on_frame=flat)).pixel_array, flat)


def test_a_source_without_slice_thickness_has_no_error(series: Series, analyse: Analyse, made: Made) -> None:
    made(analyse(series(1, change=lambda header: delattr(header, "SliceThickness"))))

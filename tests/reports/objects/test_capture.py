"""The Secondary Capture says what it is, what it came from, and nothing it does not know."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from inference.analysis import Analysis
from inference.saliency import methods
from reports.objects.codes import explanation_type
from reports.objects.results import write_results
from tests.reports import made_up

Series = Callable[..., list[Path]]
Analyse = Callable[..., Analysis]
Made = Callable[..., Dataset]


@pytest.fixture
def made(analyse: Analyse, tmp_path: Path, created: datetime) -> Made:
    def make(paths: list[Path], **options: object) -> Dataset:
        return dcmread(write_results(analyse(paths, **options), tmp_path / "out", created=created)[0].path)

    return make


def test_it_can_be_shown_by_every_viewer(capture_of_mr: Dataset) -> None:
    assert (
        capture_of_mr.PhotometricInterpretation,
        capture_of_mr.SamplesPerPixel,
        capture_of_mr.PlanarConfiguration,
    ) == ("RGB", 3, 0)
    assert (
        capture_of_mr.BitsAllocated,
        capture_of_mr.BitsStored,
        capture_of_mr.HighBit,
        capture_of_mr.PixelRepresentation,
    ) == (8, 8, 7, 0)
    assert capture_of_mr.pixel_array.shape == (capture_of_mr.Rows, capture_of_mr.Columns, 3)


def test_it_says_that_it_is_derived_burned_in_and_research(capture_of_mr: Dataset) -> None:
    assert list(capture_of_mr.ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert capture_of_mr.BurnedInAnnotation == "YES"
    assert capture_of_mr.RecognizableVisualFeatures == "NO"
    assert capture_of_mr.ConversionType == "WSD"
    assert capture_of_mr.ContentQualification == "RESEARCH"
    assert capture_of_mr.Modality == "OT"
    assert "glioma" in capture_of_mr.DerivationDescription
    assert "UNCOMMISSIONED" in capture_of_mr.DerivationDescription


def test_it_claims_no_geometry_that_its_grid_does_not_have(capture_of_mr: Dataset) -> None:
    for keyword in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        assert keyword not in capture_of_mr
    assert list(capture_of_mr.PatientOrientation) == ["L", "P"]


def test_every_method_of_the_registry_has_its_kind_of_explanation() -> None:
    kinds = {method.name: explanation_type(method.name).value for method in methods()}
    activation = {"scorecam": "130402"}
    cams = ("gradcam", "smoothed_gradcam", "gradcam_plus_plus", "guided_gradcam", "class_mixture")
    weighted = dict.fromkeys(cams, "130403")
    assert {name: kind for name, kind in kinds.items() if kind != "130404"} == {**activation, **weighted}
    assert {"xrai", "gradient", "integrated_gradients", "occlusion", "attention", "random"} <= set(kinds)


def test_its_derivation_is_coded_by_the_standard(series: Series, made: Made) -> None:
    (derivation,) = made(series(1), method="xrai").DerivationCodeSequence
    assert (derivation.CodeValue, derivation.CodingSchemeDesignator) == ("130404", "DCM")


def test_it_says_the_probability_and_whether_it_is_calibrated(series: Series, made: Made) -> None:
    raw, calibrated = (made(series(1), statement=said).DerivationDescription for said in (None, made_up.CALIBRATED))
    assert "Saliency map for glioma: probability 0.97 (not calibrated), threshold 0.50; on single image" in raw
    assert "Saliency map for glioma: 92 %, calibrated here (raw 0.97, threshold 0.50); on single image" in calibrated


def test_it_points_at_the_plane_it_shows(series: Series, made: Made) -> None:
    paths = series(3)
    (source,) = made(paths, frame=2).SourceImageSequence
    assert source.ReferencedSOPInstanceUID == dcmread(paths[2]).SOPInstanceUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert source.SpatialLocationsPreserved == "NO"
    assert "ReferencedFrameNumber" not in source


def test_it_points_at_the_frame_it_shows(made: Made) -> None:
    path = Path(str(get_testdata_file("emri_small.dcm")))
    (source,) = made([path], frame=4).SourceImageSequence
    assert source.ReferencedSOPInstanceUID == dcmread(path).SOPInstanceUID
    assert 1 <= source.ReferencedFrameNumber <= int(dcmread(path).NumberOfFrames)


def test_it_names_who_made_it(capture_of_mr: Dataset) -> None:
    (equipment,) = capture_of_mr.ContributingEquipmentSequence
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert equipment.Manufacturer == "heatproof"
    assert "glioma_flair 1.0.0" in equipment.SoftwareVersions


def test_lossy_compression_of_the_source_is_not_forgotten(series: Series, made: Made) -> None:
    def lossy(header: Dataset) -> None:
        header.LossyImageCompression, header.LossyImageCompressionRatio = "01", [12.5]
        header.LossyImageCompressionMethod = "ISO_10918_1"

    capture = made(series(1, change=lossy))
    assert (capture.LossyImageCompression, capture.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert float(capture.LossyImageCompressionRatio) == 12.5


@pytest.mark.parametrize(("part", "side", "expected"), [("BRAIN", "", None), ("KNEE", "L", "L"), ("KNEE", "", "")])
def test_sides_are_told_of_paired_parts_only(
    series: Series, made: Made, part: str, side: str, expected: str | None
) -> None:
    def change(header: Dataset) -> None:
        header.BodyPartExamined, header.Laterality = part, side

    assert (made(series(1, change=change)).get("Laterality", None)) == (
        expected if expected is None else expected or ""
    )

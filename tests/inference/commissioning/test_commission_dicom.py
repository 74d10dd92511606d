"""Annotations as DICOM: segmentations, structure sets and report regions give the cases the labels.csv folder gives."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from inference.bundle.bundle import Bundle, load_bundle
from inference.cases.annotated_dicom import read_annotated_dicom
from inference.cases.cases import gather
from inference.cases.labels_folder import read_labels_folder
from inference.commissioning.commission import add_verdict, commission
from inference.errors import Unsuitable
from inference.passport.acquisitions import SeenNumbers, SeenWords
from inference.passport.passport import sealed
from inference.porting.seal import seal
from inference.reading.elements.acquisition import UNSTATED
from tests.inference.conftest import _uid, copy_bundle, write_plane

from .annotated import SMALL, Patient, patients, read_rows, write_labels, write_rows


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Bundle:
    torch.set_num_threads(1)
    folder = copy_bundle(tiny_bundle, tmp_path_factory.mktemp("commission") / "tiny")
    seal(folder)
    return load_bundle(folder)


def write_images(folder: Path, person: Patient) -> list[Path]:
    """Write one series whose window shows 0 as black and 255 as white."""
    folder.mkdir(parents=True)
    series = _uid("series", person.name)
    return [
        write_plane(
            folder / f"{person.name}_{number}.dcm",
            image.astype(np.uint16),
            PatientID=person.name,
            PatientName="",
            PatientBirthDate="",
            PatientSex="",
            StudyDate="",
            StudyTime="",
            StudyID="",
            AccessionNumber="",
            ReferringPhysicianName="",
            Manufacturer="",
            SeriesNumber=1,
            StudyInstanceUID=_uid("study", person.name),
            SeriesInstanceUID=series,
            FrameOfReferenceUID=_uid("frame", person.name),
            InstanceNumber=number,
            SliceThickness=5,
            ImagePositionPatient=[0, 0, 5.0 * number],
            WindowCenter=128,
            WindowWidth=256,
            RepetitionTime=9000,
            EchoTime=102,
            InversionTime=2500,
            ContrastBolusAgent="NONE",
        )
        for number, image in enumerate(person.images, start=1)
    ]


def write_segmentation(paths: Sequence[Path], masks: np.ndarray, path: Path, label: str = "lesion") -> None:
    code = Code("52988006", "SCT", "Lesion")
    algorithm = AlgorithmIdentificationSequence("drawn by hand", Code("123109", "DCM", "Manual Processing"), "1")
    described = SegmentDescription(
        segment_number=1,
        segment_label=label,
        segmented_property_category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
        segmented_property_type=code,
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=algorithm,
    )
    Segmentation(
        source_images=[dcmread(one) for one in paths],
        pixel_array=masks.astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[described],
        series_instance_uid=_uid("seg series", path.name),
        series_number=2,
        sop_instance_uid=_uid("seg", path.name),
        instance_number=1,
        manufacturer="tests",
        manufacturer_model_name="tests",
        software_versions="1",
        device_serial_number="1",
    ).save_as(path)


def write_site(folder: Path, people: Sequence[Patient]) -> Path:
    for person in people:
        place = folder / person.split / person.name
        paths = write_images(place, person)
        write_segmentation(paths, person.masks, place / f"seg_{person.name}.dcm")
    return folder


def cases_of(bundle: Bundle, found: Any, folder: Path) -> Any:
    return gather(bundle, found, folder)


def test_segmentations_give_the_cases_of_the_labels_folder_to_the_bit(tiny: Bundle, tmp_path: Path) -> None:
    people = patients(per_split=2)
    labels = write_labels(tmp_path / "labels", people)
    site = write_site(tmp_path / "dicom", people)
    one = cases_of(tiny, read_labels_folder(labels, SMALL.splits, is_volume=False), tmp_path / "one")
    two = cases_of(tiny, read_annotated_dicom(site, SMALL.splits, tiny), tmp_path / "two")
    assert two.digest == one.digest
    assert two.excluded == one.excluded == ()
    assert {case.acquisition for case in one.entries} == {UNSTATED}
    assert {case.acquisition.echo_time_ms for case in two.entries} == {102}
    assert [case.id for case in two.entries] == [case.id for case in one.entries]
    positions = range(len(one.entries))
    assert np.array_equal(one.masks_of(positions), two.masks_of(positions))
    assert np.array_equal(one.inputs_of(positions), two.inputs_of(positions))


@pytest.mark.slow
def test_a_site_with_segmentations_gets_its_labels_folders_passport_and_what_headers_say(
    tiny: Bundle, tmp_path: Path
) -> None:
    people = patients()
    labels = write_labels(tmp_path / "labels", people)
    write_rows(labels, [{**row, "patient": row["group"]} for row in read_rows(labels)])
    site = write_site(tmp_path / "dicom", people)
    settings = replace(SMALL, methods=("gradcam",))
    one = commission(
        tiny, lambda _, splits: read_labels_folder(labels, splits, is_volume=False), settings, tmp_path / "one"
    ).passport
    two = commission(tiny, lambda b, splits: read_annotated_dicom(site, splits, b), settings, tmp_path / "two").passport
    assert one.acquisition == {}
    assert two.acquisition["echo_time_ms"] == SeenNumbers(patients=6, low=102, high=102)
    assert two.acquisition["inversion_recovery"] == SeenWords(patients=6, values={"yes": 6})
    assert sealed(replace(two, acquisition={})).digest == one.digest
    without = sealed(replace(two, acquisition={}, gallery=()))
    again = add_verdict(
        without, tiny, lambda b, splits: read_annotated_dicom(site, splits, b), tmp_path / "again", limit=2
    )
    assert again.passport.acquisition == two.acquisition


def test_contours_of_a_structure_set_and_regions_of_a_report_are_filled(tiny: Bundle, tmp_path: Path) -> None:
    person = patients(per_split=1)[1]
    folder = tmp_path / person.split
    paths = write_images(folder / "images", person)
    write_structures(folder / "rtstruct.dcm", dcmread(paths[0]), (4, 6, 9, 15))
    write_regions(folder / "sr.dcm", dcmread(paths[1]), (10, 20, 19, 24))
    cases = cases_of(tiny, read_annotated_dicom(tmp_path, (person.split,), tiny), tmp_path / "cases")
    by_name = {case.name: at for at, case in enumerate(cases.entries)}
    labels = {name: cases.entries[at].label for name, at in by_name.items()}
    assert sorted(labels.values()) == ["lesion", "lesion", "none"]
    for path, (top, left, bottom, right) in ((paths[0], (4, 6, 9, 15)), (paths[1], (10, 20, 19, 24))):
        mask = cases.masks_of([by_name[f"{dcmread(path).SOPInstanceUID} frame 1"]])[0]
        columns, rows = np.nonzero(mask)  # MONAI's axes
        edges = np.array([rows.min(), columns.min(), rows.max(), columns.max()]) * 48 / 32
        assert np.abs(edges - [top, left, bottom, right]).max() <= 1.5


def test_series_nobody_drew_on_and_files_that_cannot_be_read_are_named(tiny: Bundle, tmp_path: Path) -> None:
    people = patients(per_split=1)
    site = write_site(tmp_path / "site", people)
    alone = replace(people[0], name="P9")
    write_images(site / "calibration" / "P9", alone)
    (site / "calibration" / "broken.dcm").write_bytes(b"not DICOM")
    cases = cases_of(tiny, read_annotated_dicom(site, SMALL.splits, tiny), tmp_path / "cases")
    said = {one.name: one.reason for one in cases.excluded}
    assert "not DICOM" in said["broken.dcm"]
    assert said[_uid("series", "P9")] == "no annotation refers to this series: it is left out"
    assert {case.group for case in cases.entries} == {"P1", "P2"}


def test_splits_without_folders_are_answered_with_what_to_do(tiny: Bundle, tmp_path: Path) -> None:
    with pytest.raises(Unsuitable, match="folder of its name"):
        list(read_annotated_dicom(tmp_path, SMALL.splits, tiny))


def annotation_of(image: Dataset, sop_class: str, path: Path) -> Dataset:
    found = Dataset()
    found.SOPClassUID, found.SOPInstanceUID = sop_class, _uid("annotation", path.name)
    found.StudyInstanceUID, found.SeriesInstanceUID = image.StudyInstanceUID, _uid("annotation series", path.name)
    found.PatientID = image.PatientID
    return found


def item(**values: Any) -> Dataset:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def write_structures(path: Path, image: Dataset, box: tuple[int, int, int, int]) -> None:
    """Draw a box, (top, left, bottom, right) of pixel centres, as a contour in patient coordinates."""
    top, left, bottom, right = box
    depth = float(image.ImagePositionPatient[2])
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    source = item(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID)
    contour = item(
        ContourImageSequence=[source],
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=4,
        ContourData=[value for x, y in corners for value in (float(x), float(y), depth)],
    )
    found = annotation_of(image, "1.2.840.10008.5.1.4.1.1.481.3", path)
    found.Modality = "RTSTRUCT"
    found.StructureSetROISequence = [item(ROINumber=1, ROIName="Lesion")]
    found.ROIContourSequence = [item(ReferencedROINumber=1, ContourSequence=[contour])]
    save(found, path)


def write_regions(path: Path, image: Dataset, box: tuple[int, int, int, int]) -> None:
    """Draw a box as a polyline of a report; its coordinates count from the first pixel's corner."""
    top, left, bottom, right = (edge + 0.5 for edge in box)
    concept = item(CodeValue="111030", CodingSchemeDesignator="DCM", CodeMeaning="Image Region")
    finding = item(CodeValue="121071", CodingSchemeDesignator="DCM", CodeMeaning="Finding")
    lesion = item(CodeValue="52988006", CodingSchemeDesignator="SCT", CodeMeaning="Lesion")
    source = item(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID)
    region = item(
        ValueType="SCOORD",
        RelationshipType="CONTAINS",
        ConceptNameCodeSequence=[concept],
        GraphicType="POLYLINE",
        GraphicData=[left, top, right, top, right, bottom, left, bottom, left, top],
        ContentSequence=[item(ValueType="IMAGE", RelationshipType="SELECTED FROM", ReferencedSOPSequence=[source])],
    )
    code = item(ValueType="CODE", ConceptNameCodeSequence=[finding], ConceptCodeSequence=[lesion])
    found = annotation_of(image, "1.2.840.10008.5.1.4.1.1.88.33", path)
    found.Modality = "SR"
    found.ContentSequence = [item(ValueType="CONTAINER", ContentSequence=[code, region])]
    save(found, path)


def save(dataset: Dataset, path: Path) -> None:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)

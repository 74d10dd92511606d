"""What a radiologist's workstation sends back: a segmentation, a presentation state, a report, a rejection note."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.pixels.utils import pack_bits
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
REPORT = "1.2.840.10008.5.1.4.1.1.88.33"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def code(value: str, scheme: str = "SCT", meaning: str = "a code") -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def reference(source: Dataset) -> Dataset:
    return item(ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=source.SOPInstanceUID)


def remark(source: Dataset, sop_class: str, modality: str) -> Dataset:
    """An object of another maker in the study of the source."""
    made = item(
        SOPClassUID=sop_class,
        SOPInstanceUID=generate_uid(),
        StudyInstanceUID=source.StudyInstanceUID,
        SeriesInstanceUID=generate_uid(),
        PatientID=source.PatientID,
        Manufacturer="a workstation",
        Modality=modality,
    )
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = sop_class, made.SOPInstanceUID
    return made


def segmentation(
    source: Dataset, mask: np.ndarray, *, drawn: str = "MANUAL", category: str = "49755003", what: str = "393564001"
) -> Dataset:
    made = remark(source, SEGMENTATION, "SEG")
    made.SegmentationType, made.Rows, made.Columns, made.NumberOfFrames = "BINARY", *mask.shape, 2
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 1, 1, 0
    segment = item(SegmentNumber=1, SegmentLabel="lesion", SegmentAlgorithmType=drawn)
    segment.SegmentedPropertyCategoryCodeSequence = [code(category)]
    segment.SegmentedPropertyTypeCodeSequence = [code(what)]
    made.SegmentSequence = [segment]
    elsewhere = item(ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=generate_uid())
    frames = [
        item(
            SegmentIdentificationSequence=[item(ReferencedSegmentNumber=1)],
            DerivationImageSequence=[item(SourceImageSequence=[named])],
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 999])],
        )
        for named in (elsewhere, reference(source))
    ]
    made.PerFrameFunctionalGroupsSequence = frames
    made.PixelData = pack_bits(np.stack([np.zeros_like(mask), mask]).astype(np.uint8).ravel())
    return made


def presentation_state(source: Dataset, kind: str, points: Sequence[float]) -> Dataset:
    made = remark(source, PRESENTATION_STATE, "PR")
    made.ContentCreatorName = "CANARY^RADIOLOGIST"
    made.ReferencedSeriesSequence = [item(ReferencedImageSequence=[reference(source)])]
    graphic = item(GraphicAnnotationUnits="PIXEL", GraphicType=kind, GraphicData=list(points))
    made.GraphicAnnotationSequence = [item(GraphicObjectSequence=[graphic])]
    return made


def report(source: Dataset, *content: Dataset, evidence: Sequence[Dataset] = ()) -> Dataset:
    made = remark(source, REPORT, "SR")
    made.ValueType, made.ContentSequence = "CONTAINER", list(content)
    if evidence:
        made.CurrentRequestedProcedureEvidenceSequence = [
            item(ReferencedSeriesSequence=[item(ReferencedSOPSequence=[reference(one) for one in evidence])])
        ]
    return made


def group(*content: Dataset) -> Dataset:
    return item(ValueType="CONTAINER", ContentSequence=list(content))


def says(name: Dataset, value: Dataset, *further: Dataset) -> Dataset:
    made = item(ValueType="CODE", ConceptNameCodeSequence=[name], ConceptCodeSequence=[value])
    if further:
        made.ContentSequence = list(further)
    return made


def shows(source: Dataset) -> Dataset:
    return item(ValueType="IMAGE", ReferencedSOPSequence=[reference(source)])


def region(source: Dataset, kind: str, points: Sequence[float]) -> Dataset:
    made = item(ValueType="SCOORD", GraphicType=kind, GraphicData=list(points), ContentSequence=[shows(source)])
    made.ConceptNameCodeSequence = [code("111030", "DCM", "Image Region")]
    return made


def rejection(source: Dataset, rejected: Dataset, title: str = "113001") -> Dataset:
    made = remark(source, KEY_OBJECTS, "KO")
    made.ValueType, made.ConceptNameCodeSequence = "CONTAINER", [code(title, "DCM")]
    made.ContentSequence = [shows(rejected)]
    return made


def save(made: Dataset, path: Any) -> Any:
    dcmwrite(path, made, enforce_file_format=True)
    return path


def header(path: Any) -> Dataset:
    return dcmread(path, stop_before_pixels=True)

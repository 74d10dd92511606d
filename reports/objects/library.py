"""Image library of a report (PS3.16 TID 1600): the source images and where they lie."""

from dataclasses import dataclass

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    UIDRefContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from inference.reading.image import Image
from inference.reading.instance import Frame

_CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
_CONTAINS = RelationshipTypeValues.CONTAINS
_SOURCE = CodedConcept("260753009", "SCT", "Source")
_PIXELS = CodedConcept("{pixels}", "UCUM", "Pixels")
_COSINE = CodedConcept("{-1:1}", "UCUM", "{-1:1}")


@dataclass(frozen=True)
class InstanceReference:
    """One instance that a report rests on."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str

    def dataset(self) -> Dataset:
        """Return it in the form highdicom collects evidence from."""
        item = Dataset()
        item.StudyInstanceUID, item.SeriesInstanceUID = self.study_instance_uid, self.series_instance_uid
        item.SOPClassUID, item.SOPInstanceUID = self.sop_class_uid, self.sop_instance_uid
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
            setattr(item, keyword, None)
        for keyword in ("AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
            setattr(item, keyword, None)
        return item


def references(image: Image) -> list[InstanceReference]:
    """Return every instance of a series once, in order of geometry."""
    seen = {frame.sop_instance_uid: frame for frame in reversed(image.frames)}
    return [
        InstanceReference(
            image.study_instance_uid, image.series_instance_uid, frame.sop_class_uid, frame.sop_instance_uid
        )
        for frame in reversed(seen.values())
    ]


def image_library(image: Image) -> ContainerContentItem:
    """List the series: modality, frame of reference and grid once, then each instance with its place.

    A series that was analysed as a further channel of the same input is a group of its own.
    """
    groups = [
        _container(codes.DCM.ImageLibraryGroup, [*_shared(stack), *_entries(stack)])
        for stack in (image, *image.further)
    ]
    return _container(codes.DCM.ImageLibrary, groups)


def modality_code(modality: str) -> CodedConcept | None:
    """Return the modality as CID 29 codes it; None where it is none of those."""
    known = (getattr(codes.cid29, name) for name in codes.cid29.dir())
    return next((CodedConcept.from_code(code) for code in known if code.value == modality), None)


def _container(name: Code, items: list[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name, is_content_continuous=False, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container


def _shared(image: Image) -> list[ContentItem]:
    items: list[ContentItem] = []
    if modality := modality_code(image.modality):
        items.append(CodeContentItem(codes.DCM.Modality, modality, relationship_type=_CONTEXT))
    if image.frame_of_reference_uid:
        items.append(UIDRefContentItem(codes.DCM.FrameOfReferenceUID, image.frame_of_reference_uid, _CONTEXT))
    rows, columns = image.values.shape[1:3]
    items.append(_number(codes.DCM.PixelDataRows, rows, _PIXELS))
    items.append(_number(codes.DCM.PixelDataColumns, columns, _PIXELS))
    return items + _grid(image.frames[0])


def _grid(frame: Frame) -> list[ContentItem]:
    items: list[ContentItem] = []
    if frame.pixel_spacing_mm:
        items.append(_number(codes.DCM.HorizontalPixelSpacing, frame.pixel_spacing_mm[1], codes.UCUM.Millimeter))
        items.append(_number(codes.DCM.VerticalPixelSpacing, frame.pixel_spacing_mm[0], codes.UCUM.Millimeter))
    if frame.orientation:
        names = [f"ImageOrientationPatient{line}{axis}" for line in ("Row", "Column") for axis in "XYZ"]
        pairs = zip(names, frame.orientation, strict=True)
        items += [_number(getattr(codes.DCM, name), cosine, _COSINE) for name, cosine in pairs]
    return items


def _entries(image: Image) -> list[ContentItem]:
    entries: list[ContentItem] = []
    for reference in references(image):
        frames = [frame for frame in image.frames if frame.sop_instance_uid == reference.sop_instance_uid]
        entry = ImageContentItem(
            _SOURCE, reference.sop_class_uid, reference.sop_instance_uid, relationship_type=_CONTAINS
        )
        if len(frames) == 1 and frames[0].position_mm:
            axes = zip("XYZ", frames[0].position_mm, strict=True)
            entry.ContentSequence = ContentSequence(
                [_number(getattr(codes.DCM, f"ImagePositionPatient{x}"), at, codes.UCUM.Millimeter) for x, at in axes]
            )
        entries.append(entry)
    return entries


def _number(name: Code, value: float, unit: Code | CodedConcept) -> NumContentItem:
    return NumContentItem(name, float(f"{value:.6g}"), unit, relationship_type=_CONTEXT)

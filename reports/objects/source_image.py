"""The source plane as an image dataset that highdicom accepts, and references with the plane's own SOP class."""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage
from pydicom.valuerep import DSfloat

from inference.reading.elements.macros import of_frame
from inference.reading.geometry import numbers
from inference.reading.instance import Frame
from reports.explained import ExplainedPlane
from reports.objects.library import InstanceReference


def stand_in(explained: ExplainedPlane) -> Dataset:
    """Return the plane as a bare single-frame image, whatever its own SOP class is.

    Only grid, position and lossy compression are taken from the header, so that no invalid value of a source breaks a
    result. References that highdicom makes to it have the wrong SOP class; ``point`` corrects them.
    """
    frame, image = explained.plane.frame, explained.analysis.image
    bare = InstanceReference(
        image.study_instance_uid, image.series_instance_uid, MRImageStorage, frame.sop_instance_uid
    )
    dataset = bare.dataset()
    dataset.Rows, dataset.Columns = explained.plane.pixels.shape
    dataset.SamplesPerPixel, dataset.ReferringPhysicianName = 1, None
    if image.frame_of_reference_uid and frame.position_mm and frame.orientation and frame.pixel_spacing_mm:
        dataset.FrameOfReferenceUID = image.frame_of_reference_uid
        dataset.ImagePositionPatient = _strings(frame.position_mm)
        dataset.ImageOrientationPatient = _strings(frame.orientation)
        dataset.PixelSpacing = _strings(frame.pixel_spacing_mm)
        dataset.SliceThickness = _thickness_mm(explained)
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if explained.source.get(keyword):
            dataset[keyword] = explained.source[keyword]
    return dataset


def point(reference: Dataset, frame: Frame, source: Dataset, *, at_frame: bool = True) -> None:
    """Put the SOP class of the source into a reference to it, and the frame number where it is multi-frame."""
    reference.ReferencedSOPClassUID = frame.sop_class_uid
    if at_frame and "NumberOfFrames" in source:
        reference.ReferencedFrameNumber = frame.frame_number


def _strings(values: Sequence[float]) -> list[DSfloat]:
    return [DSfloat(value, auto_format=True) for value in values]


def _thickness_mm(explained: ExplainedPlane) -> DSfloat | None:
    header = of_frame(explained.source, explained.plane.frame.frame_number - 1, ["SliceThickness"])
    written = numbers([header.get("SliceThickness")], 1)
    return _strings(written)[0] if written and written[0] > 0 else None

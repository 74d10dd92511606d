"""The source plane as highdicom wants to be given an image, and the way to point at it for what it is."""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage
from pydicom.valuerep import DSfloat

from inference.analysis import Analysis
from inference.reading.geometry import numbers
from inference.reading.instance import of_frame
from reports.objects.capture import Source
from reports.objects.library import Reference


def stand_in(source: Source, analysis: Analysis) -> Dataset:
    """Give the plane as a bare single-frame image, whatever its own SOP class is.

    Nothing of the header comes with it but grid, place and lossy compression: no odd value of a source breaks a result.
    What highdicom then refers to by the stand-in's SOP class is to be put right by ``point``.
    """
    frame, image = source.frame, analysis.image
    bare = Reference(image.study_instance_uid, image.series_instance_uid, MRImageStorage, frame.sop_instance_uid)
    dataset = bare.dataset()
    dataset.Rows, dataset.Columns = image.pixels.shape[1:]
    dataset.SamplesPerPixel, dataset.ReferringPhysicianName = 1, None
    if image.frame_of_reference_uid and frame.position_mm and frame.orientation and frame.pixel_spacing_mm:
        dataset.FrameOfReferenceUID = image.frame_of_reference_uid
        dataset.ImagePositionPatient = _strings(frame.position_mm)
        dataset.ImageOrientationPatient = _strings(frame.orientation)
        dataset.PixelSpacing = _strings(frame.pixel_spacing_mm)
        dataset.SliceThickness = _thickness_mm(source)
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if source.header.get(keyword):
            dataset[keyword] = source.header[keyword]
    return dataset


def point(reference: Dataset, source: Source, *, at_frame: bool = True) -> None:
    """Put into a reference to the stand-in the SOP class of the source, and its frame where it has frames."""
    reference.ReferencedSOPClassUID = source.frame.sop_class_uid
    if at_frame and "NumberOfFrames" in source.header:
        reference.ReferencedFrameNumber = source.frame.frame_number


def _strings(values: Sequence[float]) -> list[DSfloat]:
    return [DSfloat(value, auto_format=True) for value in values]


def _thickness_mm(source: Source) -> DSfloat | None:
    """Give the depth that the plane stands for; None where the source does not say it."""
    held = of_frame(source.header, source.frame.frame_number - 1, ["SliceThickness"])
    written = numbers([held.get("SliceThickness")], 1)
    return _strings(written)[0] if written and written[0] > 0 else None

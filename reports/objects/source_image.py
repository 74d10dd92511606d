"""The source planes as image datasets that highdicom accepts, and references with the planes' own SOP class."""

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, MRImageStorage
from pydicom.valuerep import DSfloat

from inference.reading.elements.macros import of_frame
from inference.reading.geometry import numbers
from inference.reading.image import Image
from inference.reading.instance import Frame
from reports.explained import ExplainedPlane
from reports.objects.library import InstanceReference

_PARALLEL = 1e-3
"""Difference of two direction cosines up to which planes are parallel."""
_SAME_MM = 1e-3
"""Difference up to which two places or spacings are the same."""
_EVEN = 0.2
"""Of the mean distance: how much one distance may differ in a stack that OHIF takes for a volume."""


def stand_in(explained: ExplainedPlane) -> Dataset:
    """Return the plane as a bare single-frame image, whatever its own SOP class is.

    Only grid, position and lossy compression are taken from the header, so that no invalid value of a source breaks a
    result. References that highdicom makes to it have the wrong SOP class; ``point`` corrects them.
    """
    return _bare(explained, explained.plane.frame, explained.plane.frame.sop_instance_uid)


def stand_ins(explained: ExplainedPlane, planes: Sequence[int]) -> list[Dataset]:
    """Return planes of the stack as bare single-frame images, each with a UID that only ``refer`` knows.

    Args:
        explained: a plane of the stack, whose header and orientation hold for all.
        planes: their indices into ``Image.frames``.
    """
    frames = explained.analysis.image.frames
    return [_bare(explained, frames[index], _stand_in_uid(index)) for index in planes]


def refer(made: Dataset, explained: ExplainedPlane, planes: Sequence[int]) -> None:
    """Correct the references of an object that highdicom made of ``stand_ins``.

    Args:
        made: a multi-frame object.
        explained: as given to ``stand_ins``.
        planes: as given to ``stand_ins``.
    """
    frames = {_stand_in_uid(index): explained.analysis.image.frames[index] for index in planes}
    for group in made.PerFrameFunctionalGroupsSequence:
        (reference,) = group.DerivationImageSequence[0].SourceImageSequence
        frame = frames.get(reference.ReferencedSOPInstanceUID)
        if frame is not None:  # frames of several segments share one reference
            reference.ReferencedSOPInstanceUID = frame.sop_instance_uid
            point(reference, frame, explained.source)
    instances = {frame.sop_instance_uid: frame for frame in frames.values()}
    made.SourceImageSequence = [_reference(frame) for frame in instances.values()]
    made.ReferencedSeriesSequence[0].ReferencedInstanceSequence = [_reference(frame) for frame in instances.values()]


def in_space(image: Image, planes: Sequence[int]) -> tuple[int, ...] | None:
    """Return planes along the normal of their rows and columns (PS3.3 C.7.6.2.1.1), as viewers stack them.

    Args:
        image: the stack.
        planes: indices into ``Image.frames``.

    Returns:
        The same indices; None where the planes are not all parallel, of one spacing, and in different places.
    """
    frames = [image.frames[index] for index in planes]
    if not (image.frame_of_reference_uid and all(frame.position_mm and frame.pixel_spacing_mm for frame in frames)):
        return None
    if not all(frame.orientation for frame in frames):
        return None
    cosines = np.array([frame.orientation for frame in frames], dtype=np.float64)
    spacings = np.array([frame.pixel_spacing_mm for frame in frames], dtype=np.float64)
    if np.ptp(cosines, axis=0).max() > _PARALLEL or np.ptp(spacings, axis=0).max() > _SAME_MM:
        return None
    places = np.array([frame.position_mm for frame in frames]) @ np.cross(cosines[0, :3], cosines[0, 3:])
    order = np.argsort(places, kind="stable")
    if len(planes) > 1 and np.diff(places[order]).min() <= _SAME_MM:
        return None
    return tuple(planes[place] for place in order)


def as_stacked(image: Image) -> tuple[int, ...]:
    """Return all planes in the order in which OHIF 3.13 stacks a series (its ``isDisplaySetReconstructable``).

    From the far end of the normal back where the instances lie evenly, gaps included; else by instance and frame
    number.
    """
    frames = image.frames
    whole = in_space(image, range(len(frames)))
    if whole and len({frame.sop_instance_uid for frame in frames}) == len(frames) > 1:
        steps = np.linalg.norm(np.diff([frames[index].position_mm or () for index in whole], axis=0), axis=1)
        counts = np.maximum(1, np.rint(steps / steps.mean()))
        if (abs(steps / counts - steps.mean()) < _EVEN * steps.mean()).all():
            return whole[::-1]
    return tuple(sorted(range(len(frames)), key=lambda at: (frames[at].instance_number or 0, frames[at].frame_number)))


def point(reference: Dataset, frame: Frame, source: Dataset, *, at_frame: bool = True) -> None:
    """Put the SOP class of the source into a reference to it, and the frame number where it is multi-frame."""
    reference.ReferencedSOPClassUID = frame.sop_class_uid
    if at_frame and "NumberOfFrames" in source:
        reference.ReferencedFrameNumber = frame.frame_number


def _stand_in_uid(index: int) -> str:
    return f"2.25.{index + 1}"


def _reference(frame: Frame) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.sop_class_uid, frame.sop_instance_uid
    return item


def _bare(explained: ExplainedPlane, frame: Frame, sop_instance_uid: str) -> Dataset:
    image, orientation = explained.analysis.image, explained.plane.frame.orientation
    placed = image.frame_of_reference_uid and frame.position_mm and orientation and frame.pixel_spacing_mm
    kind = MRImageStorage if placed else ComputedRadiographyImageStorage
    dataset = InstanceReference(image.study_instance_uid, image.series_instance_uid, kind, sop_instance_uid).dataset()
    dataset.Rows, dataset.Columns = explained.plane.pixels.shape
    dataset.SamplesPerPixel, dataset.ReferringPhysicianName = 1, None
    if image.frame_of_reference_uid and frame.position_mm and orientation and frame.pixel_spacing_mm:
        dataset.FrameOfReferenceUID = image.frame_of_reference_uid
        dataset.ImagePositionPatient = _strings(frame.position_mm)
        dataset.ImageOrientationPatient = _strings(orientation)
        dataset.PixelSpacing = _strings(frame.pixel_spacing_mm)
        dataset.SliceThickness = _thickness_mm(explained)
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if explained.source.get(keyword):
            dataset[keyword] = explained.source[keyword]
    return dataset


def _strings(values: Sequence[float]) -> list[DSfloat]:
    return [DSfloat(value, auto_format=True) for value in values]


def _thickness_mm(explained: ExplainedPlane) -> DSfloat | None:
    header = of_frame(explained.source, explained.plane.frame.frame_number - 1, ["SliceThickness"])
    written = numbers([header.get("SliceThickness")], 1)
    return _strings(written)[0] if written and written[0] > 0 else None

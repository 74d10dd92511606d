"""What an expert drew, as masks on the pixels of single images: DICOM SEG, RT Structure Set, and SR regions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw
from pydicom import Dataset

from inference.commissioning.cases import Mask
from inference.geometry import numbers
from inference.image import Frame

SEGMENTATION = ("1.2.840.10008.5.1.4.1.1.66.4",)
STRUCTURES = ("1.2.840.10008.5.1.4.1.1.481.3",)
REPORTS = ("1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.34")
FINDING = "121071"
"""(121071, DCM, "Finding"): what a region of a TID 1500 report is of."""
_NOT_READ = (ArithmeticError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)


Points = NDArray[np.float64]
Frames = Mapping[str, tuple[Frame, tuple[int, int]]]
"""By SOP Instance UID: geometry and (rows, columns) of each image."""


@dataclass(frozen=True, eq=False)
class Outline:
    """One thing drawn on one image."""

    sop_instance_uid: str
    frame_number: int | None
    """1-based; None: the only one."""
    labels: tuple[str, ...]
    """What it is called, best first."""
    codes: tuple[str, ...]
    """Code values of what it is."""
    mask: Mask
    """(rows, columns) of the image as stored."""


def is_annotation(dataset: Dataset) -> bool:
    """Whether a file holds drawings rather than an image."""
    return str(dataset.get("SOPClassUID") or "") in (*SEGMENTATION, *STRUCTURES, *REPORTS)


def outlines_of(dataset: Dataset, frames: Frames) -> tuple[list[Outline], list[str]]:
    """Give everything drawn in one file on the images known, and in words what could not be read.

    Args:
        dataset: a segmentation, structure set or report.
        frames: the images, one frame of each, by SOP Instance UID.
    """
    kind = str(dataset.SOPClassUID)
    reader = _segments if kind in SEGMENTATION else _contours if kind in STRUCTURES else _regions
    try:
        found = list(reader(dataset, frames))
    except _NOT_READ as error:
        return [], [f"the annotation cannot be read ({type(error).__name__})"]
    return found, [] if found else ["the annotation draws nothing on the images given"]


def _segments(dataset: Dataset, frames: Frames) -> Iterator[Outline]:
    """One outline for each frame of a segmentation (PS3.3 A.51)."""
    named = {}
    for item in dataset.SegmentSequence:
        code = item.SegmentedPropertyTypeCodeSequence[0]
        named[int(item.SegmentNumber)] = ((str(item.SegmentLabel), str(code.CodeMeaning)), (str(code.CodeValue),))
    pixels = dataset.pixel_array.reshape(-1, int(dataset.Rows), int(dataset.Columns))
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for plane, group in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        identified = group.get("SegmentIdentificationSequence") or shared[0].SegmentIdentificationSequence
        labels, codes = named[int(identified[0].ReferencedSegmentNumber)]
        for uid, number in _sources(group, frames):
            yield Outline(uid, number, labels, codes, np.asarray(plane > 0))


def _sources(group: Dataset, frames: Frames) -> list[tuple[str, int | None]]:
    """Give the images of one frame of a segmentation: those it names, else those at its place."""
    named = [
        (str(source.ReferencedSOPInstanceUID), _first_number(source.get("ReferencedFrameNumber")))
        for derivation in group.get("DerivationImageSequence") or ()
        for source in derivation.get("SourceImageSequence") or ()
    ]
    known = [one for one in named if one[0] in frames]
    place = numbers(group.PlanePositionSequence[0].ImagePositionPatient, 3) if not known else None
    if place is None:
        return known
    return [
        (uid, None)
        for uid, (frame, _) in frames.items()
        if frame.position_mm is not None and np.allclose(frame.position_mm, place, atol=0.01)
    ]


def _contours(dataset: Dataset, frames: Frames) -> Iterator[Outline]:
    """One outline for each closed planar contour of a structure set (PS3.3 C.8.8.6), on the image it was drawn on."""
    names = {int(item.ROINumber): str(item.get("ROIName") or "") for item in dataset.StructureSetROISequence}
    for roi in dataset.ROIContourSequence:
        label = names.get(int(roi.ReferencedROINumber), "")
        for contour in roi.get("ContourSequence") or ():
            points = np.asarray(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            for source in contour.get("ContourImageSequence") or ():
                known = frames.get(str(source.ReferencedSOPInstanceUID))
                mask = None if known is None else _filled_mm(points, *known)
                if known is not None and mask is not None:
                    yield Outline(known[0].sop_instance_uid, None, (label,), (), mask)


def _regions(dataset: Dataset, frames: Frames) -> Iterator[Outline]:
    """One outline for each region of a report that names the image it lies on (PS3.3 C.18.6)."""
    for container in _containers(dataset):
        items = container.get("ContentSequence") or ()
        codes = [
            item.ConceptCodeSequence[0]
            for item in items
            if item.get("ValueType") == "CODE" and str(item.ConceptNameCodeSequence[0].CodeValue) == FINDING
        ]
        for item in items:
            if item.get("ValueType") != "SCOORD" or item.GraphicType not in ("POLYLINE", "POLYGON"):
                continue
            points = np.asarray(item.GraphicData, dtype=np.float64).reshape(-1, 2)
            for child in item.get("ContentSequence") or ():
                for source in child.get("ReferencedSOPSequence") or ():
                    known = frames.get(str(source.ReferencedSOPInstanceUID))
                    if known is not None:
                        yield Outline(
                            known[0].sop_instance_uid,
                            _first_number(source.get("ReferencedFrameNumber")),
                            tuple(str(code.CodeMeaning) for code in codes),
                            tuple(str(code.CodeValue) for code in codes),
                            _filled(points[:, ::-1] - 0.5, known[1]),
                        )


def _containers(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence") or ():
        yield from _containers(child)


def _filled_mm(points: Points, frame: Frame, shape: tuple[int, int]) -> Mask | None:
    """Fill a contour of patient coordinates on the pixels of one image; None where its geometry is unknown."""
    if frame.position_mm is None or frame.orientation is None or frame.pixel_spacing_mm is None:
        return None
    along_row, along_column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    away = points - np.array(frame.position_mm)
    between_rows, between_columns = frame.pixel_spacing_mm
    places = np.column_stack([away @ along_column / between_rows, away @ along_row / between_columns])
    return _filled(places, shape)


def _filled(places: Points, shape: tuple[int, int]) -> Mask:
    """Fill a polygon of (row, column) pixel centres; its rim belongs to it."""
    canvas = Picture.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon([(float(column), float(row)) for row, column in places], fill=1, outline=1)
    return np.asarray(canvas, dtype=np.bool_)


def _first_number(value: Any) -> int | None:
    if value is None:
        return None
    several = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return int(several[0]) if several else None

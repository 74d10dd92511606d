"""What an expert drew, as masks on the pixels of single images: SEG, RT Structure Set, SR regions, GSPS graphics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw
from pydicom import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import UID

from inference.errors import DAMAGE, UnsupportedImage
from inference.reading.compressed import decoder_header
from inference.reading.decoding import DecodingProcess
from inference.reading.geometry import numbers
from inference.reading.instance import Frame

SEGMENTATION = ("1.2.840.10008.5.1.4.1.1.66.4",)
STRUCTURES = ("1.2.840.10008.5.1.4.1.1.481.3",)
REPORTS = ("1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.34")
PRESENTATION_STATES = ("1.2.840.10008.5.1.4.1.1.11.1",)
MOST_OUTLINES = 4096
"""Most outlines read from one file: each is a mask as large as its image."""
MOST_POINTS = 8_000
"""Most points read of one line."""
ROUND_POINTS = 64
"""Points that an ellipse is drawn with."""
FINDING = "121071"
"""(121071, DCM, "Finding"): what a region of a TID 1500 report is of."""
_FAR = 1e6
"""Coordinates are clipped to this distance from an image, in pixels."""


Mask = NDArray[np.bool_]
"""(rows, columns), or (planes, rows, columns)."""
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


def outlines_of(dataset: Dataset, frames: Frames, *, most: int = MOST_OUTLINES) -> tuple[list[Outline], list[str]]:
    """Return everything drawn in one file on the images known, and in words what could not be read.

    Args:
        dataset: a segmentation, structure set, report or presentation state.
        frames: the images, one frame of each, by SOP Instance UID.
        most: outlines read.
    """
    kind = str(dataset.SOPClassUID)
    readers = {**dict.fromkeys(SEGMENTATION, _segments), **dict.fromkeys(STRUCTURES, _contours)}
    readers |= dict.fromkeys(PRESENTATION_STATES, _graphics)
    try:
        outlines = list(islice(readers.get(kind, _regions)(dataset, frames), most))
    except (*DAMAGE, UnsupportedImage) as error:
        return [], [f"the annotation cannot be read ({type(error).__name__})"]
    return outlines, [] if outlines else ["the annotation draws nothing on the images given"]


def _segments(dataset: Dataset, frames: Frames) -> Iterator[Outline]:
    """One outline for each frame of a segmentation (PS3.3 A.51)."""
    named = {}
    for item in dataset.SegmentSequence:
        code = item.SegmentedPropertyTypeCodeSequence[0]
        named[int(item.SegmentNumber)] = ((str(item.SegmentLabel), str(code.CodeMeaning)), (str(code.CodeValue),))
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    plane = _planes(dataset)
    for index, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        identified = group.get("SegmentIdentificationSequence") or shared[0].SegmentIdentificationSequence
        number = int(identified[0].ReferencedSegmentNumber)
        sources = _sources(group, frames) if number in named else []
        if not sources:
            continue
        mask = np.asarray(plane(index) > 0)
        if mask.any():
            labels, codes = named[number]
            yield from (Outline(uid, frame, labels, codes, mask) for uid, frame in sources)


def _planes(dataset: Dataset) -> Callable[[int], NDArray[Any]]:
    """Return what gives one frame of a segmentation, from 0; compressed ones are decoded in the process for it.

    Raises:
        UnsupportedImage: they cannot be decoded.
    """
    if not UID(dataset.file_meta.TransferSyntaxUID).is_encapsulated:
        return lambda index: pixel_array(dataset, index=index)
    frames = int(dataset.NumberOfFrames)
    header = {**decoder_header(dataset), "number_of_frames": frames}
    with DecodingProcess() as process:
        decoded = process.decode(header.pop("transfer_syntax_uid"), dataset.PixelData, header)
    planes = decoded.reshape(frames, int(dataset.Rows), int(dataset.Columns))
    return lambda index: planes[index]


def _sources(group: Dataset, frames: Frames) -> list[tuple[str, int | None]]:
    """Return the images of one frame of a segmentation: those it names, else those at its place."""
    named = [
        (str(source.ReferencedSOPInstanceUID), _first_number(source.get("ReferencedFrameNumber")))
        for derivation in group.get("DerivationImageSequence") or ()
        for source in derivation.get("SourceImageSequence") or ()
    ]
    known = [source for source in named if source[0] in frames]
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
            points = _line(item.GraphicType, item.GraphicData) if item.get("ValueType") == "SCOORD" else None
            if points is None:
                continue
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


def _graphics(dataset: Dataset, frames: Frames) -> Iterator[Outline]:
    """One outline for each closed graphic, or point, of a presentation state on each image it names (PS3.3 C.10.5)."""
    every = dataset.get("ReferencedSeriesSequence") or ()
    whole = [source for series in every for source in series.ReferencedImageSequence]
    for annotation in dataset.get("GraphicAnnotationSequence") or ():
        named = annotation.get("ReferencedImageSequence") or whole
        for item in annotation.get("GraphicObjectSequence") or ():
            points = _line(item.GraphicType, item.GraphicData) if item.GraphicAnnotationUnits == "PIXEL" else None
            if points is None:
                continue
            for source in named:
                known = frames.get(str(source.ReferencedSOPInstanceUID))
                if known is not None:
                    number = _first_number(source.get("ReferencedFrameNumber"))
                    yield Outline(known[0].sop_instance_uid, number, (), (), _filled(points[:, ::-1] - 0.5, known[1]))


def _line(kind: str, data: Any) -> Points | None:
    """Return the closed line of a graphic (PS3.3 C.10.5.1.2, C.18.6.1.2); None for what encloses nothing, as a measure.

    Args:
        kind: Graphic Type.
        data: column and row of each point, from the top left corner of the first pixel.

    Returns:
        (points, 2), column and row.

    Raises:
        ValueError: too many points, or no numbers.
    """
    points = np.asarray(data, dtype=np.float64).reshape(-1, 2)
    if len(points) > MOST_POINTS or not np.isfinite(points).all():
        raise ValueError(kind)
    if kind == "POINT" and len(points) == 1:
        return points
    if kind in ("CIRCLE", "ELLIPSE") and len(points) == (2 if kind == "CIRCLE" else 4):
        return _round(points)
    closed = kind == "POLYGON" or (kind in ("POLYLINE", "INTERPOLATED") and np.allclose(points[0], points[-1]))
    return points if closed and len(points) > 3 else None


def _round(points: Points) -> Points:
    """Draw a circle by its centre and a point on it, or an ellipse by the ends of its two axes."""
    if len(points) == 2:
        centre, first = points[0], points[1] - points[0]
        second = np.array([-first[1], first[0]])
    else:
        centre, first, second = points[:2].mean(axis=0), (points[1] - points[0]) / 2, (points[3] - points[2]) / 2
    angles = np.linspace(0, 2 * np.pi, ROUND_POINTS)[:, None]
    return np.asarray(centre + np.cos(angles) * first + np.sin(angles) * second)


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
    corners = [(float(column), float(row)) for row, column in np.clip(places, -_FAR, _FAR)]
    if len(corners) == 1:
        ImageDraw.Draw(canvas).point([(round(corners[0][0]), round(corners[0][1]))], fill=1)
    else:
        ImageDraw.Draw(canvas).polygon(corners, fill=1, outline=1)
    return np.asarray(canvas, dtype=np.bool_)


def _first_number(value: Any) -> int | None:
    if value is None:
        return None
    several = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return int(several[0]) if several else None

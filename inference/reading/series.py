"""The stacks of one series as images: planes gathered, decoded and put together; odd ones set apart by name."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.errors import UnsupportedImage
from inference.reading.account import Accounted, Disposition, missing_of
from inference.reading.decoding import DecodingProcess
from inference.reading.elements.acquisition import acquisition_of
from inference.reading.elements.anatomy import body_part_of, laterality_of
from inference.reading.elements.header import hint_of, text_of
from inference.reading.elements.kinds import objection_to
from inference.reading.elements.macros import of_frame, source_of, without_rescale
from inference.reading.elements.window import Window
from inference.reading.geometry import plane_of
from inference.reading.image import Image
from inference.reading.instance import SHOWN_BY, File
from inference.reading.layout import PALETTE, Stored, layout_of
from inference.reading.modality import modality_values, padding, window_of
from inference.reading.palette import Palette, palette_of
from inference.reading.pixels import planes_of
from inference.reading.spacing import Spacing, spacing_of
from inference.reading.stacks import UndecodedStack, stacks_of
from inference.reading.traits import UndecodedPlane

_UNSCALED = (
    "Pixel Value Transformation Sequence (0028,9145) is absent for this frame, though others of its object have one."
)


@dataclass(eq=False)
class _StackValues:
    """What is decoded of a stack, in its order; a plane that cannot be decoded stays without a window entry."""

    values: NDArray[np.float32]
    padded: NDArray[np.bool_] | None = None
    windows: dict[int, Window | None] = field(default_factory=dict)
    bits: int = 0


def survey_series(files: Sequence[File]) -> tuple[tuple[UndecodedStack, ...], list[Accounted]]:
    """Sort the planes of a series into stacks by their headers alone.

    Returns:
        the stacks, and what is set apart with its reason.
    """
    apart: list[Accounted] = []
    planes: list[UndecodedPlane] = []
    classes = [file.sop_class_uid for file in files]
    for file in files:
        objection = objection_to(file.sop_class_uid, has_pixels=file.has_pixels, of_series=classes)
        if objection:
            apart.append(_set_apart(file, objection))
            continue
        try:
            layout = layout_of(file)
        except UnsupportedImage as error:
            apart.append(_set_apart(file, str(error), unreadable=True))
            continue
        reasons: dict[str, int] = {}
        for index in range(layout.frames):
            try:
                planes.append(UndecodedPlane(file, layout, index, file.frame(index)))
            except UnsupportedImage as error:
                reasons[str(error)] = reasons.get(str(error), 0) + 1
        apart += [_set_apart(file, reason, count, unreadable=True) for reason, count in reasons.items()]
    return stacks_of(planes), apart


def read_stack(
    stack: UndecodedStack, lost: Sequence[Accounted], process: DecodingProcess
) -> tuple[Image | None, list[Accounted]]:
    """Decode one stack.

    Args:
        stack: its planes.
        lost: images of its series that could not be read and may be of this stack.
        process: where compressed pixels are decoded.

    Returns:
        the image, None where no plane can be decoded; and the frames that could not be, with the reason.
    """
    planes = stack.planes
    layout = planes[0].layout
    size = len(planes) * layout.rows * layout.columns * (3 if layout.colour else 1)
    if size > process.limits.values:
        reason = (
            f"{len(planes)} planes of {layout.rows} x {layout.columns} pixels are too many; "
            f"the limit is {process.limits.values} values."
        )
        return None, _by_file(planes, dict.fromkeys(range(len(planes)), reason))
    decoded, failed = _decode(planes, process)
    apart = _by_file(planes, failed)
    kept = [index for index in range(len(planes)) if index in decoded.windows]
    if not kept:
        return None, apart
    if failed:
        decoded.values = decoded.values[kept]
        decoded.padded = None if decoded.padded is None else decoded.padded[kept]
    return _image(stack, kept, decoded, [*lost, *apart]), apart


def _decode(planes: Sequence[UndecodedPlane], process: DecodingProcess) -> tuple[_StackValues, dict[int, str]]:
    """Decode planes file by file; return what came out, and by place in the stack why a plane did not."""
    layout = planes[0].layout
    colour = (3,) if layout.colour else ()
    decoded = _StackValues(np.empty((len(planes), layout.rows, layout.columns, *colour), dtype=np.float32))
    failed: dict[int, str] = {}
    for places in _places_by_file(planes):
        plane = planes[next(iter(places.values()))]
        lost: dict[int, str] = {}
        try:
            palette = palette_of(plane.file.dataset) if layout.photometric == PALETTE else None
            lost = dict.fromkeys(without_rescale(plane.file.dataset) & places.keys(), _UNSCALED)
            for index, stored, allocated in planes_of(
                plane.file, plane.layout, sorted(places.keys() - lost.keys()), process, lost
            ):
                try:
                    _put(decoded, places[index], planes[places[index]], stored, allocated, palette)
                except UnsupportedImage as error:
                    lost[index] = str(error)
        except UnsupportedImage as error:
            lost |= {index: str(error) for index, place in places.items() if place not in decoded.windows}
        failed |= {places[index]: reason for index, reason in lost.items()}
    return decoded, failed


def _put(
    decoded: _StackValues,
    place: int,
    plane: UndecodedPlane,
    stored: Stored,
    allocated: Stored | None,
    palette: Palette | None,
) -> None:
    """Put the values of one plane into its place."""
    if plane.layout.colour:
        decoded.values[place] = stored if palette is None else palette.apply(stored)
        decoded.bits = max(decoded.bits, plane.layout.stored if palette is None else palette.bits)
        decoded.windows[place] = None
        return
    header = of_frame(plane.file.dataset, plane.index, SHOWN_BY)
    decoded.values[place] = modality_values(stored, header)
    padded = padding(stored, allocated, header, plane.layout)
    if padded is not None and padded.any():
        if decoded.padded is None:
            decoded.padded = np.zeros(decoded.values.shape, dtype=np.bool_)
        decoded.padded[place] = padded
    decoded.bits = max(decoded.bits, plane.layout.stored)
    decoded.windows[place] = window_of(header)


def _image(stack: UndecodedStack, kept: Sequence[int], decoded: _StackValues, lost: Sequence[Accounted]) -> Image:
    planes = [stack.planes[index] for index in kept]
    frames = tuple(plane.frame for plane in planes)
    files = {plane.file.sop_instance_uid: plane.file for plane in planes}
    header, index = planes[0].file.dataset, planes[0].index
    words = dict.fromkeys(text_of(header, name) for name in ("SeriesDescription", "ProtocolName"))
    sides = {laterality_of(plane.file.dataset, plane.index) for plane in planes}
    lost_here = sum(entry.frames for entry in lost)
    declared = hint_of(source_of(header, index, "SpacingBetweenSlices"), "SpacingBetweenSlices")
    spacing = spacing_of(frames, declared, stack.numbers)
    return Image(
        patient_key=text_of(header, "PatientID"),
        study_instance_uid=text_of(header, "StudyInstanceUID"),
        series_instance_uid=planes[0].file.series_instance_uid,
        frame_of_reference_uid=text_of(header, "FrameOfReferenceUID") or None,
        modality=text_of(header, "Modality").upper(),
        body_part=body_part_of(header, index),
        laterality=sides.pop() if len(sides) == 1 else "",
        plane=plane_of(frames[0].orientation),
        description=" ".join(word for word in words if word),
        acquisition=acquisition_of(header, index),
        stack=stack.name,
        localiser=stack.localiser,
        frames=frames,
        values=decoded.values,
        padded=decoded.padded,
        windows=tuple(decoded.windows[index] for index in kept),
        inverted=tuple(plane.layout.inverted for plane in planes),
        bits=decoded.bits,
        spacing=spacing,
        missing=(*missing_of(lost), *_absent(spacing, spacing.missing - lost_here)),
        digest=_digest(files.values()),
    )


def _absent(spacing: Spacing, count: int) -> tuple[str, ...]:
    """Return a sentence on planes that never came: beside those that were received and could not be read."""
    if count <= 0:
        return ()
    planes = f"{count} {'plane is' if count == 1 else 'planes are'}"
    step = "" if spacing.step_mm is None else f" of {spacing.step_mm:g} mm"
    return (f"{planes} absent inside the stack: whole steps{step} between neighbouring planes are empty.",)


def _places_by_file(planes: Sequence[UndecodedPlane]) -> list[dict[int, int]]:
    """Return for each file, in the order of its first plane, the place in the stack of each of its frames."""
    by_file: dict[str, dict[int, int]] = {}
    for place, plane in enumerate(planes):
        by_file.setdefault(plane.file.sop_instance_uid, {})[plane.index] = place
    return list(by_file.values())


def _by_file(planes: Sequence[UndecodedPlane], failed: Mapping[int, str]) -> list[Accounted]:
    """Return an entry for each file and reason that planes were lost for."""
    counted: dict[tuple[str, str], tuple[File, int]] = {}
    for place, reason in failed.items():
        file = planes[place].file
        key = (file.sop_instance_uid, reason)
        counted[key] = (file, counted.get(key, (file, 0))[1] + 1)
    return [_set_apart(file, reason, count, unreadable=True) for (_, reason), (file, count) in counted.items()]


def _set_apart(file: File, reason: str, frames: int = 1, *, unreadable: bool = False) -> Accounted:
    uids = (file.sop_instance_uid, file.series_instance_uid)
    return Accounted(*uids, Disposition.SET_APART, reason, frames, unreadable)


def _digest(files: Iterable[File]) -> str:
    pairs = sorted(f"{file.sop_instance_uid} {file.sha256}\n" for file in files)
    return hashlib.sha256("".join(pairs).encode()).hexdigest()

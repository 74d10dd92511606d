"""A stack as an upright volume: one step between planes, first pixels straight above each other (PS3.3 C.7.6.2.1.1).

A tilted gantry moves every plane in itself; stacked as they are, such planes are a sheared volume. Planes are moved
back by linear interpolation, and absent planes are interpolated between their neighbours where the bundle allows it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from inference.archive import Floats
from inference.errors import OutOfScope
from inference.reading.geometry import normal
from inference.reading.image import Image
from inference.reading.instance import Frame
from inference.reading.spacing import Regularity

Matrix = NDArray[np.float64]
MOST_DRIFT_PIXELS = 0.5
"""In-plane movement from first to last plane that still counts as none."""
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From DICOM's patient coordinates (left, back, head) to MONAI's (right, front, head)."""


@dataclass(frozen=True, eq=False)
class Upright:
    """An upright volume and where its voxels come from."""

    values: Floats
    """(planes, rows, columns); the grid of the source, or larger where planes were moved."""
    step_mm: float
    """1 where it is unknown."""
    places: tuple[float, ...]
    """Where each source plane lies along the normal, in steps from the first."""
    to_source: Matrix
    """(4, 4): from (plane, row, column) of the volume to (place, row, column) of the source."""
    affine: Matrix
    """(4, 4): from (x, y, z) of the volume to mm, as MONAI's PydicomReader gives it; identity: unknown."""


def upright(image: Image, values: Floats) -> Upright:
    """Return a stack as an upright volume.

    Args:
        image: the stack.
        values: of the image, (frames, rows, columns).

    Raises:
        OutOfScope: planes are duplicated, or the distance between them changes or is irregular.
    """
    reason = not_one_volume(image)
    if reason:
        raise OutOfScope(f"{reason}.")
    step = image.spacing.step_mm or 1.0
    places = _places(image, step)
    drift = _drift(image, places)
    if places == tuple(range(len(places))) and not drift.any():
        return Upright(values, step, places, np.eye(4), patient_affine(image.frames[0], step))
    return _resampled(values, step, places, drift, image.frames[0])


def not_one_volume(image: Image) -> str:
    """Say why the planes of a stack are not one volume; empty: they are, or it is not known where they lie."""
    if image.spacing.regularity in (Regularity.DUPLICATED, Regularity.IRREGULAR, Regularity.CHANGING):
        return f"The planes of the stack are not one volume: {image.spacing.sentence()}"
    return ""


def patient_affine(frame: Frame, step_mm: float = 1.0, offset: tuple[float, float] = (0.0, 0.0)) -> Matrix:
    """Return the map from (x, y, z) indices to mm (right, front, head) as MONAI's PydicomReader gives it.

    Args:
        frame: the first plane.
        step_mm: between planes, along the normal.
        offset: row and column of the source that index (0, 0) lies at.

    Returns:
        (4, 4); identity where position or orientation is unknown.
    """
    if frame.position_mm is None or frame.orientation is None:
        return np.eye(4)
    between_rows, between_columns = frame.pixel_spacing_mm or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = np.array(frame.orientation[:3]) * between_columns
    affine[:3, 1] = np.array(frame.orientation[3:]) * between_rows
    affine[:3, 2] = normal(frame.orientation) * step_mm
    affine[:3, 3] = np.array(frame.position_mm) + affine[:3, 0] * offset[1] + affine[:3, 1] * offset[0]
    return TO_RAS @ affine


def _places(image: Image, step_mm: float) -> tuple[float, ...]:
    """Return the place of each plane in whole steps; its number where the stack has no geometry."""
    places = list(range(len(image.frames)))
    for gap in image.spacing.gaps:
        first, second = image.frames[gap], image.frames[gap + 1]
        if first.orientation and first.position_mm and second.position_mm:
            apart = np.array(second.position_mm) - np.array(first.position_mm)
            absent = round(abs(float(apart @ normal(first.orientation))) / step_mm) - 1
            places[gap + 1 :] = [place + absent for place in places[gap + 1 :]]
    return tuple(float(place) for place in places)


def _drift(image: Image, places: tuple[float, ...]) -> NDArray[np.float64]:
    """Return how far each step moves a plane in itself, in (rows, columns); 0 where it does not, or is not known."""
    first, last = image.frames[0], image.frames[-1]
    known = first.position_mm and last.position_mm and first.orientation and image.spacing.step_mm
    if not known or first.position_mm is None or last.position_mm is None or first.orientation is None:
        return np.zeros(2)
    moved = np.array(last.position_mm) - np.array(first.position_mm)
    between_rows, between_columns = first.pixel_spacing_mm or (1.0, 1.0)
    along_row, along_column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    pixels = np.array([moved @ along_column / between_rows, moved @ along_row / between_columns])
    return pixels / places[-1] if np.abs(pixels).max() > MOST_DRIFT_PIXELS else np.zeros(2)


def _resampled(
    values: Floats, step_mm: float, places: tuple[float, ...], drift: NDArray[np.float64], frame: Frame
) -> Upright:
    """Interpolate the volume: absent planes between their neighbours, moved planes back into the upright grid."""
    whole = drift * places[-1]
    start = np.floor(np.minimum(0.0, whole))
    rows, columns = (np.array(values.shape[1:]) + np.ceil(np.abs(whole))).astype(int)
    lowest, count = float(values.min()), round(places[-1]) + 1
    volume = np.empty((count, rows, columns), dtype=np.float32)
    for place in range(count):
        plane = _plane_at(values, places, place)
        shift = start - drift * place
        affine_transform(plane, np.ones(2), shift, output=volume[place], order=1, mode="constant", cval=lowest)
    to_source = np.eye(4)
    to_source[1:3, 0], to_source[1:3, 3] = -drift, start
    affine = patient_affine(frame, step_mm, (float(start[0]), float(start[1])))
    return Upright(volume, step_mm, places, to_source, affine)


def _plane_at(values: Floats, places: tuple[float, ...], place: int) -> Floats:
    after = int(np.searchsorted(places, place))
    if places[after] == place:
        return values[after]
    share = np.float32((place - places[after - 1]) / (places[after] - places[after - 1]))
    return np.asarray(values[after - 1] * (1 - share) + values[after] * share, dtype=np.float32)

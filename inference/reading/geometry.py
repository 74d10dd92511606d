"""Where the planes of a series lie in the patient (PS3.3 C.7.6.2), and how a display would lay them out.

Patient coordinates are DICOM's: x grows to the patient's left, y to the back, z to the head.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]

PLANE_TOLERANCE_DEGREES = 25.0
"""How far the normal may lean from an axis before a plane is called oblique."""

_PLANES = ("sagittal", "coronal", "axial")

_LAYOUT: dict[str, tuple[Vector, Vector]] = {
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
}
"""How planes hang on a light box: where a row runs, where a column runs. Axial: to the left, to the back."""


def numbers(values: Any, count: int) -> tuple[float, ...] | None:
    """Return ``count`` finite numbers of a DICOM value, or None where they are absent or unusable."""
    if values is None or isinstance(values, str | bytes) or not hasattr(values, "__len__") or len(values) != count:
        return None
    try:
        converted = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return None
    return converted if all(math.isfinite(value) for value in converted) else None


def normal(orientation: Orientation) -> NDArray[np.float64]:
    """Return the unit normal of a plane, turned so that its largest component is positive (left, back or head)."""
    vector = np.cross(orientation[:3], orientation[3:])
    vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
    sign = np.sign(vector[np.argmax(np.abs(vector))]) or 1.0
    return np.asarray(vector * sign, dtype=np.float64)


def plane_of(orientation: Orientation | None) -> str:
    """Name the plane: axial, coronal, sagittal, oblique; empty where the orientation is unknown."""
    if orientation is None:
        return ""
    towards = normal(orientation)
    axis = int(np.argmax(towards))
    upright = towards[axis] >= math.cos(math.radians(PLANE_TOLERANCE_DEGREES))
    return _PLANES[axis] if upright else "oblique"


def depth_mm(orientation: Orientation, position: Vector) -> float:
    """Return the place of a plane along its normal in mm, growing to the left, the back or the head."""
    return float(np.dot(normal(orientation), position))


def unturn(orientation: Orientation | None, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the map from the display layout of a plane to its own pixels: exact flips and a transposition.

    Args:
        orientation: direction cosines of a row, then of a column; None leaves the plane as it is.
        shape: (rows, columns) of the plane as stored.

    Returns:
        (3, 3) matrix from homogeneous (row, column) indices of the display layout to those of the stored plane.
    """
    if orientation is None:
        return np.eye(3)
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    right, down = (np.array(vector) for vector in _LAYOUT[_PLANES[int(np.argmax(normal(orientation)))]])
    transposed = abs(along_row @ down) > abs(along_row @ right)
    row_axis, column_axis = (along_row, along_column) if transposed else (along_column, along_row)
    matrix = np.zeros((3, 3))
    matrix[2, 2] = 1.0
    for display_axis, stored_axis, sense in (
        (0, 1 if transposed else 0, row_axis @ down),
        (1, 0 if transposed else 1, column_axis @ right),
    ):
        matrix[stored_axis, display_axis] = -1.0 if sense < 0 else 1.0
        matrix[stored_axis, 2] = shape[stored_axis] - 1 if sense < 0 else 0.0
    return matrix


def turn(planes: NDArray[np.float32], to_stored: NDArray[np.float64]) -> NDArray[np.float32]:
    """Lay planes (frames, rows, columns) out as ``unturn`` describes, without interpolation."""
    laid = planes.swapaxes(1, 2) if to_stored[0, 1] else planes
    for axis in (0, 1):
        if to_stored[:2, axis].sum() < 0:
            laid = np.flip(laid, axis + 1)
    return np.ascontiguousarray(laid)

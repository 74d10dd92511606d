"""The places that a map and a localiser mark on the source plane, as lines in its pixels."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from skimage.measure import approximate_polygon, find_contours

from inference.archive import Floats
from inference.trust.signals import SURE
from reports.picture.panel import OUTLINE_LEVEL, strength

MOST_POINTS = 4000
"""Of one polyline: more do not fit into the 16-bit length of an element of VR FL (PS3.5 7.1.2)."""
_TOLERANCE = 0.35
"""Pixels by which the drawn contour may stray from the true one."""

Line = NDArray[np.float64]


def marked(on_frame: Floats, peak: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return the connected region round the map's peak that the overlay outlines; None where nothing is positive.

    Args:
        on_frame: (rows, columns) of the source plane, the map.
        peak: row and column of its highest value.
    """
    hot = strength(on_frame, (on_frame.shape[0], on_frame.shape[1])) >= OUTLINE_LEVEL
    if not hot[peak]:
        return None
    regions, _ = label(hot)
    return np.asarray(regions == regions[peak])


def outline(region: NDArray[np.bool_]) -> Line:
    """Return the closed line round a region, the longest where it has holes; points as ``contours`` gives them."""
    return max(_lines(region, MOST_POINTS), key=len)


def contours(localiser: Floats) -> list[Line]:
    """Return the lines round the places where the localiser sees a finding.

    Args:
        localiser: (rows, columns) of the source plane, the localiser's probability.

    Returns:
        (points, 2) each, column and row from the corner of the first pixel, in pixels, at most ``MOST_POINTS`` points.
    """
    lines = _lines(localiser >= SURE, None)
    return [line[start : start + MOST_POINTS] for line in lines for start in range(0, len(line) - 1, MOST_POINTS - 1)]


def _lines(region: NDArray[np.bool_], most: int | None) -> list[Line]:
    rows, columns = region.shape
    lines: list[Line] = []
    for contour in find_contours(np.pad(region.astype(np.float32), 1), 0.5):
        tolerance = _TOLERANCE
        line = approximate_polygon(contour, tolerance)
        while most is not None and len(line) > most:
            tolerance *= 2
            line = approximate_polygon(contour, tolerance)
        line = line[:, ::-1] - 0.5  # the frame of 1, and from centre to corner
        lines.append(np.clip(line, 0.0, [columns, rows]))
    return lines

"""An image as it looks when only some of its pixels are known: linear interpolation over Delaunay triangles.

What the information curves blur with (Kapishnikov et al. 2019). Equal to scipy's ``griddata(method="linear")`` wherever
the triangulation of the known pixels is unique. On a grid it often is not: four known pixels on one circle may be
divided by either diagonal, both being Delaunay's; which one, Qhull decides by the set it is given. A few per cent of
the pixels differ from ``griddata``'s by some grey levels, in neither direction on average; the areas of information
curves of 224 x 224 differ by 1e-4.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import Delaunay

Mask = NDArray[np.bool_]
Points = NDArray[np.int64]


def reconstructed(image: NDArray[np.uint8], known: Mask) -> NDArray[np.uint8]:
    """Keep the known pixels and interpolate the others from them; the four corners are always known.

    A known pixel whose neighbours are all known touches no triangle that holds an unknown one: such pixels are left
    out of the triangulation, which for compact masks leaves the rims. Each triangle is then filled in integers, all of
    them at once, where scipy walks through the triangulation for every pixel.

    Args:
        image: (H, W) or (H, W, channels), at least 2 pixels a side.
        known: (H, W) bool.

    Returns:
        As ``image``; a pixel that no triangle holds takes its channel's mean.
    """
    known = known.copy()
    _mark_corners(known)
    if known.all():
        return image.copy()
    rim = known & ~binary_erosion(known, np.ones((3, 3), dtype=np.bool_), border_value=1)
    _mark_corners(rim)
    points = np.argwhere(rim)
    rows, columns, corners, weights = _filled(points, Delaunay(points).simplices, ~known)
    values = image[points[:, 0], points[:, 1]].astype(np.float64)
    mixed = np.einsum("pk...,pk->p...", values[corners], weights)
    out = np.where(known.reshape(*known.shape, *[1] * (image.ndim - 2)), image, image.mean(axis=(0, 1)))
    out[rows, columns] = mixed
    return np.round(out).astype(np.uint8)


def _filled(
    points: Points, triangles: NDArray[np.int32], unknown: Mask
) -> tuple[Points, Points, NDArray[np.int32], NDArray[np.float64]]:
    """Find the unknown pixels inside triangles: rows, columns, numbers and weights (P, 3) of the three corners."""
    corners = points[triangles]
    low, high = corners.min(axis=1), corners.max(axis=1)
    holds = _count(unknown, low, high) > 0
    triangles, corners, low, high = triangles[holds], corners[holds], low[holds], high[holds]
    sides = high - low + 1
    areas = sides.prod(axis=1)
    owner = np.repeat(np.arange(len(areas)), areas)
    place = np.arange(areas.sum()) - np.repeat(np.cumsum(areas) - areas, areas)
    rows = low[owner, 0] + place // sides[owner, 1]
    columns = low[owner, 1] + place % sides[owner, 1]
    is_unknown = unknown[rows, columns]
    owner, rows, columns = owner[is_unknown], rows[is_unknown], columns[is_unknown]
    origin, first_edge, second_edge = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    doubled = first_edge[:, 0] * second_edge[:, 1] - second_edge[:, 0] * first_edge[:, 1]
    sign = np.sign(doubled)
    down, right = rows - origin[owner, 0], columns - origin[owner, 1]
    first = (down * second_edge[owner, 1] - right * second_edge[owner, 0]) * sign[owner]
    second = (right * first_edge[owner, 0] - down * first_edge[owner, 1]) * sign[owner]
    whole = np.abs(doubled)[owner]
    inside = (first >= 0) & (second >= 0) & (first + second <= whole) & (whole > 0)
    owner, first, second, whole = owner[inside], first[inside], second[inside], whole[inside]
    weights = np.stack([whole - first - second, first, second], axis=1) / whole[:, None]
    return rows[inside], columns[inside], triangles[owner], weights


def _count(unknown: Mask, low: Points, high: Points) -> NDArray[np.int64]:
    """Count the unknown pixels in each bounding box by its four corners of the summed-area table."""
    table = np.zeros((unknown.shape[0] + 1, unknown.shape[1] + 1), dtype=np.int64)
    table[1:, 1:] = unknown.cumsum(axis=0).cumsum(axis=1)
    (top, left), (bottom, right) = low.T, high.T + 1
    return np.asarray(table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left])


def _mark_corners(mask: Mask) -> None:
    mask[[0, 0, -1, -1], [0, -1, 0, -1]] = True

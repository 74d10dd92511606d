"""Rigid registration of two examinations of one patient: rotation and translation, found on the pixels.

The sum of squared differences of standardised grey values, which is least where their correlation is highest, is
minimised from coarse to fine over points of the first series (Gauss-Newton as of Levenberg and Marquardt). A series of
one plane is moved within that plane only.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from inference.reading.image import Image
from reports.audit.grey import grey_levels

Numbers = NDArray[np.float64]
SCALES_MM = (8.0, 4.0, 2.0)
"""Blur of each pass; its points lie half as far apart as the blur is wide, but no closer than the pixels."""
LEAST_BLUR_PIXELS = 0.8
"""Along thick slices too: without it a series fits best where its planes meet the other's, whatever it shows."""
MOST_POINTS = 12_000
TISSUE = 0.05
"""Grey level from which on a pixel is of the patient; 1 is the 99.5th percentile of the stack."""
LEAST_CORRELATION = 0.8
"""Below it the two are too unlike to be laid over each other: heads of different phantoms reach 0.74."""
LEAST_OVERLAP = 0.3
"""Share of the first that must lie in the second."""
LEVER_MM = 50.0
"""A rotation is reckoned in mm at this distance, so that all six steps are alike."""
STEP_MM = 0.5


@dataclass(frozen=True, eq=False)
class Stack:
    """A series of evenly spaced planes, and where its pixels lie."""

    pixels: NDArray[np.floating]
    """(planes, rows, columns)."""
    to_mm: Numbers
    """(4, 4), homogeneous: (plane, row, column) to the patient's coordinates in mm (PS3.3 C.7.6.2.1.1)."""

    @classmethod
    def of(cls, image: Image) -> "Stack | None":
        """Return a series as a stack; None where it does not say where its planes lie."""
        first, last = image.frames[0], image.frames[-1]
        if first.position_mm is None or last.position_mm is None or first.orientation is None:
            return None
        if first.pixel_spacing_mm is None:
            return None
        along, down = np.array(first.orientation[:3]), np.array(first.orientation[3:])
        between_rows, between_columns = first.pixel_spacing_mm
        start, planes = np.array(first.position_mm), len(image.frames)
        step = (np.array(last.position_mm) - start) / (planes - 1) if planes > 1 else np.cross(along, down)
        if not np.abs(step).max() > 0:
            return None
        to_mm = np.eye(4)
        to_mm[:3] = np.stack([step, down * between_rows, along * between_columns, start], axis=1)
        return cls(grey_levels(image), to_mm)

    @property
    def spacing_mm(self) -> Numbers:
        """(3,): between planes, rows and columns."""
        return np.asarray(np.linalg.norm(self.to_mm[:3, :3], axis=0))

    def place(self, indices: Numbers) -> Numbers:
        """Return where pixels lie, (N, 3) indices to (N, 3) mm."""
        return np.asarray(indices @ self.to_mm[:3, :3].T + self.to_mm[:3, 3])

    def index(self, places_mm: Numbers) -> Numbers:
        """Return the pixels at places, (N, 3) mm to (N, 3) indices with fractions."""
        return np.asarray((places_mm - self.to_mm[:3, 3]) @ np.linalg.inv(self.to_mm[:3, :3]).T)

    def blurred(self, width_mm: float) -> Numbers:
        """Return the pixels with a Gaussian blur of this standard deviation."""
        width = np.where(
            np.array(self.pixels.shape) > 1, np.maximum(width_mm / self.spacing_mm, LEAST_BLUR_PIXELS), 0.0
        )
        return np.asarray(gaussian_filter(self.pixels.astype(np.float64), width, mode="nearest"))


@dataclass(frozen=True, eq=False)
class Rigid:
    """Where a place of the first examination lies in the second: rotated about a centre, then moved."""

    rotation: Numbers
    """(3, 3)"""
    centre_mm: Numbers
    """(3,)"""
    shift_mm: Numbers
    """(3,)"""
    correlation: float
    """Of the grey values laid over each other, at the finest pass."""

    def forth(self, places_mm: Numbers) -> Numbers:
        """Bring places of the first examination, (N, 3) in mm, into the second."""
        return np.asarray((places_mm - self.centre_mm) @ self.rotation.T + self.centre_mm + self.shift_mm)

    def back(self, places_mm: Numbers) -> Numbers:
        """Bring places of the second examination, (N, 3) in mm, into the first."""
        return np.asarray((places_mm - self.centre_mm - self.shift_mm) @ self.rotation + self.centre_mm)


def register(first: Stack, second: Stack) -> Rigid | None:
    """Lay the first examination over the second.

    Returns:
        the movement; None where even the best correlates by less than 0.7.
    """
    flat = 1 in (first.pixels.shape[0], second.pixels.shape[0])
    axes = np.linalg.qr(first.to_mm[:3, :3])[0].T  # normal, down, along
    centre = _middle(first)
    begins = [np.zeros(6), np.concatenate([np.zeros(3), axes @ (_middle(second) - centre)])]
    if flat:
        begins = [begin * _FLAT for begin in begins]
    best, correlation = begins[0], -1.0
    for number, scale in enumerate(SCALES_MM):
        fit = _Fit.of(first, second, scale, axes, centre, flat=flat)
        tried = [fit.within(begin).settle(begin) for begin in (begins if number == 0 else [best])]
        best = max(tried, key=lambda moved: fit.within(moved).correlation(moved))
        correlation = fit.within(best).correlation(best)
    if correlation < LEAST_CORRELATION:
        return None
    rotation, shift = _movement(best, axes)
    return Rigid(rotation, centre, shift, correlation)


_FLAT = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 1.0])
"""What may move within a plane: it turns about its normal, and shifts down and along."""


@dataclass(frozen=True, eq=False)
class _Fit:
    """One pass: points of the first series, their standardised grey values, and the second series."""

    places: Numbers
    grey: Numbers
    second: Stack
    pixels: Numbers
    axes: Numbers
    centre: Numbers
    free: NDArray[np.intp]

    @classmethod
    def of(cls, first: Stack, second: Stack, scale: float, axes: Numbers, centre: Numbers, *, flat: bool) -> "_Fit":
        blurred = first.blurred(scale)
        steps = np.maximum(1, np.round(scale / 2 / first.spacing_mm)).astype(int)
        grid = np.meshgrid(
            *(np.arange(0, n, step) for n, step in zip(blurred.shape, steps, strict=True)), indexing="ij"
        )
        indices = np.stack([axis.ravel() for axis in grid], axis=1)
        grey = blurred[tuple(indices.T)]
        near = gaussian_filter((first.pixels > TISSUE).astype(np.float32), 2.0)[tuple(indices.T)] > TISSUE
        chosen = np.flatnonzero(near) if near.any() else np.arange(len(grey))
        chosen = chosen[:: max(1, -(-len(chosen) // MOST_POINTS))]
        free = np.flatnonzero(_FLAT) if flat else np.arange(6)
        places = first.place(indices[chosen].astype(np.float64))
        return cls(places, _standardised(grey[chosen]), second, second.blurred(scale), axes, centre, free)

    def within(self, moved: Numbers) -> "_Fit":
        """Leave out the points that the second series does not reach."""
        there = self._there(moved)
        sides = np.array(self.pixels.shape) - 1
        inside = ((there >= 0) & (there <= sides) | (sides == 0)).all(axis=1)
        if inside.mean() < LEAST_OVERLAP:
            return self
        return replace(self, places=self.places[inside], grey=_standardised(self.grey[inside]))

    def settle(self, begin: Numbers) -> Numbers:
        """Go downhill from six numbers: three turns and three shifts along the axes, in mm."""

        def whole(moved: Numbers) -> Numbers:
            full = begin.copy()
            full[self.free] = moved
            return full

        def slopes(moved: Numbers) -> Numbers:
            steps = STEP_MM * np.eye(len(moved))
            return np.stack(
                [(self.apart(whole(moved + step)) - self.apart(whole(moved - step))) / (2 * STEP_MM) for step in steps],
                axis=1,
            )

        solution = least_squares(
            lambda moved: self.apart(whole(moved)), begin[self.free], slopes, method="lm", xtol=1e-4, max_nfev=60
        )
        return whole(solution.x)

    def apart(self, moved: Numbers) -> Numbers:
        """Return the difference of grey values at each point."""
        return np.asarray(self._seen(moved) - self.grey)

    def correlation(self, moved: Numbers) -> float:
        """Return how the grey values correlate."""
        return float((self._seen(moved) * self.grey).mean())

    def _seen(self, moved: Numbers) -> Numbers:
        return _standardised(map_coordinates(self.pixels, self._there(moved).T, order=1, mode="nearest"))

    def _there(self, moved: Numbers) -> Numbers:
        """Return the pixels of the second series, with fractions, that the points come to lie on."""
        rotation, shift = _movement(moved, self.axes)
        indices = self.second.index((self.places - self.centre) @ rotation.T + self.centre + shift)
        if self.second.pixels.shape[0] == 1:
            indices[:, 0] = 0.0
        return indices


def _movement(moved: Numbers, axes: Numbers) -> tuple[Numbers, Numbers]:
    """Return rotation matrix and shift in the patient's coordinates from turns and shifts along the axes."""
    turns = (moved[:3] / LEVER_MM) @ axes
    return np.asarray(Rotation.from_rotvec(turns).as_matrix()), np.asarray(moved[3:] @ axes)


def _middle(stack: Stack) -> Numbers:
    """Return the centre of what is brighter than nothing, in mm."""
    weights = np.where(stack.pixels > TISSUE, 1.0, 0.0)
    total = weights.sum()
    if total == 0:
        weights, total = np.ones_like(weights), float(weights.size)
    means = [
        float((weights.sum(axis=tuple(other for other in range(3) if other != axis)) * np.arange(side)).sum() / total)
        for axis, side in enumerate(weights.shape)
    ]
    return stack.place(np.array([means]))[0]


def _standardised(values: Numbers) -> Numbers:
    spread = values.std()
    return np.asarray((values - values.mean()) / (spread if spread > 0 else 1.0))

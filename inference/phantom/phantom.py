"""Digital reference objects: a FLAIR-like axial head whose lesions are known exactly.

The ground truth of a phantom needs no annotation. It serves the demonstration, the acceptance test of
an installation and the bundle's passport; it does not replace a site's own cases. Heads differ from seed to seed
(size, skull, ventricles, folds, shading, noise), and things that are bright without being a lesion (scalp, orbital fat,
mucosa, the rim of the ventricles) are always there, so that brightness alone does not give the lesion away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from inference.phantom.anatomy import FLUID, Grid, Head, Point, Volume, head_value, smooth_noise, step_up

Mask: TypeAlias = npt.NDArray[np.bool_]

LOWEST_MM, HIGHEST_MM = -62.0, 64.0
FIELD_OF_VIEW_MM = 240.0


@dataclass(frozen=True)
class Lesion:
    """A hyperintense ellipsoid with blurred, uneven edges.

    `centre_mm` is (x, y, z) in patient coordinates (left, back, crown), `radii_mm` the half axes along them, and
    `contrast` its brightness as a share of the white matter's above it (0.3: faint, 1.0: glaring).
    """

    centre_mm: Point
    radii_mm: Point
    contrast: float

    def __post_init__(self) -> None:
        if min(self.radii_mm) <= 0 or self.contrast <= 0:
            raise ValueError(f"radii_mm and contrast must be above 0, got {self.radii_mm} and {self.contrast}")


@dataclass(frozen=True)
class Phantom:
    """One series and its truth.

    `pixels` float32 and `masks` bool have shape (slices, rows, columns), slices from neck to crown; `pixels` lies in
    0..1. `spacing_mm` is (between slices, between rows, between columns); voxel (0, 0, 0) lies at `origin_mm`,
    (x, y, z) in patient coordinates. `seed` made it.
    """

    pixels: Volume
    masks: Mask
    spacing_mm: Point
    origin_mm: Point
    lesions: tuple[Lesion, ...]
    seed: int

    @property
    def lesion_slices(self) -> tuple[int, ...]:
        """Indices, from 0, of the slices on which some lesion is seen."""
        return tuple(int(i) for i in np.flatnonzero(self.masks.any((1, 2))))


def make_phantom(
    seed: int,
    *,
    lesions: int | Sequence[Lesion] = 1,
    rows: int = 256,
    columns: int = 256,
    slices: int | None = None,
    noise: float | None = None,
) -> Phantom:
    """Make the head of this seed; the same arguments give the same pixels.

    `lesions` is how many to place at random inside the brain, or the lesions themselves. `slices` defaults to 20 to 24
    by seed; `noise`, the standard deviation of the Rician noise as a share of full scale, to 0.004 to 0.016 by seed.
    Raises ValueError for fewer than 3 slices, fewer than 32 rows or columns, or a lesion that lies outside the brain.
    """
    count = slices if slices is not None else int(np.random.default_rng([seed, 1]).integers(20, 25))
    if count < 3 or min(rows, columns) < 32:
        raise ValueError(f"a phantom needs 3 slices of 32 x 32 at least, not {count} of {rows} x {columns}")
    spacing, origin, grid = _lay_out(count, rows, columns)
    value, brain = head_value(Head.draw(np.random.default_rng([seed, 2])), grid, np.random.default_rng([seed, 3]))
    rng = np.random.default_rng([seed, 4])
    placed = _place(lesions, grid, brain, value, rng) if isinstance(lesions, int) else tuple(lesions)
    value, masks = _add(placed, value, brain, grid, rng)
    value = _shade(value, grid, np.random.default_rng([seed, 5]), in_plane_mm=spacing[1])
    sigma = noise if noise is not None else float(np.random.default_rng([seed, 6]).uniform(0.004, 0.016))
    pixels = _rician(value, sigma, np.random.default_rng([seed, 7]))
    return Phantom(pixels, masks, spacing, origin, placed, seed)


def degrade(phantom: Phantom, *, noise: float = 0.0, motion: float = 0.0, seed: int = 0) -> Phantom:
    """The same head, acquired worse; truth and geometry stay.

    `noise` is the standard deviation of added Rician noise as a share of full scale. `motion` is the standard
    deviation, in mm, of in-plane shifts between groups of phase-encoding lines: each shift multiplies its lines of
    k-space by a phase ramp, which ghosts and blurs along the rows as a restless patient does (0.5 slight, 2 severe).
    Raises ValueError if either is negative.
    """
    if noise < 0 or motion < 0:
        raise ValueError(f"noise and motion must not be negative, got {noise} and {motion}")
    rng = np.random.default_rng([phantom.seed, seed, 8])
    pixels = phantom.pixels
    if motion > 0:
        pixels = np.stack([_ghost(image, motion, phantom.spacing_mm[1:], rng) for image in pixels])
    return replace(phantom, pixels=_rician(pixels, noise, rng))


def _lay_out(count: int, rows: int, columns: int) -> tuple[Point, Point, Grid]:
    between = round((HIGHEST_MM - LOWEST_MM) / (count - 1), 3)
    pixel = FIELD_OF_VIEW_MM / max(rows, columns)
    origin = (-pixel * (columns - 1) / 2, -pixel * (rows - 1) / 2, LOWEST_MM)
    z = (origin[2] + between * np.arange(count, dtype=np.float32))[:, None, None]
    y = (origin[1] + pixel * np.arange(rows, dtype=np.float32))[None, :, None]
    x = (origin[0] + pixel * np.arange(columns, dtype=np.float32))[None, None, :]
    return (between, pixel, pixel), origin, Grid(x, y, z)


def _place(count: int, grid: Grid, brain: Volume, value: Volume, rng: np.random.Generator) -> tuple[Lesion, ...]:
    height = np.broadcast_to(grid.z, brain.shape)
    tissue = gaussian_filter(np.where(value > 2.5 * FLUID, brain, 0), (0.6, 4, 4))
    home = np.argwhere((tissue > 0.9) & (height > -30) & (height < 46))
    if count and not len(home):
        raise ValueError("no slice of this phantom has room for a lesion: give more slices")
    placed = []
    for _ in range(count):
        slice_, row, column = home[int(rng.integers(len(home)))]
        centre = (float(grid.x[0, 0, column]), float(grid.y[0, row, 0]), float(grid.z[slice_, 0, 0]))
        size = float(np.exp(rng.uniform(np.log(9), np.log(24))))
        radii = tuple(float(size * rng.uniform(0.75, 1.25)) for _ in range(2))
        placed.append(Lesion(centre, (radii[0], radii[1], float(max(9.0, size * rng.uniform(0.7, 1.0)))),
                             float(rng.uniform(0.40, 0.95))))  # fmt: skip
    return tuple(placed)


def _add(
    lesions: Sequence[Lesion], value: Volume, brain: Volume, grid: Grid, rng: np.random.Generator
) -> tuple[Volume, Mask]:
    masks = np.zeros(grid.shape, np.bool_)
    for lesion in lesions:
        uneven = 0.16 * smooth_noise(rng, grid.shape, blur=6) + 0.05 * smooth_noise(rng, grid.shape, blur=2)
        share = step_up(1 - grid.distance(lesion.centre_mm, lesion.radii_mm) + uneven, 0, 0.07) * brain
        tissue = 0.35 + 0.65 * step_up(value, 2.5 * FLUID, 0.03)  # oedema fills the folds only in part
        seen = (share > 0.5) & (brain > 0.5)
        if not seen.any():
            raise ValueError(f"the lesion at {lesion.centre_mm} mm lies outside the brain of this phantom")
        grain = 1 + 0.10 * smooth_noise(rng, grid.shape, blur=4)
        value = np.asarray(value + 0.40 * lesion.contrast * share * tissue * grain, np.float32)
        masks |= seen
    return value, masks


def _shade(value: Volume, grid: Grid, rng: np.random.Generator, *, in_plane_mm: float) -> Volume:
    tilt, bow, gain = rng.uniform(-0.15, 0.15, 3), rng.uniform(0.0, 0.25), rng.uniform(0.55, 0.95)
    field = 1 + tilt[0] * grid.x / 80 + tilt[1] * grid.y / 95 + tilt[2] * grid.z / 70
    field = field + bow * ((grid.x / 75) ** 2 + (grid.y / 92) ** 2 - 0.5)
    fade = 1 - rng.uniform(0.1, 0.5) * step_up(-grid.z, 54, 3)  # the coil ends at the neck
    blurred = gaussian_filter(value, (0, 0.55 / in_plane_mm, 0.55 / in_plane_mm))
    return np.asarray(gain * blurred * np.clip(field, 0.3, 2) * fade, np.float32)


def _ghost(image: Volume, motion: float, pixel_mm: tuple[float, float], rng: np.random.Generator) -> Volume:
    rows, columns = image.shape
    groups = 16
    shifts = rng.normal(0, motion, (2, groups))
    shifts[:, groups // 2 - 1 : groups // 2 + 1] *= 0.3  # the head is steadiest relative to itself at the centre
    which = np.arange(rows) * groups // rows
    row_shift, column_shift = shifts[0][which] / pixel_mm[0], shifts[1][which] / pixel_mm[1]
    down, across = np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None, :]
    order = np.fft.fftshift(np.arange(rows))
    drift = np.zeros((2, rows))
    drift[0][order], drift[1][order] = row_shift, column_shift
    ramp = np.exp(-2j * np.pi * (down * drift[0][:, None] + across * drift[1][:, None]))
    return np.asarray(np.abs(np.fft.ifft2(np.fft.fft2(image) * ramp)), np.float32)


def _rician(value: Volume, sigma: float, rng: np.random.Generator) -> Volume:
    if sigma <= 0:
        return np.asarray(np.clip(value, 0, 1), np.float32)
    real, imaginary = (sigma * rng.standard_normal(value.shape, dtype=np.float32) for _ in range(2))
    return np.asarray(np.clip(np.hypot(value + real, imaginary), 0, 1), np.float32)

"""Anatomy of the digital head: what stands at each point of space, as smooth functions of millimetres.

Patient coordinates (DICOM PS3.3 C.7.6.2.1.1): x to the left, y to the back, z to the crown, millimetres; the origin
lies in the middle of the head. Values are display values before the coil's shading: on FLAIR the scalp's fat is bright,
skull, air and cerebrospinal fluid are dark, grey matter is a little brighter than white matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Volume: TypeAlias = npt.NDArray[np.float32]
Point: TypeAlias = tuple[float, float, float]

WHITE_MATTER, FLUID, SKULL, AIR = 0.40, 0.07, 0.05, 0.015


@dataclass(frozen=True)
class Grid:
    """Coordinates in mm of every voxel: z is (slices, 1, 1), y is (1, rows, 1), x is (1, 1, columns)."""

    x: Volume
    y: Volume
    z: Volume

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return self.z.shape[0], self.y.shape[1], self.x.shape[2]

    def distance(self, centre_mm: Point, radii_mm: Point) -> Volume:
        """Ellipsoidal distance: 1 on the surface of the ellipsoid, shape (slices, rows, columns)."""
        parts = ((self.x - centre_mm[0]) / radii_mm[0], (self.y - centre_mm[1]) / radii_mm[1])
        height = (self.z - centre_mm[2]) / radii_mm[2]
        return np.asarray(np.sqrt(parts[0] ** 2 + parts[1] ** 2 + height**2), np.float32)


@dataclass(frozen=True)
class Head:
    """Individual measures of one head, drawn from a seed; lengths in mm."""

    width: float
    length: float
    height: float
    scalp: float
    skull: float
    lobes: tuple[float, float, float]
    ventricle: float
    rim: float
    nose: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Head:
        """One adult head: half axes 66-77 x 85-97 x 66-74 mm."""
        lobes = rng.uniform(-0.02, 0.02, 3)
        return cls(
            width=rng.uniform(66, 77), length=rng.uniform(85, 97), height=rng.uniform(68, 75),
            scalp=rng.uniform(4.5, 8.0), skull=rng.uniform(4.0, 6.5),
            lobes=(float(lobes[0]), float(lobes[1]), float(lobes[2])),
            ventricle=rng.uniform(2.8, 6.5), rim=rng.uniform(0.05, 0.20), nose=rng.uniform(10, 24),
        )  # fmt: skip


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int, int], *, blur: float, slices: float = 0.7) -> Volume:
    """Gaussian noise of unit variance, correlated over `blur` pixels in the plane and `slices` slices."""
    step = max(1, int(blur // 3))  # long waves are drawn coarsely: same look, a fraction of the time
    coarse = (shape[0], -(-shape[1] // step), -(-shape[2] // step))
    field = gaussian_filter(rng.standard_normal(coarse, dtype=np.float32), (slices, blur / step, blur / step))
    field = np.repeat(np.repeat(field, step, 1), step, 2)[:, : shape[1], : shape[2]]
    if step > 1:
        field = gaussian_filter(field, (0, step / 2, step / 2))
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6), np.float32)


def step_up(value: Volume, at: float | Volume, width: float) -> Volume:
    """Logistic step from 0 to 1 at `at`; 10 to 90 % takes about 4.4 `width`."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(-(value - at) / width, -40, 40))), np.float32)


def depth_below_skin(head: Head, grid: Grid) -> Volume:
    """Depth in mm below the skin (negative outside), shape (slices, rows, columns)."""
    angle = np.arctan2(grid.y / head.length, grid.x / head.width)
    wobble = (
        1 + head.lobes[0] * np.cos(3 * angle) + head.lobes[1] * np.sin(2 * angle) + head.lobes[2] * np.cos(2 * angle)
    )
    radius = np.hypot(grid.x / head.width, grid.y / head.length) / wobble
    up, down = np.maximum(grid.z, 0) / head.height, np.minimum(grid.z + 15, 0) / 50
    shell = np.sqrt(radius**2 + up**2) + 0.10 * down**2
    depth = (1 - shell) * np.sqrt(head.width * head.length)
    front = step_up(-grid.z, 34, 4) * np.exp(-((grid.x / 13) ** 2)) * np.exp(-(((grid.y + head.length) / 22) ** 2))
    return np.asarray(depth + head.nose * front, np.float32)


def brain_fraction(head: Head, grid: Grid, depth: Volume) -> Volume:
    """Share of brain (with its fluid) in each voxel, 0..1: within the skull and above the skull base."""
    inner = head.scalp + head.skull
    floor = -28 - 14 * np.exp(-((np.abs(grid.x) - 42) ** 2) / 500) * step_up(-np.abs(grid.y + 8), -28, 3)
    floor = floor - 34 * step_up(grid.y, 12, 4) * np.exp(-((grid.x / 46) ** 4))
    return np.asarray(step_up(depth, inner, 0.6) * step_up(grid.z - floor, 0, 2.0), np.float32)


def ventricle_distance(head: Head, grid: Grid) -> Volume:
    """Distance in mm to the wall of the nearest ventricle, negative inside it."""
    horns = ((7.0, -26.0, 10.0), (9.0, -12.0, 15.0), (11.0, 4.0, 17.0), (16.0, 20.0, 14.0), (22.0, 34.0, 7.0))
    nearest = grid.distance((0, 0, -8), (0.45, 2.6, 2.2)) * 3.0 - 9.0
    nearest = np.minimum(nearest, grid.distance((0, 42, -38), (1.3, 1.0, 1.2)) - 6.0)
    for start, end in pairwise(horns):
        for share in (0.0, 0.33, 0.67):
            x, y, z = (start[i] + share * (end[i] - start[i]) for i in range(3))
            for side in (-1, 1):
                nearest = np.minimum(nearest, grid.distance((side * x, y, z), (1, 1.35, 1.5)) - head.ventricle)
    return np.asarray(nearest, np.float32)


def brain_value(head: Head, grid: Grid, depth: Volume, rng: np.random.Generator) -> Volume:
    """Value of brain tissue and the fluid around and inside it, without any lesion."""
    folds, fine, broad = (smooth_noise(rng, grid.shape, blur=b, slices=s) for b, s in ((3.5, 0.5), (1.4, 0.3), (14, 1)))
    cortex = 1 - step_up(depth, head.scalp + head.skull + 17, 2.5)
    value = WHITE_MATTER + 0.055 * cortex * np.exp(-((folds / 0.7) ** 2)) + 0.012 * fine + 0.015 * broad
    deep = np.exp(-((grid.distance((22, -2, 2), (9, 17, 12))) ** 4)) + np.exp(
        -((grid.distance((-22, -2, 2), (9, 17, 12))) ** 4)
    )
    value = value + 0.035 * deep
    dark = 0.75 * np.exp(-((folds / 0.17) ** 2)) * cortex
    rim = 1 - step_up(depth, head.scalp + head.skull + 1.8 + 0.8 * broad, 0.5)
    fissure = np.exp(-((grid.x + 0.5 * broad) ** 2) / 1.3) * np.maximum(
        step_up(grid.z, 28, 3), step_up(np.abs(grid.y), 38, 3)
    )
    cistern = np.exp(-(grid.distance((0, -4, -26), (13, 13, 8)) ** 4)) * (folds > -0.2)
    dark = np.clip(np.maximum.reduce([dark, rim, 0.8 * fissure * np.ones_like(dark), 0.7 * cistern]), 0, 1)
    wall = ventricle_distance(head, grid)
    value = value + head.rim * np.exp(-(np.maximum(wall, 0) ** 2) / 5) * (0.6 + 0.4 * np.tanh(broad))
    dark = np.maximum(dark, 1 - step_up(wall, 0, 0.5))
    return np.asarray(value * (1 - dark) + FLUID * dark, np.float32)


def face_value(grid: Grid, rng: np.random.Generator) -> Volume:
    """Value of what lies below the skull base: muscle, fat, air, orbits; bright here is never a lesion."""
    coarse, medium = smooth_noise(rng, grid.shape, blur=6), smooth_noise(rng, grid.shape, blur=2.5)
    value = 0.22 + 0.05 * medium + 0.42 * step_up(coarse, 0.9, 0.15) - 0.17 * step_up(-coarse, 0.7, 0.15)
    z_eye = rng.uniform(-44, -36)
    for side in (-1.0, 1.0):
        cone = 1 - step_up(grid.distance((side * 30, -62, z_eye), (18, 24, 13)), 1, 0.05)
        value = value * (1 - cone) + rng.uniform(0.5, 0.8) * cone
        nerve = np.exp(-(((grid.x - side * (30 + 0.35 * (grid.y + 66) * -1)) / 2.5) ** 2)) * cone
        value = value - 0.3 * nerve
        eye = 1 - step_up(grid.distance((side * 31, -70, z_eye), (12, 12, 10)), 1, 0.04)
        value = value * (1 - eye) + 0.08 * eye
        shell = np.exp(-(((grid.distance((side * 31, -70, z_eye), (12, 12, 10)) - 1) / 0.09) ** 2))
        value = np.maximum(value, 0.42 * shell)
        sinus = 1 - step_up(grid.distance((side * 22, -56, z_eye - 18), (14, 14, 9)), 1, 0.05)
        lining = np.exp(-(((grid.distance((side * 22, -56, z_eye - 18), (14, 14, 9)) - 0.95) / 0.1) ** 2))
        value = value * (1 - sinus) + AIR * sinus + rng.uniform(0.0, 0.5) * lining
        petrous = np.exp(-(grid.distance((side * 38, 8, -44), (20, 10, 10)) ** 4))
        value = value * (1 - petrous) + 0.07 * petrous
        spot = (side * rng.uniform(4, 34), rng.uniform(-58, -20), rng.uniform(-56, -34))
        size = rng.uniform(3, 8)
        value = value + rng.uniform(0.0, 0.6) * np.exp(-(grid.distance(spot, (size, size, 7)) ** 2))
    return np.asarray(np.clip(value, AIR, 1), np.float32)


def head_value(head: Head, grid: Grid, rng: np.random.Generator) -> tuple[Volume, Volume]:
    """The whole head without lesions: (value 0..1, share of brain 0..1), both (slices, rows, columns)."""
    depth = depth_below_skin(head, grid)
    brain = brain_fraction(head, grid, depth)
    inside = brain_value(head, grid, depth, rng)
    below = face_value(grid, rng)
    patchy = smooth_noise(rng, grid.shape, blur=5)
    fat = np.clip(0.80 + 0.10 * patchy, 0.3, 1.0) * (0.55 + 0.45 * step_up(depth, 1.8, 0.4))
    bone = SKULL + 0.05 * np.clip(patchy, 0, 2)
    shell = fat + (bone - fat) * step_up(depth, head.scalp, 0.5)
    vault = step_up(grid.z + 0 * depth, -30, 3)
    deep_face = step_up(depth, head.scalp, 0.7)
    outside_brain = vault * shell + (1 - vault) * (0.85 * fat * (1 - deep_face) + below * deep_face)
    value = inside * brain + outside_brain * (1 - brain)
    skin = step_up(depth, 0, 0.5)
    return np.asarray(value * skin + AIR * (1 - skin), np.float32), brain

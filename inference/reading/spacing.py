"""How the planes of a stack lie to each other: constant, gapped, changing, irregular, duplicated or tilted."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.reading.geometry import Orientation, Vector, normal

STEP_TOLERANCE = 0.1
"""How far a distance between two planes may differ from a whole number of steps, as a share of the step."""
SAME_PLACE_MM = 0.01
"""Planes closer than this along the normal, and in their plane, lie at one place."""
TILT_TOLERANCE_DEGREES = 0.5
"""How far the line through the first pixels may lean from the normal: rounded positions lean less."""
DRIFT_TOLERANCE = 0.2
"""How far a first pixel may lie off the line through first and last, as a share of the step."""
SHORTEST_RUN = 2
"""Fewest equal steps in a row that make a part of a stack with a step of its own."""
FEWEST_SINGLE_STEPS = 2
"""Fewest single steps that show what a step is where no Spacing Between Slices does."""
LONGEST_GAPPED_RUN = 2
"""Most equal long steps in a row that are gaps of a constant step; more are a part with a step of its own."""
MOST_STEPS_ABSENT = 0.34
"""Largest share of absent planes in a stack whose step still counts as otherwise constant."""


class Regularity(StrEnum):
    """Whether the planes of a stack are evenly spaced."""

    CONSTANT = "constant"
    """One step throughout, but for whole steps that are absent (see ``Spacing.missing``)."""
    CHANGING = "changing"
    """Parts of constant step, one after the other (see ``Spacing.runs``)."""
    IRREGULAR = "irregular"
    DUPLICATED = "duplicated"
    """Several planes at one place."""
    UNKNOWN = "unknown"
    """A single plane, or planes without position or orientation."""


@dataclass(frozen=True)
class Spacing:
    """How the planes of one stack lie to each other, in the order of the stack."""

    regularity: Regularity = Regularity.UNKNOWN
    step_mm: float | None = None
    """Distance of neighbouring planes along their normal: of a constant step, else the median."""
    tilt_degrees: float = 0.0
    """Angle between the normal and the line through the first pixels: a tilted gantry's."""
    missing: int = 0
    """Planes absent inside the stack."""
    gaps: tuple[int, ...] = ()
    """Index of the plane before each gap of whole steps."""
    runs: tuple[tuple[int, int], ...] = ()
    """Where the step changes: first plane and last plane + 1 of each part; neighbouring parts share a plane."""

    @property
    def tilted(self) -> bool:
        """Return whether the planes are moved in their own plane, as by a tilted gantry."""
        return self.tilt_degrees > TILT_TOLERANCE_DEGREES

    def sentence(self) -> str:
        """Return what is not regular about the stack in words; empty where it is regular or unknown."""
        parts = {
            Regularity.CHANGING: f"the distance between planes changes ({len(self.runs)} parts)",
            Regularity.IRREGULAR: "the distance between planes is irregular",
            Regularity.DUPLICATED: "several planes lie at the same position",
        }
        words = [parts[self.regularity]] if self.regularity in parts else []
        if self.missing:
            words.append(f"{self.missing} {'plane is' if self.missing == 1 else 'planes are'} absent inside")
        if self.tilted:
            words.append(f"the planes are sheared by {self.tilt_degrees:.1f} degrees (gantry tilt)")
        return ", ".join(words)


UNKNOWN = Spacing()
"""Of a single plane, or of planes whose place is unknown."""


def spacing_of(
    frames: Sequence[Any], declared_mm: float | None = None, taken: AbstractSet[int] = frozenset()
) -> Spacing:
    """Measure how planes lie to each other.

    Args:
        frames: planes of one orientation, sorted along their normal.
        declared_mm: Spacing Between Slices (0018,0088), which settles what a single step is where few are left, or
            where Instance Numbers (0020,0013) step as the planes do. Alone it says nothing: many write it wrongly.
        taken: Instance Numbers of other planes of the series.
    """
    places = _places(frames)
    if places is None or len(places) < 2:
        return UNKNOWN
    steps, tilt, straight = _steps(places, frames[0].orientation)
    if steps.min() < SAME_PLACE_MM:
        apart = steps[steps >= SAME_PLACE_MM]
        return Spacing(Regularity.DUPLICATED, float(np.median(apart)) if apart.size else None, tilt)
    step, declared = _base(steps, declared_mm)
    whole = np.rint(steps / step).astype(int)
    if not straight:
        return Spacing(Regularity.IRREGULAR, step, tilt)
    if not (np.abs(steps - whole * step) > STEP_TOLERANCE * step).any() and whole.min() >= 1:
        absent = int((whole - 1).sum())
        if _otherwise_constant(whole, absent, 1 if declared else FEWEST_SINGLE_STEPS):
            fraction = _fraction(frames, whole, step, declared_mm, taken)
            whole, step = whole * fraction, step / fraction
            gaps = tuple(int(index) for index in np.flatnonzero(whole > 1))
            return Spacing(Regularity.CONSTANT, step, tilt, missing=int((whole - 1).sum()), gaps=gaps)
    runs = _runs(steps)
    if runs:
        return Spacing(Regularity.CHANGING, float(np.median(steps)), tilt, runs=runs)
    return Spacing(Regularity.IRREGULAR, float(np.median(steps)), tilt)


def _places(frames: Sequence[Any]) -> NDArray[np.float64] | None:
    positions: list[Vector] = [frame.position_mm for frame in frames if frame.position_mm and frame.orientation]
    return np.array(positions) if len(positions) == len(frames) and positions else None


def _steps(places: NDArray[np.float64], orientation: Orientation) -> tuple[NDArray[np.float64], float, bool]:
    """Return the steps along the normal, the tilt in degrees, and whether the first pixels lie on a line."""
    towards = normal(orientation)
    depths = places @ towards
    steps, length = np.diff(depths), float(depths[-1] - depths[0])
    beside = places - places[0] - np.outer(depths - depths[0], towards)
    if length < SAME_PLACE_MM:
        return steps, 0.0, True
    slope = beside[-1] / length
    off = np.linalg.norm(beside - np.outer(depths - depths[0], slope), axis=1).max()
    tilt = float(np.degrees(np.arctan(np.linalg.norm(slope))))
    return steps, tilt, bool(off <= max(DRIFT_TOLERANCE * float(np.median(steps)), SAME_PLACE_MM))


def _base(steps: NDArray[np.float64], declared_mm: float | None) -> tuple[float, bool]:
    """Return the single step, and whether it is the declared one: where the smallest agrees; else a median."""
    smallest = float(steps.min())
    if declared_mm and abs(abs(declared_mm) - smallest) <= STEP_TOLERANCE * smallest:
        return abs(declared_mm), True
    return float(np.median(steps[steps <= smallest * (1 + 2 * STEP_TOLERANCE)])), False


def _fraction(
    frames: Sequence[Any], whole: NDArray[np.int_], step: float, declared_mm: float | None, taken: AbstractSet[int]
) -> int:
    """Return how many declared steps one measured step is where planes are absent from between all others; else 1.

    Instance Numbers have to step by as many as well, none of those between belonging to another plane.
    """
    count = round(step / abs(declared_mm)) if declared_mm else 1
    if not declared_mm or count < 2 or abs(step - count * abs(declared_mm)) > STEP_TOLERANCE * abs(declared_mm):
        return 1
    numbers = [frame.instance_number for frame in frames]
    if None in numbers:
        return 1
    numbered = np.diff(np.array(numbers))
    if not any(np.array_equal(numbered, sign * whole * count) for sign in (1, -1)):
        return 1
    between = set(range(min(numbers), max(numbers))) - set(numbers)
    return 1 if between & taken else count


def _otherwise_constant(whole: NDArray[np.int_], absent: int, fewest: int) -> bool:
    """Whether long steps are gaps in a constant step: few planes absent, and no part with a step of its own."""
    if absent == 0:
        return True
    ends = [0, *(np.flatnonzero(np.diff(whole)) + 1), len(whole)]
    for start, stop in pairwise(ends):
        inside = start > 0 and stop < len(whole)
        if whole[start] > 1 and stop - start > (LONGEST_GAPPED_RUN if inside else 1):
            return False
    return absent / (absent + len(whole) + 1) <= MOST_STEPS_ABSENT and int((whole == 1).sum()) >= fewest


def _runs(steps: NDArray[np.float64]) -> tuple[tuple[int, int], ...]:
    """Return the parts of constant step; empty where one is shorter than ``SHORTEST_RUN`` steps, or is all."""
    parts, start = [], 0
    for index in range(1, len(steps) + 1):
        if index == len(steps) or abs(steps[index] - steps[start]) > STEP_TOLERANCE * steps[start]:
            parts.append((start, index + 1))
            start = index
    long = all(last - first - 1 >= SHORTEST_RUN for first, last in parts)
    return tuple(parts) if long and len(parts) > 1 else ()

"""Which planes of a series are one stack, and what tells each stack from the others.

Planes that differ in matrix, orientation, spacing, frame of reference and the like are never one stack. Where several
planes lie at one place, the trait is looked for that tells them apart: echo, b-value, cardiac phase, image type and so
on. A trait that merely varies from plane to plane splits nothing, nor does one that explains no repeated place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.reading.geometry import plane_of
from inference.reading.places import Planes, by_place, depth_of, parted, values_of
from inference.reading.traits import ALWAYS, OF_FEW_VALUES, UndecodedPlane

FEWEST_PLANES = 2
"""Fewest planes with a value of ``traits.OF_FEW_VALUES`` that make a stack of their own where no place repeats."""
MOST_PLANES_OF_A_LOCALISER = 3
FEWEST_ORIENTATIONS_OF_A_LOCALISER = 3
MOST_OF_THE_PLANES = 4
"""Such a trait takes at most one value for so many planes."""


@dataclass(frozen=True, eq=False)
class UndecodedStack:
    """Planes of one stack, sorted."""

    planes: tuple[UndecodedPlane, ...]
    name: str
    """What tells it from the other stacks of its series; empty where it is the only one."""
    localiser: bool
    """Whether it is there to plan others with."""
    numbers: frozenset[int] = frozenset()
    """Instance Numbers of the planes of the whole series."""


def stacks_of(planes: Sequence[UndecodedPlane]) -> tuple[UndecodedStack, ...]:
    """Split the planes of one series into stacks, in the order of their first planes.

    Planes are sorted along their normal towards the patient's left, back or head; by Instance Number, then SOP
    Instance UID, where positions are unknown.
    """
    groups: list[tuple[Planes, tuple[str, ...]]] = [(list(planes), ())] if planes else []
    for trait in ALWAYS:
        groups = [part for group, names in groups for part in parted(group, names, trait)]
    groups = [part for group, names in groups for part in _by_few_values(group, names)]
    groups = [part for group, names in groups for part in by_place(group, names)]
    names = _unlike([", ".join(names) for _, names in groups])
    survey = _is_localiser_series(groups)
    numbers = frozenset(plane.frame.instance_number for plane in planes if plane.frame.instance_number is not None)
    return tuple(
        UndecodedStack(tuple(sorted(group, key=_place(group))), name, survey or group[0].localiser, numbers)
        for (group, _), name in zip(groups, names, strict=True)
    )


def _is_localiser_series(groups: Sequence[tuple[Planes, tuple[str, ...]]]) -> bool:
    """Whether a series is a few planes in each of three or more orientations, whatever its Image Type says."""
    orientations = {plane_of(group[0].frame.orientation) for group, _ in groups} - {""}
    few = all(len(group) <= MOST_PLANES_OF_A_LOCALISER for group, _ in groups)
    return few and len(orientations) >= FEWEST_ORIENTATIONS_OF_A_LOCALISER


def _by_few_values(planes: Planes, names: tuple[str, ...]) -> list[tuple[Planes, tuple[str, ...]]]:
    if len(planes) < 2 * FEWEST_PLANES:
        return [(planes, names)]
    for trait in OF_FEW_VALUES:
        parts = values_of(planes, trait, max(2, len(planes) // MOST_OF_THE_PLANES))
        if len(parts) > 1 and all(len(part) >= FEWEST_PLANES for _, part in parts):
            return [done for part, longer in parted(planes, names, trait) for done in _by_few_values(part, longer)]
    return [(planes, names)]


def _place(planes: Planes) -> Callable[[UndecodedPlane], tuple[float, float, str, int]]:
    """Return the sorting key of a plane: place along the normal, instance number, UID, frame number."""
    by_geometry = all(plane.frame.position_mm and plane.frame.orientation for plane in planes)

    def key(plane: UndecodedPlane) -> tuple[float, float, str, int]:
        depth = round(depth_of(plane), 3) if by_geometry else 0.0
        number = plane.frame.instance_number
        return depth, math.inf if number is None else float(number), plane.frame.sop_instance_uid, plane.index

    return key


def _unlike(names: list[str]) -> list[str]:
    """Number the stacks whose names are alike."""
    numbered: list[str] = []
    for index, name in enumerate(names):
        alike = names.count(name)
        place = names[: index + 1].count(name)
        numbered.append(f"{name or 'stack'} ({place} of {alike})" if alike > 1 else name)
    return numbered

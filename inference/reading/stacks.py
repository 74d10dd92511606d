"""Which planes of a series are one stack, and what tells each stack from the others.

Planes that differ in matrix, orientation, spacing, frame of reference and the like are never one stack. Where several
planes lie at one place, the trait is looked for that tells them apart: echo, b-value, cardiac phase, image type and so
on. A trait that merely varies from plane to plane splits nothing, nor does one that explains no repeated place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from inference.reading.geometry import depth_mm, plane_of
from inference.reading.spacing import SAME_PLACE_MM
from inference.reading.traits import ALWAYS, AT_ONE_PLACE, IN_TURN, OF_FEW_VALUES, Trait, UndecodedPlane, Value

Planes = list[UndecodedPlane]
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


def stacks_of(planes: Sequence[UndecodedPlane]) -> tuple[UndecodedStack, ...]:
    """Split the planes of one series into stacks, in the order of their first planes.

    Planes are sorted along their normal towards the patient's left, back or head; by Instance Number, then SOP
    Instance UID, where positions are unknown.
    """
    groups: list[tuple[Planes, tuple[str, ...]]] = [(list(planes), ())] if planes else []
    for trait in ALWAYS:
        groups = [part for group, names in groups for part in _parted(group, names, trait)]
    groups = [part for group, names in groups for part in _by_few_values(group, names)]
    groups = [part for group, names in groups for part in _by_place(group, names)]
    names = _unlike([", ".join(names) for _, names in groups])
    survey = _is_localiser_series(groups)
    return tuple(
        UndecodedStack(tuple(sorted(group, key=_place(group))), name, survey or group[0].localiser)
        for (group, _), name in zip(groups, names, strict=True)
    )


def _is_localiser_series(groups: Sequence[tuple[Planes, tuple[str, ...]]]) -> bool:
    """Whether a series is a few planes in each of three or more orientations, whatever its Image Type says."""
    orientations = {plane_of(group[0].frame.orientation) for group, _ in groups} - {""}
    few = all(len(group) <= MOST_PLANES_OF_A_LOCALISER for group, _ in groups)
    return few and len(orientations) >= FEWEST_ORIENTATIONS_OF_A_LOCALISER


def _parted(planes: Planes, names: tuple[str, ...], trait: Trait) -> list[tuple[Planes, tuple[str, ...]]]:
    """Split by a trait; the name grows where there are several values."""
    parts = values_of(planes, trait)
    if len(parts) < 2:
        return [(planes, names)]
    spoken = [
        f"{trait.name} {number} of {len(parts)}" if trait.numbered else trait.words(value)
        for number, (value, _) in enumerate(parts, 1)
    ]
    return [(part, (*names, word)) for (_, part), word in zip(parts, spoken, strict=True)]


def values_of(planes: Planes, trait: Trait, most: int | None = None) -> list[tuple[Value, Planes]]:
    """Return the values that planes have of a trait, with the planes of each, sorted by value.

    Numbers are one value where they are within tolerance of the first of it.

    Args:
        planes: of one series.
        trait: to ask for.
        most: give up, with an empty list, where there are more values than so many.
    """
    exact: dict[Value, Planes] = {}
    for plane in planes:
        exact.setdefault(trait.value(plane), []).append(plane)
    clusters: list[tuple[Value, Planes]] = []
    for value in sorted(exact, key=lambda value: (value is None, str(type(value)), value or ())):
        alone = not isinstance(value, tuple) or len(value) == 1
        near = next((known for known in (clusters[-1:] if alone else clusters) if _near(known[0], value, trait)), None)
        if near is not None:
            near[1].extend(exact[value])
            continue
        clusters.append((value, list(exact[value])))
        if most is not None and len(clusters) > most:
            return []
    return clusters


def _near(first: Value, second: Value, trait: Trait) -> bool:
    """Whether two values of a trait count as one: equal, or numbers within its tolerance."""
    if not isinstance(first, tuple) or not isinstance(second, tuple) or len(first) != len(second):
        return first == second
    first_parts, second_parts = cast("tuple[float | str, ...]", first), cast("tuple[float | str, ...]", second)
    return all(
        a == b
        if isinstance(a, str) or isinstance(b, str)
        else abs(a - b) <= trait.absolute + trait.relative * abs(a) + 1e-9
        for a, b in zip(first_parts, second_parts, strict=True)
    )


def _by_few_values(planes: Planes, names: tuple[str, ...]) -> list[tuple[Planes, tuple[str, ...]]]:
    if len(planes) < 2 * FEWEST_PLANES:
        return [(planes, names)]
    for trait in OF_FEW_VALUES:
        parts = values_of(planes, trait, max(2, len(planes) // MOST_OF_THE_PLANES))
        if len(parts) > 1 and all(len(part) >= FEWEST_PLANES for _, part in parts):
            return [done for part, longer in _parted(planes, names, trait) for done in _by_few_values(part, longer)]
    return [(planes, names)]


def _by_place(planes: Planes, names: tuple[str, ...]) -> list[tuple[Planes, tuple[str, ...]]]:
    """Split planes that lie at one place by what tells them apart; leave them where nothing does."""
    places = _places(planes)
    repeats = _repeats(places)
    if not repeats:
        return [(planes, names)]
    most = max(len(place) for place in places)
    left: list[tuple[int, int, Trait]] = []
    for order, trait in enumerate(AT_ONE_PLACE):
        parts = values_of(planes, trait, most)
        if len(parts) > 1:
            left.append((sum(_repeats(_places(part)) for _, part in parts), order, trait))
            if not left[-1][0]:
                break
    best = min(left, key=lambda candidate: candidate[:2], default=None)
    if best is not None and best[0] < repeats:
        return [done for part, longer in _parted(planes, names, best[2]) for done in _by_place(part, longer)]
    return _in_turn(planes, names, places)


def _in_turn(planes: Planes, names: tuple[str, ...], places: list[Planes]) -> list[tuple[Planes, tuple[str, ...]]]:
    """Split planes that have a time each into the first of every place, the second and so on."""
    count = len(places[0])
    if any(len(place) != count for place in places):
        return [(planes, names)]
    for trait in (trait for trait in AT_ONE_PLACE if trait.name in IN_TURN):
        if all(len(values_of(place, trait)) == count for place in places):
            ordered = [[part[0] for _, part in values_of(place, trait)] for place in places]
            return [
                ([place[turn] for place in ordered], (*names, f"phase {turn + 1} of {count} by {trait.name}"))
                for turn in range(count)
            ]
    return [(planes, names)]


def _places(planes: Planes) -> list[Planes]:
    """Group planes that lie at one place along their normal; no group holds two where positions are unknown."""
    known = [plane for plane in planes if plane.frame.position_mm and plane.frame.orientation]
    if len(known) < len(planes):
        return [[plane] for plane in planes]
    depths = [_depth_mm(plane) for plane in planes]
    places: list[Planes] = []
    last = -math.inf
    for index in np.argsort(depths, kind="stable"):
        if depths[index] - last > SAME_PLACE_MM:
            places.append([])
        places[-1].append(planes[index])
        last = depths[index]
    return places


def _repeats(places: list[Planes]) -> int:
    return sum(len(place) - 1 for place in places)


def _depth_mm(plane: UndecodedPlane) -> float:
    frame = plane.frame
    return depth_mm(frame.orientation, frame.position_mm) if frame.orientation and frame.position_mm else 0.0


def _place(planes: Planes) -> Callable[[UndecodedPlane], tuple[float, float, str, int]]:
    """Return the sorting key of a plane: place along the normal, instance number, UID, frame number."""
    by_geometry = all(plane.frame.position_mm and plane.frame.orientation for plane in planes)

    def key(plane: UndecodedPlane) -> tuple[float, float, str, int]:
        depth = round(_depth_mm(plane), 3) if by_geometry else 0.0
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

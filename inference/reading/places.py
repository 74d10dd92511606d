"""Planes of one series that lie at one place: what tells them apart splits them, and nothing else does.

Where planes lie at one place, an attribute is looked for by which every place is there at most once in each part: echo,
b-value, cardiac phase and so on. Times and acquisition numbers differ in ordinary series too: they make parts only
where the places of the whole series repeat, each plane of a place being a phase in the order of its time, or where one
part holds most of the places. What nothing tells apart stays together.
"""

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from inference.reading.geometry import depth_mm
from inference.reading.spacing import SAME_PLACE_MM
from inference.reading.traits import AT_ONE_PLACE, CLOCKS, Trait, UndecodedPlane, Value, dimensions_of

Planes = list[UndecodedPlane]
Named = tuple[Planes, tuple[str, ...]]
"""Planes, and the words that tell them from the others of their series."""
COVERED = 0.75
"""Share of the places that the largest part by a clock has to hold, unless ``FILLED`` holds."""
FILLED = 1.5
"""Planes at a place, on average, that show that the places of the whole series are repeated."""
MOST_WHOLE = 0.5
"""Share of the places that have to hold all phases where phases are counted place by place."""
MOST_OFF = 0.25
"""How far a time may be from the one expected of its phase, as a share of the shortest time between phases."""
MOST_VALUES = 1.5
"""Most values of a clock, in multiples of the mean number of planes at a place."""


def parted(planes: Planes, names: tuple[str, ...], trait: Trait) -> list[Named]:
    """Split by a trait; the name grows where there are several values."""
    parts = values_of(planes, trait)
    if len(parts) < 2:
        return [(planes, names)]
    words = [_word(trait, value, number, len(parts)) for number, (value, _) in enumerate(parts, 1)]
    return [(part, (*names, word)) for (_, part), word in zip(parts, words, strict=True)]


def _word(trait: Trait, value: Value, number: int, count: int) -> str:
    if trait.numbered:
        return _phase(trait, number, count) if trait.clock else f"{trait.name} {number} of {count}"
    return trait.words(value)


def _phase(trait: Trait, number: int, count: int) -> str:
    return f"phase {number} of {count} by {trait.name}"


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


def by_place(planes: Planes, names: tuple[str, ...]) -> list[Named]:
    """Split planes that lie at one place by what tells them apart; leave them together where nothing does.

    Taken is the first that leaves no place with two planes: one attribute that is no clock; several of those after each
    other, then clocks; a clock. Else what leaves the fewest, and then the others within its parts.
    """
    places = _places(planes)
    repeats = _repeats(places)
    if not repeats:
        return [(planes, names)]
    split = _best(planes, names, places, (*AT_ONE_PLACE, *dimensions_of(planes)))
    if split and _told_apart(split, len(places)):
        return split
    for trait in CLOCKS:
        by_clock = _by_clock(planes, names, places, trait)
        if by_clock:
            return by_clock
    return split or _best(planes, names, places, CLOCKS) or [(planes, names)]


def _best(planes: Planes, names: tuple[str, ...], places: list[Planes], traits: Sequence[Trait]) -> list[Named]:
    """Split by the trait that leaves the fewest repeated places, and its parts further; empty: none leaves fewer."""
    most, repeats = max(len(place) for place in places), _repeats(places)
    best: tuple[int, Trait] | None = None
    for trait in traits:
        parts = values_of(planes, trait, most)
        left = sum(_repeats(_places(part)) for _, part in parts)
        if len(parts) > 1 and left < (repeats if best is None else best[0]) and _allowed(trait, parts, places):
            best = (left, trait)
            if not left:
                break
    if best is None:
        return []
    return [part for group, longer in parted(planes, names, best[1]) for part in by_place(group, longer)]


def _allowed(trait: Trait, parts: Sequence[tuple[Value, Planes]], places: list[Planes]) -> bool:
    """Whether the parts by a trait may be stacks: parts by a clock are no halves of a series that share a place."""
    return not trait.clock or _repeated([part for _, part in parts], len(places))


def _told_apart(split: Sequence[Named], places: int) -> bool:
    """Whether no place repeats in any part, and the parts repeat the series."""
    parts = [part for part, _ in split]
    return not any(_repeats(_places(part)) for part in parts) and _repeated(parts, places)


def _repeated(parts: Sequence[Planes], places: int) -> bool:
    """Whether parts repeat the series: places are filled more than once, or one part holds most of them."""
    filled = sum(map(len, parts)) >= FILLED * places
    return filled or max(len(_places(part)) for part in parts) >= COVERED * places


def _by_clock(planes: Planes, names: tuple[str, ...], places: list[Planes], trait: Trait) -> list[Named]:
    """Split by a clock so that no place repeats; empty: it does not tell the planes of each place apart."""
    most = max(max(len(place) for place in places), int(MOST_VALUES * len(planes) / len(places)))
    parts = values_of(planes, trait, most)
    if len(parts) > 1 and _allowed(trait, parts, places) and not any(_repeats(_places(part)) for _, part in parts):
        return parted(planes, names, trait)
    phases = _phases(places, trait)
    return [(phase, (*names, _phase(trait, number, len(phases)))) for number, phase in enumerate(phases, 1)]


def _phases(places: list[Planes], trait: Trait) -> list[Planes]:
    """Return the phases of places whose planes each have a time of their own; empty: they have not.

    A place without all phases gets each plane into the phase whose time it has, by the times of the whole places.
    """
    count = max(len(place) for place in places)
    ordered = [values_of(place, trait) for place in places]
    if any(len(values) < len(place) or values[-1][0] is None for values, place in zip(ordered, places, strict=True)):
        return []
    times = [np.array([cast("tuple[float]", value)[0] for value, _ in values]) for values in ordered]
    whole = {place: of_place for place, of_place in enumerate(times) if len(of_place) == count}
    if len(whole) < MOST_WHOLE * len(places):
        return []
    phases: list[Planes] = [[] for _ in range(count)]
    for place, values in enumerate(ordered):
        slots = range(count) if place in whole else _slots(place, times[place], whole)
        if not slots:
            return []
        for slot, (_, (plane, *_others)) in zip(slots, values, strict=True):
            phases[slot].append(plane)
    return phases


def _slots(place: int, times: NDArray[np.float64], whole: dict[int, NDArray[np.float64]]) -> list[int]:
    """Return the phase of each plane of a place that has not all of them; empty where that cannot be told.

    When the place was acquired is taken from the places before and after, of the same parity as planes may be
    acquired interleaved; where that does not hold, its planes are compared by the time since its first.
    """
    alike = [other for other in whole if (other - place) % 2 == 0]
    others = alike if len(alike) > 1 else list(whole)
    table = np.array([whole[other] for other in others])
    usual, starts = table.mean(axis=0), table.mean(axis=1) - table.mean()
    apart = float(np.diff(usual).min())
    slope, start = np.polyfit(others, starts, 1) if len(others) > 1 else (0.0, 0.0)
    if np.abs(table - usual - starts[:, None]).max() > MOST_OFF * apart:
        return []
    by_clock = usual + np.polyval((slope, start), place)
    for expected, own in ((by_clock, times), (usual - usual[0], times - times[0])):
        off = np.abs(own[:, None] - expected)
        slots = [int(slot) for slot in off.argmin(axis=1)]
        # the time since its first plane says nothing where that may be of another phase than the first
        certain = expected is by_clock or slots[-1] == len(usual) - 1
        if certain and len(set(slots)) == len(slots) and off.min(axis=1).max() <= MOST_OFF * apart:
            return slots
    return []


def _places(planes: Planes) -> list[Planes]:
    """Group planes that lie at one place along their normal; no group holds two where positions are unknown."""
    known = [plane for plane in planes if plane.frame.position_mm and plane.frame.orientation]
    if len(known) < len(planes):
        return [[plane] for plane in planes]
    depths = [depth_of(plane) for plane in planes]
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


def depth_of(plane: UndecodedPlane) -> float:
    """Return where a plane lies along its normal in mm; 0 where that is not known."""
    frame = plane.frame
    return depth_mm(frame.orientation, frame.position_mm) if frame.orientation and frame.position_mm else 0.0

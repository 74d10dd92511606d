"""Signals, hits and cases of one part of a site, as arrays: what the verdict is fitted on and judged by.

One row is one map: a displayed one, or a bogus one put in its place (mode ``map``) or in that of the whole method (mode
``method``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.criteria.localisation import THRESHOLDS
from inference.reading.outlines import Mask
from inference.trust.evidence import Numbers
from inference.trust.kinds import NAMES

Words = NDArray[np.str_]
Whole = NDArray[np.int64]
OWN, ANOTHER, BRIGHTNESS, RANDOMISED = "own", "another", "brightness", "randomised"
CONTROLS = ("random", "centre", "edge", "blank", "average_mask", "untrained")
BOGUS = (*CONTROLS, BRIGHTNESS, ANOTHER, RANDOMISED)
FIGURES = ("kinds", "hit", "blank", "touches", "ious", "apart")
"""What is kept of each map of a case."""


@dataclass(frozen=True, eq=False)
class Rows:
    """One row a map: the N maps of one part, displayed ones and bogus ones."""

    values: Numbers
    """(N, signals), in the order of ``NAMES``; NaN: missing."""
    hit: Mask
    """(N,): the peak lies in a true finding."""
    kind: Words
    """(N,): ``own``, or a kind of ``BOGUS``."""
    mode: Words
    """(N,): ``map`` or ``method``."""
    group: Words
    """(N,), the patient."""
    case: Whole
    """(N,), row of ``explained``."""
    class_index: Whole
    """(N,), the class explained."""
    stack: Whole
    """(N,), number of the series."""
    blank: Mask
    """(N,): the map is the same everywhere."""
    touches: Mask
    """(N,): the hottest 1 % of the map touches a true finding."""
    ious: Numbers
    """(N, thresholds): overlap of the map above each of ``localisation.THRESHOLDS`` with the finding; NaN: none."""
    apart: Numbers
    """(N,), from the peak to the finding, pixels of the network's input: 0 in it; NaN: there is none."""

    def where(self, chosen: Mask) -> "Rows":
        """Return the rows marked."""
        return Rows(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @property
    def own(self) -> "Rows":
        """Return the displayed maps."""
        return self.where(self.kind == OWN)


@dataclass(frozen=True, eq=False)
class PartData:
    """Everything of one part: maps, and what is known of each of its C cases."""

    rows: Rows
    probabilities: Numbers
    """(C, classes)"""
    witness_hit: Mask
    """(C,): the localiser's peak lies in the finding."""
    plane: tuple[str, ...]
    look: Numbers
    """(C, cells), a small picture of each image."""
    called: int = 0
    """Planes on which a class is called, assessed or not."""
    healthy: int = 0
    """Patients without any finding."""
    doubted: Mask | None = None
    """(C,): the class is more likely wrong than right, calibrated; None: none is."""


def part_of(
    raws: Sequence[Mapping[str, Any]],
    *,
    called: int = 0,
    healthy: int = 0,
    doubted: Callable[[int, float], bool] = lambda _index, _probability: False,
) -> PartData:
    """Put the chunks of one part together.

    Args:
        raws: figures of the chunks.
        called: planes on which a class is called.
        healthy: patients without any finding.
        doubted: tells of a class and its probability whether it is more likely wrong than right.
    """
    cases = [case for raw in raws for case in raw["cases"]]
    rows: list[tuple[Any, ...]] = []
    for number, case in enumerate(cases):
        of_case = (case["group"], number, case["class_index"], case["stack"])
        figures = list(zip(*(case[name] for name in FIGURES), strict=True))
        rows += [(row, "map", *of_map, *of_case) for of_map, row in zip(figures, case["map"], strict=True)]
        rows += [(row, "method", *of_map, *of_case) for of_map, row in zip(figures[1:], case["method"], strict=False)]
    columns = zip(*rows, strict=True) if rows else [()] * 12
    values, mode, kind, hit, blank, touches, ious, apart, group, number_of, class_of, stack = columns
    about = [(case["class_index"], case) for case in cases]
    return PartData(
        rows=Rows(
            values=np.array(values, dtype=np.float64).reshape(len(rows), len(NAMES)),
            hit=np.array(hit, np.bool_),
            kind=np.array(kind, np.str_),
            mode=np.array(mode, np.str_),
            group=np.array(group, np.str_),
            case=np.array(number_of, np.int64),
            class_index=np.array(class_of, np.int64),
            stack=np.array(stack, np.int64),
            blank=np.array(blank, np.bool_),
            touches=np.array(touches, np.bool_),
            ious=np.array(ious, np.float64).reshape(len(rows), len(THRESHOLDS)),
            apart=np.array(apart, np.float64).reshape(len(rows)),
        ),
        probabilities=np.array([case["probabilities"] for case in cases]),
        witness_hit=np.array([case["witness_hit"] for case in cases], np.bool_),
        plane=tuple(case["plane"] for case in cases),
        look=np.array([case["look"] for case in cases], np.float64),
        called=called,
        healthy=healthy,
        doubted=np.array([doubted(index, case["probabilities"][index]) for index, case in about], np.bool_),
    )


def joined(first: PartData, second: PartData) -> PartData:
    """Put the parts of a small site together, of different patients and series."""
    shift = len(first.plane)
    moved = replace(second.rows, case=second.rows.case + shift)
    names = Rows.__dataclass_fields__
    return PartData(
        rows=Rows(*(np.concatenate([getattr(first.rows, name), getattr(moved, name)]) for name in names)),
        probabilities=np.concatenate([first.probabilities, second.probabilities]),
        witness_hit=np.concatenate([first.witness_hit, second.witness_hit]),
        plane=(*first.plane, *second.plane),
        look=np.concatenate([first.look, second.look]),
        called=first.called + second.called,
        healthy=first.healthy + second.healthy,
        doubted=np.concatenate([_doubted(first), _doubted(second)]),
    )


def _doubted(part: PartData) -> Mask:
    return np.zeros(len(part.plane), np.bool_) if part.doubted is None else part.doubted

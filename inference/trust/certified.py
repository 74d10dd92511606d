"""What is certified of the maps that are shown: of all classes together, and of each class by itself.

Commissioning and node ask the same function, with the scores of maps by fits that did not see their patient. What is
certified is what is shown: of each series and class the few maps of the highest score. Maps that a hard rule stops, and
those of a series out of the envelope, are never TRUSTED and count so here. A map is TRUSTED where its score reaches the
threshold of all classes and that of its own: a class whose maps miss more than others do is not carried by them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inference.passport.verdict import OutOfFoldScores
from inference.statistics.risk_control import GRID, Certificate, certify, see_site, steady_step
from inference.statistics.shown import shown
from inference.statistics.withholding import MORE_LIKELY_WRONG

SEED = 20261122
TRUSTABLE = tuple(step for step in GRID if step >= MORE_LIKELY_WRONG)
"""Thresholds of TRUSTED: never where a map is more likely wrong than right."""
NEVER = float("inf")
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class ShownScores:
    """The maps that are shown, M in all."""

    score: NDArray[np.float64]
    """(M,); NaN: never TRUSTED."""
    miss: NDArray[np.bool_]
    """(M,)"""
    group: NDArray[np.int64]
    """(M,), number of the patient."""
    class_index: NDArray[np.int64]
    """(M,)"""

    def of_class(self, index: int) -> "ShownScores":
        """Return the maps of one class."""
        own = self.class_index == index
        return ShownScores(self.score[own], self.miss[own], self.group[own], self.class_index[own])


def shown_rows(scores: OutOfFoldScores, count: int) -> NDArray[np.int64]:
    """Return the places of the maps that are shown of those assessed, where ``count`` of a series and class are.

    A passport that does not know which series a map is of certified every map, and so does this.
    """
    values = np.array([np.nan if score is None else score for score in scores.p], np.float64)
    if not scores.stack:
        return np.arange(len(values))
    classes = np.array(scores.class_index, np.int64)
    series = np.array(scores.stack, np.int64) * (int(classes.max(initial=0)) + 1) + classes
    return np.flatnonzero(shown(values, series, count))


def shown_scores(scores: OutOfFoldScores, count: int) -> ShownScores:
    """Return the maps that are shown of those assessed; see ``shown_rows``."""
    rows = shown_rows(scores, count)
    classes = np.array(scores.class_index, np.int64)[rows] if scores.stack else np.full(len(rows), -1, np.int64)
    return ShownScores(
        score=np.array([np.nan if (score := scores.p[row]) is None else score for row in rows], np.float64),
        miss=np.array(scores.miss, np.bool_)[rows],
        group=np.array(scores.group, np.int64)[rows],
        class_index=classes,
    )


@dataclass(frozen=True, slots=True)
class Certified:
    """The certificate of all classes together, and that of each."""

    certificate: Certificate
    by_class: Mapping[str, Certificate]
    """Empty: classes are not asked by themselves."""

    def threshold_of(self, label: str) -> float | None:
        """Return the score from which on a map of one class is TRUSTED; None: none is."""
        own = self.by_class.get(label)
        if self.certificate.threshold is None or (self.by_class and own is None):
            return None
        if own is None:
            return self.certificate.threshold
        return None if own.threshold is None else max(own.threshold, self.certificate.threshold)

    def thresholds(self, classes: Sequence[str]) -> NDArray[np.float64]:
        """Return the threshold of each class, infinite where no map is TRUSTED."""
        found = [self.threshold_of(label) for label in classes]
        return np.array([NEVER if threshold is None else threshold for threshold in found])


def certified(
    maps: ShownScores,
    classes: Sequence[str],
    *,
    alpha: float,
    delta: float,
    floor: float | None = MORE_LIKELY_WRONG,
    least_alpha: float | None = None,
    by_class: bool = True,
) -> Certified:
    """Certify the maps that are shown, all together and each class by itself.

    Args:
        maps: that are shown.
        classes: names of the bundle's classes, in their order.
        alpha: largest share of TRUSTED maps that may miss, by patients.
        delta: 1 - confidence.
        floor: no threshold lies below, so that bogus maps are kept out; None: no threshold does, nothing is certified.
        least_alpha: nothing is certified below; None: no such line.
        by_class: whether a class needs a certificate of its own.

    Raises:
        Refused: no map, or alpha or delta out of range.
    """

    def one(of: ShownScores) -> Certificate:
        grid = grid_above(floor)
        made = certify(of.score, of.miss, of.group, alpha=alpha, delta=delta, seed=SEED, grid=grid or TRUSTABLE)
        if grid and (least_alpha is None or alpha >= least_alpha):
            return made
        return replace(made, threshold=None, groups=0, trusted=0, misses=0, risk=None, upper=None)

    known = sorted(set(maps.class_index.tolist()) - {-1}) if by_class else []
    return Certified(one(maps), {classes[index]: one(maps.of_class(index)) for index in known})


def grid_above(floor: float | None) -> tuple[float, ...]:
    """Return the thresholds that are tested, from the top down to the floor; empty where there is no floor."""
    return () if floor is None else tuple(step for step in TRUSTABLE if step >= floor - ROUNDING)


def thresholds_alone(
    maps: ShownScores,
    classes: Sequence[str],
    *,
    alpha: float,
    delta: float,
    floor: float | None = MORE_LIKELY_WRONG,
    least_alpha: float | None = None,
) -> NDArray[np.float64]:
    """Return the threshold of each class as ``certified`` finds it, without bounds and intervals; infinite: none."""
    grid = grid_above(floor)
    if not grid or (least_alpha is not None and alpha < least_alpha):
        return np.full(len(classes), NEVER)

    def one(of: ShownScores) -> float:
        if not len(of.score):
            return NEVER
        site = see_site(of.score, of.miss, of.group, seed=SEED, grid=grid)
        step = steady_step(site, alpha, delta)
        return NEVER if step is None else float(site.grid[step])

    pooled = one(maps)
    return np.array([max(pooled, one(maps.of_class(index))) for index in range(len(classes))])

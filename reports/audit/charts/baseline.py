"""The baseline of a figure: its distribution in control, and the standardised deviation of a day from it.

Each case is scored against the baseline by normal scores (Van der Waerden 1952), so that any figure, however skewed,
gives points that are standard normal in control whatever their number of cases: a busier month is not a drift. A
baseline is itself a sample: a point's variance is that of predicting the mean of m cases from the mean of n,
1 + m / n of what it would be if the baseline were known. Cases of a day may be alike (two maps of one study, one
scanner at work): where the baseline's own days vary by more than their cases explain, every point is divided by how
much more (Laney 2002).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, gammaln, ndtri, xlog1py, xlogy

from inference.errors import Refused

LEAST_BASELINE = 50
"""Fewest cases of a baseline."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """One period: its cases, their deviation from the baseline in standard deviations, and their mean."""

    period: Any
    cases: int
    deviation: float
    mean: float


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """The cases a figure was locked on: (D,) distinct values in order, and how many cases have each."""

    values: Floats
    counts: Floats
    dispersion: float = 1.0
    """Standard deviation of the baseline's own points, at least 1."""

    @classmethod
    def of(cls, values: ArrayLike, periods: ArrayLike | None = None) -> "Baseline":
        """Lock a baseline.

        Args:
            values: (N,) of the cases.
            periods: (N,), when each was; left out: the cases of a period are no more alike than any others.

        Raises:
            Refused: fewer than 50 cases, a value that is no number, or the same value for all.
        """
        given = np.asarray(values, dtype=np.float64)
        if len(given) < LEAST_BASELINE:
            raise Refused(
                f"{len(given)} cases are too few for a baseline: at least {LEAST_BASELINE} are needed.",
                cure="Wait for more.",
            )
        distinct, counts = np.unique(given, return_counts=True)
        if not np.isfinite(distinct).all() or len(distinct) == 1:
            raise Refused("A baseline needs finite values that are not all equal.")
        plain = cls(distinct, counts.astype(np.float64))
        if periods is None:
            return plain
        own = np.array([point.deviation for point in plain.points(given, periods)])
        return replace(plain, dispersion=float(dispersion(own)))

    @property
    def cases(self) -> int:
        """How many it was locked on."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Of the cases, in the figure's own unit."""
        return float(self.values @ self.counts) / self.cases

    @property
    def spread(self) -> float:
        """Their standard deviation."""
        return float(np.sqrt((self.values - self.mean) ** 2 @ self.counts / self.cases))

    @property
    def is_share(self) -> bool:
        """Whether cases have one of two values, so that a point is a share of them."""
        return len(self.values) == 2

    def scores(self, values: ArrayLike) -> Floats:
        """Return the normal score of each case, mean 0 and variance 1 over the baseline; ties take the middle rank."""
        given, where = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)  # in order: found sooner
        total = np.concatenate([[0.0], np.cumsum(self.counts)])
        below = total[np.searchsorted(self.values, given, side="left")]
        upto = total[np.searchsorted(self.values, given, side="right")]
        _, centre, scale = normal_scores(self.counts)
        return np.asarray((_score((below + upto) / 2, total[-1]) - centre) / scale, dtype=np.float64)[where]

    def points(self, values: ArrayLike, periods: ArrayLike) -> tuple[Point, ...]:
        """Return one point for each period that has a case, in standard deviations of such a point, earliest first.

        Args:
            values: (N,) of the cases.
            periods: (N,), when each was: days, say, that sort in time.
        """
        given, when = np.asarray(values, dtype=np.float64), np.asarray(periods)
        if not len(given):
            return ()
        labels, group, counts = np.unique(when, return_inverse=True, return_counts=True)
        if self.is_share:
            high = np.bincount(group, weights=given > self.values[0]).round()
            off = share_deviations(high, counts, self.counts[1] / self.cases, self.cases)
        else:
            off = deviations(np.bincount(group, weights=self.scores(given)), counts, self.cases)
        means = np.bincount(group, weights=given) / counts
        off = off / self.dispersion
        rows = zip(labels.tolist(), counts.tolist(), off.tolist(), means.tolist(), strict=True)
        return tuple(Point(*row) for row in rows)


def normal_scores(counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Score the distinct values of baselines, in order of the values, by how many cases have each.

    Args:
        counts: (..., D), of one baseline or several; a value may have none.

    Returns:
        (..., D) normal scores; (..., 1) each, their mean and standard deviation over the cases.
    """
    total = counts.sum(axis=-1, keepdims=True)
    scores = _score(np.cumsum(counts, axis=-1) - counts / 2, total)
    centre = (counts * scores).sum(axis=-1, keepdims=True) / total
    spread = (counts * scores**2).sum(axis=-1, keepdims=True) / total - centre**2
    return scores, centre, np.sqrt(np.maximum(spread, 0.0))


def deviations(sums: ArrayLike, cases: ArrayLike, baseline_cases: float | Floats) -> Floats:
    """Return points, in their standard deviations, from the sums of their cases' scores."""
    given = np.asarray(cases, dtype=np.float64)
    return np.asarray(np.asarray(sums) / np.sqrt(given * (1 + given / baseline_cases)), dtype=np.float64)


def share_deviations(high: ArrayLike, cases: ArrayLike, share: ArrayLike, baseline_cases: float | Floats) -> Floats:
    """Return points from how many cases have the higher value, by the middle of the binomial's step (Lancaster 1961).

    Args:
        high: cases that have it.
        cases: of the point.
        share: of the baseline's cases that have it, between 0 and 1.
        baseline_cases: how many there are.
    """
    count, given, chance = (np.asarray(argument, dtype=np.float64) for argument in (high, cases, share))
    many = count > given * chance
    extreme, rarity = np.where(many, count, given - count), np.where(many, chance, 1 - chance)
    tail = betainc(extreme, given - extreme + 1, rarity)  # of so many cases or more on the side that they are on
    ways = gammaln(given + 1) - gammaln(extreme + 1) - gammaln(given - extreme + 1)
    equal = np.exp(ways + xlogy(extreme, rarity) + xlog1py(given - extreme, -rarity))
    off = np.where(many, -1.0, 1.0) * ndtri(tail - equal / 2)
    return np.asarray(off / np.sqrt(1 + given / baseline_cases), dtype=np.float64)


def dispersion(points: Floats) -> Floats:
    """Return the standard deviation about zero of a baseline's own points, (..., N), NaN left out; at least 1."""
    days = (~np.isnan(points)).sum(axis=-1)
    return np.asarray(np.sqrt(np.maximum(np.nansum(points**2, axis=-1) / np.maximum(days, 1), 1.0)), dtype=np.float64)


def _score(rank: Floats, total: float | Floats) -> Floats:
    return np.asarray(ndtri(np.clip(rank, 0.5, total - 0.5) / total), dtype=np.float64)

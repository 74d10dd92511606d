"""Control charts of one figure over time: Shewhart, EWMA and CUSUM, designed from the wanted run length.

A point is a period (a day) with as many cases as there were. Each case is scored against the baseline by normal scores
(Van der Waerden 1952), so that any figure, however skewed, gives points that are standard normal in control whatever
their number of cases: a busier month is not a drift. The limits then follow from the run length alone
(``run_length.py``), which all charts of a site share.

A baseline is itself a sample. Its error would look like a shift that never ends, so that part of every point is not
counted which the baseline's error explains at one standard error: in control a chart signals at most about as often as
designed, and a shift is seen a little later.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, norm, rankdata

from inference.errors import Refused
from reports.audit.run_length import (
    cusum_limit,
    cusum_run_length,
    ewma_limit,
    ewma_run_length,
    shewhart_limit,
    shewhart_run_length,
)

LEAST_BASELINE = 50
"""Cases below which no baseline is made."""
ALLOWANCE = 0.5
"""Of the CUSUM: tuned to shifts of one standard deviation of a point (Montgomery, Introduction to SPC, 9.1)."""
WEIGHT = 0.1
"""Of the newest point in the EWMA, for small lasting shifts (Lucas and Saccucci 1990)."""


class Kind(StrEnum):
    """Three charts, each best at another shift: sudden and large, lasting, slow."""

    SHEWHART = "Shewhart"
    CUSUM = "CUSUM"
    EWMA = "EWMA"


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What a figure is like in control: the values of the cases it was locked on, sorted."""

    values: NDArray[np.float64]
    centre: float
    scale: float
    """Mean and standard deviation of the cases' own normal scores: 0 and 1 but for ties."""

    @classmethod
    def of(cls, values: ArrayLike) -> "Baseline":
        """Lock a baseline.

        Raises:
            Refused: fewer than 50 cases, a value that is no number, or the same value for all.
        """
        given = np.sort(np.asarray(values, dtype=np.float64))
        if len(given) < LEAST_BASELINE:
            raise Refused(
                f"{len(given)} cases make no baseline: {LEAST_BASELINE} are the least.", cure="Wait for more."
            )
        if not np.isfinite(given).all() or given[0] == given[-1]:
            raise Refused("A baseline needs numbers that are not all the same.")
        own = norm.ppf((rankdata(given) - 0.5) / len(given))
        return cls(given, float(own.mean()), float(own.std()))

    def scores(self, values: ArrayLike) -> NDArray[np.float64]:
        """Give the normal score of each case, mean 0 and variance 1 over the baseline; ties take the middle rank."""
        given, where = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)  # in order: found sooner
        below = np.searchsorted(self.values, given, side="left")
        upto = np.searchsorted(self.values, given, side="right")
        share = (np.clip((below + upto) / 2, 0.5, len(self.values) - 0.5) / len(self.values))[where]
        return np.asarray((norm.ppf(share) - self.centre) / self.scale, dtype=np.float64)

    @property
    def is_share(self) -> bool:
        """Whether cases have one of two values, so that a point is a share of them."""
        return bool(np.all((self.values == self.values[0]) | (self.values == self.values[-1])))

    def _of_shares(
        self, values: NDArray[np.float64], group: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score how many cases have the higher value by the middle of the binomial's step (mid-P, Lancaster 1961)."""
        high = np.bincount(group, weights=values > self.values[0]).round()
        share = float((self.values > self.values[0]).mean())
        below, equal = binom.cdf(high - 1, counts, share), binom.pmf(high, counts, share)
        above = binom.sf(high, counts, share)
        lower, upper = below + equal / 2, above + equal / 2
        return np.asarray(np.where(lower < upper, norm.ppf(lower), norm.isf(upper)), dtype=np.float64)

    def points(self, values: ArrayLike, periods: ArrayLike) -> tuple["Point", ...]:
        """Give one point for each period that has a case, in standard deviations of such a point, earliest first.

        Args:
            values: (N,) of the cases.
            periods: (N,), when each was: days, say, that sort in time.
        """
        given, when = np.asarray(values, dtype=np.float64), np.asarray(periods)
        if not len(given):
            return ()
        labels, group, counts = np.unique(when, return_inverse=True, return_counts=True)
        sums = np.bincount(group, weights=self.scores(given))
        raw = self._of_shares(given, group, counts) if self.is_share else sums / np.sqrt(counts)
        explained = np.sqrt(counts / len(self.values))
        deviations = np.copysign(np.maximum(np.abs(raw) - explained, 0.0), raw)
        means = np.bincount(group, weights=given) / counts
        rows = zip(labels.tolist(), counts.tolist(), deviations.tolist(), means.tolist(), strict=True)
        return tuple(Point(*row) for row in rows)


@dataclass(frozen=True, slots=True)
class Point:
    """One period: how many cases, how far off in standard deviations, and their mean in the figure's own unit."""

    period: Any
    cases: int
    deviation: float
    mean: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and the limit that gives it its run length."""

    kind: Kind
    limit: float
    run_length: float
    """Points between false alarms."""

    @classmethod
    @lru_cache(maxsize=64)
    def design(cls, kind: Kind, run_length: float) -> "Chart":
        """Find the limit.

        Raises:
            Refused: the run length is not between 2 and 1,000,000 points.
        """
        if kind is Kind.SHEWHART:
            limit = shewhart_limit(run_length)
        elif kind is Kind.CUSUM:
            limit = cusum_limit(run_length, allowance=ALLOWANCE)
        else:
            limit = ewma_limit(run_length, weight=WEIGHT)
        return cls(kind, limit, run_length)

    def delay(self, shift: float) -> float:
        """Give the expected number of points until a lasting shift is signalled.

        Args:
            shift: of a point, in its standard deviations: that of a case times the square root of the cases a point.
        """
        if self.kind is Kind.SHEWHART:
            return shewhart_run_length(self.limit, shift=shift)
        if self.kind is Kind.CUSUM:
            return cusum_run_length(ALLOWANCE, self.limit, shift=shift)
        return ewma_run_length(WEIGHT, self.limit, shift=shift)

    def read(self, points: Sequence[Point]) -> tuple["Reading", ...]:
        """Follow the points from the start, or from when the chart was last set to zero."""
        up = down = 0.0
        reach, readings = self.reach, []
        for point in points:
            if self.kind is Kind.SHEWHART:
                up = down = point.deviation
            elif self.kind is Kind.CUSUM:
                up = max(0.0, up + point.deviation - ALLOWANCE)
                down = min(0.0, down + point.deviation + ALLOWANCE)
            else:
                up = down = (1 - WEIGHT) * up + WEIGHT * point.deviation
            readings.append(Reading(up, down, signals=up > reach or down < -reach))
        return tuple(readings)

    @property
    def reach(self) -> float:
        """Where the lines of the chart are drawn, in standard deviations of a point."""
        return self.limit * (math.sqrt(WEIGHT / (2 - WEIGHT)) if self.kind is Kind.EWMA else 1.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A chart at one point: how high, how low, and whether that is an alarm."""

    up: float
    down: float
    signals: bool


def budget(points_between_false_alarms: float, *, charts: int) -> float:
    """Give the run length of each of several charts that raise one false alarm among them in so many points.

    Exact for charts that are independent; charts of one figure are not, and together raise fewer.
    """
    return points_between_false_alarms * charts

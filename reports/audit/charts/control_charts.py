"""Control charts of one figure over time: Shewhart, EWMA and CUSUM, by the run length that each is to have.

They follow points that are standard normal in control (``baseline.py``); the limits follow from the run length
alone (``run_length.py``), which all charts of a route share (``design.py``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from reports.audit.charts.baseline import Point
from reports.audit.charts.run_length import (
    cusum_drift_length,
    cusum_limit,
    cusum_run_length,
    ewma_drift_length,
    ewma_limit,
    ewma_run_length,
    shewhart_drift_length,
    shewhart_limit,
    shewhart_run_length,
)

ALLOWANCE = 0.5
"""Of the CUSUM: tuned to shifts of one standard deviation of a point (Montgomery, Introduction to SPC, 9.1)."""
WEIGHT = 0.1
"""Of the newest point in the EWMA, for small lasting shifts (Lucas and Saccucci 1990)."""
Floats = NDArray[np.float64]


class ChartKind(StrEnum):
    """Three charts: for sudden large shifts, for lasting shifts, and for slow drifts."""

    SHEWHART = "Shewhart"
    CUSUM = "CUSUM"
    EWMA = "EWMA"

    @property
    def unit(self) -> float:
        """What the chart's limit is counted in, in standard deviations of a point."""
        return math.sqrt(WEIGHT / (2 - WEIGHT)) if self is ChartKind.EWMA else 1.0

    def follow(self, points: Floats) -> tuple[Floats, Floats]:
        """Return how high and how low the chart stands at each point, from zero.

        Args:
            points: (..., N) deviations; also the shape of both results.
        """
        if self is ChartKind.SHEWHART:
            return points, points
        if self is ChartKind.EWMA:
            weighted = np.asarray(lfilter([WEIGHT], [1.0, WEIGHT - 1.0], points), dtype=np.float64)
            return weighted, weighted
        above, below = np.cumsum(points - ALLOWANCE, axis=-1), np.cumsum(points + ALLOWANCE, axis=-1)
        up = above - np.minimum(np.minimum.accumulate(above, axis=-1), 0.0)
        return up, below - np.maximum(np.maximum.accumulate(below, axis=-1), 0.0)

    def run_length(self, limit: float, *, shift: float = 0.0) -> float:
        """Return the expected number of points until a limit is passed."""
        if self is ChartKind.SHEWHART:
            return shewhart_run_length(limit, shift=shift)
        if self is ChartKind.CUSUM:
            return cusum_run_length(ALLOWANCE, limit, shift=shift)
        return ewma_run_length(WEIGHT, limit, shift=shift)


@dataclass(frozen=True, slots=True)
class Reading:
    """A chart at one point: how high, how low, and whether that is an alarm."""

    up: float
    down: float
    signals: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and the limit that gives it its run length."""

    kind: ChartKind
    limit: float
    run_length: float
    """Points between false alarms."""

    @classmethod
    @lru_cache(maxsize=64)
    def design(cls, kind: ChartKind, run_length: float) -> "Chart":
        """Find the limit.

        Raises:
            Refused: the run length is not between 2 and 1,000,000 points.
        """
        if kind is ChartKind.SHEWHART:
            limit = shewhart_limit(run_length)
        elif kind is ChartKind.CUSUM:
            limit = cusum_limit(run_length, allowance=ALLOWANCE)
        else:
            limit = ewma_limit(run_length, weight=WEIGHT)
        return cls(kind, limit, run_length)

    def delay(self, shift: float) -> float:
        """Return the expected number of points until a lasting shift is signalled.

        Args:
            shift: of a point, in its standard deviations: that of a case times the square root of the cases a point.
        """
        return self.kind.run_length(self.limit, shift=shift)

    def drift_delay(self, slope: float) -> float:
        """Return the same of a drift by ``slope`` standard deviations from each point to the next."""
        if self.kind is ChartKind.SHEWHART:
            return shewhart_drift_length(self.limit, slope=slope)
        if self.kind is ChartKind.CUSUM:
            return cusum_drift_length(ALLOWANCE, self.limit, slope=slope)
        return ewma_drift_length(WEIGHT, self.limit, slope=slope)

    def read(self, points: Sequence[Point]) -> tuple[Reading, ...]:
        """Follow the points from the start, or from when the chart was last set to zero."""
        ups, downs = self.kind.follow(np.array([point.deviation for point in points], dtype=np.float64))
        reach = self.reach
        both = zip(ups.tolist(), downs.tolist(), strict=True)
        return tuple(Reading(up, down, signals=up > reach or down < -reach) for up, down in both)

    @property
    def reach(self) -> float:
        """Where the lines of the chart are drawn, in standard deviations of a point."""
        return self.limit * self.kind.unit

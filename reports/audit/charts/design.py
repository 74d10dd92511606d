"""The design of a route's charts: the in-control run length of each that gives the joint false alarm rate asked for.

Charts of one figure, and figures that go together, alarm together; the error of a baseline, which is itself a sample,
pulls the other way. How much of each there is says the baseline: its studies are drawn again, all cases and figures of
a study together, once as a baseline and apart from that as the days to come, as many a day as there were; every chart
is followed (bootstrap, Efron 1979; for the error of baselines of charts Gandy and Kvaløy 2013). The highest that a
chart stands is told as the run length of a chart that would just signal there; the run length that the wanted share of
draws stays below is the design.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from inference.errors import Refused
from reports.audit.charts.baseline import (
    LEAST_BASELINE,
    Baseline,
    deviations,
    dispersion,
    normal_scores,
    share_deviations,
)
from reports.audit.charts.control_charts import ChartKind
from reports.audit.charts.run_length import LONGEST, SHORTEST

DRAWS = 500
"""A share of 0.63 is met within 0.02 by so many (one standard error)."""
DRAWN_AT_ONCE = 50
"""They fit in a processor's cache."""
MOST_TOGETHER = 8
"""Cases of one study that are drawn together; what is more is drawn apart."""
MOST_STUDIES_A_DAY = 20
"""Drawn in the mean: busier days are as good as normal, and all volumes are thinned alike."""
PLACES = 1000
"""Distinct values of a figure at most; more are taken together with their neighbours, by rank."""
DAYS_A_YEAR = 365.25
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Design:
    """What all charts of a route are made by; it is locked with the baseline and does not move by itself."""

    run_length: float
    """Points between false alarms of each chart alone."""
    false_alarms_per_year: float
    """Of all charts of the route together."""

    @property
    def share_of_years(self) -> float:
        """Of years without a cause, those that alarm all the same."""
        return -math.expm1(-self.false_alarms_per_year)


def design_charts(
    figures: Mapping[str, Floats],
    days: Floats,
    studies: Floats,
    lasted: float,
    kinds: Sequence[ChartKind],
    *,
    false_alarms_per_year: float,
    seed: str,
) -> Design:
    """Find the run length of each chart by a bootstrap of the baseline.

    Args:
        figures: (N,) each, of the baseline's cases; NaN where a case has none.
        days: (N,), of each case.
        studies: (N,), of each case.
        lasted: days from the baseline's begin to its end.
        kinds: of charts, each of every figure.
        false_alarms_per_year: of all of them together.
        seed: of the draws.

    Raises:
        Refused: no figure has a baseline.
    """
    charted = [values for values in figures.values() if _has_baseline(values)]
    if not charted:
        raise Refused(
            f"No figure has {LEAST_BASELINE} cases that differ in that time.", cure="Give a longer period, or wait."
        )
    years = min(1.0, 1.0 / false_alarms_per_year)
    rows, volumes = _together(days, studies)
    volumes = np.maximum(np.round(volumes * min(1.0, MOST_STUDIES_A_DAY / volumes.mean())), 1).astype(np.int64)
    to_come = max(round(len(volumes) * DAYS_A_YEAR * years / lasted), 1)
    sizes = np.concatenate([volumes, np.resize(volumes, to_come)])
    draw = np.random.default_rng(np.frombuffer(hashlib.sha256(seed.encode()).digest(), dtype=np.uint32))
    heights = []
    for _ in range(DRAWS // DRAWN_AT_ONCE):
        drawn = rows[draw.integers(len(rows), size=(DRAWN_AT_ONCE, sizes.sum()))].reshape(DRAWN_AT_ONCE, -1)
        points = [_points(values, drawn, sizes * rows.shape[1], len(volumes)) for values in charted]
        heights.append(_highest(points, kinds))
    lengths = np.concatenate(heights)
    alarmed = -math.expm1(-false_alarms_per_year * years)
    length = float(np.clip(np.quantile(lengths, 1.0 - alarmed), SHORTEST, LONGEST))
    return Design(float(f"{length:.3g}"), false_alarms_per_year)


def _together(days: Floats, studies: Floats) -> tuple[Integers, Integers]:
    """Return the cases of each study, (studies, most of one study), -1 for none, and the studies of each day."""
    _, first, unit = np.unique(np.stack([days, studies]), axis=1, return_index=True, return_inverse=True)
    order = np.argsort(first[unit.ravel()], kind="stable")  # studies as they came
    starts = np.flatnonzero(np.diff(first[unit.ravel()][order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    within = np.arange(len(order)) - np.repeat(starts, lengths)
    number = np.cumsum(within % MOST_TOGETHER == 0) - 1
    rows = np.full((number[-1] + 1, min(int(lengths.max()), MOST_TOGETHER)), -1)
    rows[number, within % MOST_TOGETHER] = order
    return rows, np.unique(days[rows[:, 0]], return_counts=True)[1]


def _has_baseline(values: Floats) -> bool:
    try:
        Baseline.of(values[~np.isnan(values)])
    except Refused:
        return False
    return True


def _points(values: Floats, drawn: Integers, sizes: Integers, days: int) -> Floats:
    """Return the points of the days to come, each draw against its own baseline.

    Args:
        values: (N,) of the figure.
        drawn: (draws, cases), which cases, day after day; -1 for none.
        sizes: (all days,), cases of each.
        days: of the baseline, which come first.

    Returns:
        (draws, days to come), NaN where no case has the figure; 0 throughout where a baseline is of one value.
    """
    places, place = _places(values)
    at, rows = place[drawn], np.arange(len(drawn))[:, None] * (places + 1)
    numbered, first = at + rows, int(sizes[:days].sum())
    counts = np.bincount(numbered[:, :first].ravel(), minlength=len(drawn) * (places + 1)).reshape(len(drawn), -1)
    baselines = counts[:, :places].astype(np.float64)  # the last place is of cases without the figure
    total = baselines.sum(axis=1, keepdims=True)
    starts = np.concatenate([[0], np.cumsum(sizes[:-1])])
    cases = np.add.reduceat(at < places, starts, axis=1, dtype=np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        if places == 2:
            share = baselines[:, 1:] / total
            usable = (share > 0) & (share < 1)
            off = _share_points(np.add.reduceat(at == 1, starts, axis=1, dtype=np.int64), cases, share, total)
        else:
            scores, centre, scale = normal_scores(baselines)
            usable = scale > 0
            table = np.pad((scores - centre) / scale, ((0, 0), (0, 1))).ravel()
            off = deviations(np.add.reduceat(table[numbered], starts, axis=1), cases, total)
    off = np.where(cases > 0, np.where(usable, off, 0.0), np.nan)
    return off[:, days:] / dispersion(off[:, :days])[:, None]


def _places(values: Floats) -> tuple[int, Integers]:
    """Number the distinct values in order; the number after the last is for NaN, and for the case -1."""
    missing = np.isnan(values)
    _, order, counts = np.unique(values[~missing], return_inverse=True, return_counts=True)
    if len(counts) > PLACES:
        order = ((np.cumsum(counts) - counts / 2) / counts.sum() * PLACES).astype(np.int64)[order]
    places = int(order.max()) + 1
    place = np.full(len(values) + 1, places)
    place[:-1][~missing] = order
    return places, place


def _share_points(high: Integers, cases: Integers, share: Floats, total: Floats) -> Floats:
    most = int(cases.max()) + 1
    pairs, which = np.unique(high * most + cases, return_inverse=True)  # few, and so are the shares: betas are slow
    odds, row = np.unique(np.stack([share[:, 0], total[:, 0]]), axis=1, return_inverse=True)
    table = share_deviations(pairs // most, pairs % most, odds[0][:, None], odds[1][:, None])
    return table[row.reshape(-1, 1), which.reshape(high.shape)]


def _in_order(points: Floats) -> Floats:
    """Leave out days without a case: the others move together, and zeros, which bring no chart further, follow."""
    missing = np.isnan(points)
    if not missing.any():
        return points
    return np.nan_to_num(np.take_along_axis(points, np.argsort(missing, axis=1, kind="stable"), axis=1))


def _highest(figures: Sequence[Floats], kinds: Sequence[ChartKind]) -> Floats:
    """Return the highest that any chart stands, (draws,), as the run length of a chart that would just signal there."""
    lengths = []
    for points in map(_in_order, figures):
        for kind in kinds:
            up, down = kind.follow(points)
            limits, known = _curve(kind)
            lengths.append(np.interp(np.maximum(up, -down).max(axis=1) / kind.unit, limits, known))
    return np.asarray(np.exp(np.max(lengths, axis=0)), dtype=np.float64)


@lru_cache(maxsize=3)
def _curve(kind: ChartKind) -> tuple[Floats, Floats]:
    """Return limits and the logarithms of their run lengths, 2 to 1,000,000 points and beyond on both sides."""
    limits, lengths = [0.1], [math.log(kind.run_length(0.1))]
    while lengths[-1] < math.log(LONGEST):
        limits.append(limits[-1] + 0.1)
        lengths.append(math.log(kind.run_length(limits[-1])))
    return np.array(limits), np.array(lengths)

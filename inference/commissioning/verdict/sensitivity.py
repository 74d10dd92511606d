"""How much of a certificate rests on what was drawn, and on what the data do not say.

Patients are met in an order drawn by seed; another order may certify another threshold, or none. Where the data name no
patients, groups stand in; slices of one patient in several groups make a certificate too easy. So groups that look
alike are merged, of one class and plane, into fewer, and it is certified again: an alpha that does not survive is not
offered.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering

from inference.commissioning.verdict.part_data import PartData
from inference.passport.certificates import Merged, OrderSpread
from inference.statistics.bounds import Bets
from inference.statistics.risk_control import certified_steps, see_site
from inference.statistics.withholding import MORE_LIKELY_WRONG
from inference.trust.certified import NEVER, SEED, ShownScores, grid_above

ORDERS = 100
SURVIVES = 0.9
"""Share of orders in which an alpha must be certified with half as many groups, or it is not offered."""
MERGED_TO = (2, 3)
"""Groups are merged into a half and a third as many."""


def order_spread(
    maps: ShownScores, alpha: float, delta: float, *, floor: float | None = MORE_LIKELY_WRONG
) -> OrderSpread:
    """Certify with patients in many drawn orders, and say how many of them have a TRUSTED map.

    Args:
        maps: that are shown.
        alpha: largest share of misses.
        delta: 1 - confidence.
        floor: no threshold lies below.
    """
    parts = [(maps, np.ones(len(maps.score), np.bool_))]
    parts += [(maps.of_class(int(index)), maps.class_index == index) for index in np.unique(maps.class_index)]
    thresholds = np.full((ORDERS, len(maps.score)), -np.inf)
    for part, rows in parts:
        own = np.array(_thresholds(part, alpha, delta, grid_above(floor)))
        thresholds[:, rows] = np.maximum(thresholds[:, rows], own[:, None])
    trusted = maps.score >= thresholds
    covered = np.stack([trusted[:, maps.group == patient].any(axis=1) for patient in np.unique(maps.group)]).mean(
        axis=0
    )
    certified = int((covered > 0).sum())
    low, high = np.quantile(covered, [0.025, 0.975])
    return OrderSpread(ORDERS, certified, float(low), float(high))


def _thresholds(maps: ShownScores, alpha: float, delta: float, grid: Sequence[float]) -> list[float]:
    """Return the threshold certified under each drawn order; infinite: none is."""
    if not grid:
        return [NEVER] * ORDERS
    site = see_site(maps.score, maps.miss, maps.group, seed=SEED, grid=grid)
    bets = Bets.of(alpha, delta, site.losses.shape[1])
    steps = certified_steps(site, alpha, delta, bets, orders=ORDERS, seed=SEED)
    return [NEVER if step is None else float(site.grid[step]) for step in steps]


def merged(maps: ShownScores, look: Sequence[NDArray[np.float64]], kinds: Sequence[str], alphas: Sequence[float],
           delta: float) -> tuple[Merged, ...]:  # fmt: skip
    """Certify with groups that look alike merged into fewer.

    Args:
        maps: that are shown.
        look: (cells,) of each map's image.
        kinds: class and plane of each map: only groups of one kind are merged.
        alphas: largest shares of misses.
        delta: 1 - confidence.
    """
    groups = np.unique(maps.group)
    firsts = np.array([int(np.flatnonzero(maps.group == group)[0]) for group in groups])
    table = np.array(look)
    pictures = np.array([table[maps.group == group].mean(axis=0) for group in groups])
    kind = np.array(kinds)[firsts]
    made = []
    for divisor in MERGED_TO:
        label = _clusters(pictures, kind, divisor)
        clustered = replace(maps, group=label[np.searchsorted(groups, maps.group)])
        count = len(np.unique(label))
        made += [Merged(alpha, count, order_spread(clustered, alpha, delta)) for alpha in alphas]
    return tuple(made)


def offered_alpha(found: Sequence[Merged]) -> float | None:
    """Return the smallest alpha that is offered, 1 where none survives; None: any, the data name patients."""
    if not found:
        return None
    least = least_alpha(found)
    return 1.0 if least is None else least


def least_alpha(found: Sequence[Merged]) -> float | None:
    """Return the smallest alpha that survives when groups are merged into half as many; None: none does."""
    half = max(entry.clusters for entry in found)
    surviving = [
        entry.alpha
        for entry in found
        if entry.clusters == half and entry.spread.certified >= SURVIVES * entry.spread.orders
    ]
    return min(surviving, default=None)


def looks(data: PartData, rows: NDArray[np.int64]) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Return the small picture, and class and plane, of some displayed maps, by their place among these."""
    own = data.rows.own
    cases = own.case[rows]
    kinds = [f"{index} {data.plane[case]}" for index, case in zip(own.class_index[rows].tolist(), cases, strict=True)]
    return [data.look[case] for case in cases], kinds


def _clusters(pictures: NDArray[np.float64], kind: NDArray[np.str_], divisor: int) -> NDArray[np.int64]:
    """Merge groups of one kind by their pictures (Ward's linkage), (G,) -> number of the cluster of each."""
    label, used = np.zeros(len(kind), np.int64), 0
    for name in np.unique(kind):
        rows = np.flatnonzero(kind == name)
        count = max(1, round(len(rows) / divisor))
        own = (
            np.zeros(len(rows), np.int64)
            if len(rows) < 2
            else AgglomerativeClustering(count).fit_predict(pictures[rows])
        )
        label[rows] = own + used
        used += count
    return label

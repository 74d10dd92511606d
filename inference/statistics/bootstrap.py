"""Every criterion's figure with its uncertainty over patients: means, paired differences and AUROC by group bootstrap.

Slices of one patient are not independent: what is drawn again, with replacement, is the group (the patient), with all
its rows (Davison and Hinkley 1997, chapter 2). Intervals are percentile intervals; NaN marks a row on which the figure
is not defined (an empty mask, say): it is left out, and ``n`` says how many were left in.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from inference.errors import Refused

RESAMPLES = 2000
CONFIDENCE = 0.95
CELLS_AT_ONCE = 4_000_000
"""Resamples times rows held in memory at a time, for the AUROC."""

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, its 95 % bootstrap interval, and over how many rows and groups."""

    value: float
    low: float | None
    """None, as is ``high``: a single group has no interval."""
    high: float | None
    n: int
    groups: int

    @property
    def edges(self) -> tuple[float, float] | None:
        """The interval; None for a single group."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def excludes(self, line: float) -> bool:
        """Whether the whole interval lies on one side of a line."""
        return self.edges is not None and (self.edges[0] > line or self.edges[1] < line)


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference (method less control) and the two-sided bootstrap p-value of there being none."""

    interval: Interval
    p_value: float


def mean_by_group(
    values: ArrayLike, groups: ArrayLike | None = None, *, seed: int, resamples: int = RESAMPLES
) -> Interval:
    """Return the mean over rows and its 95 % interval over groups.

    Args:
        values: (N,); NaN is left out.
        groups: (N,), any labels; None: every row is a group of its own.
        seed: of the resampling.
        resamples: bootstrap samples.

    Raises:
        Refused: no row is defined.
    """
    kept, labels, count = defined_rows(values, groups)
    return interval_of(float(kept.mean()), _resampled_means(kept, labels, count, seed, resamples), len(kept), count)


def share_by_group(flags: ArrayLike, groups: ArrayLike, *, seed: int) -> Interval:
    """Return a share and its 95 % interval over groups; where all are alike the exact binomial one, counting groups.

    Args:
        flags: (N,) bool.
        groups: (N,), any labels.
        seed: of the resampling.

    Raises:
        Refused: there is no row.
    """
    share = mean_by_group(np.asarray(flags, np.float64), groups, seed=seed)
    if 0 < share.value < 1:
        return share
    exact = binomtest(round(share.value * share.groups), share.groups).proportion_ci()
    return replace(share, low=float(exact.low), high=float(exact.high))


def mean_of_groups(values: ArrayLike, groups: ArrayLike, *, seed: int) -> Interval:
    """Return the mean over groups of each one's own mean, and its 95 % interval over groups.

    Where every group's mean is 0, or every one 1, the interval is the exact binomial one (Clopper and Pearson 1934).

    Args:
        values: (N,), each in 0..1; NaN is left out.
        groups: (N,), any labels.
        seed: of the resampling.

    Raises:
        Refused: no row is defined.
    """
    kept, labels, count = defined_rows(values, groups)
    means = np.bincount(labels, weights=kept, minlength=count) / np.bincount(labels, minlength=count)
    return replace(share_by_group(means, np.arange(count), seed=seed), n=len(kept))


def paired_difference(
    values: ArrayLike,
    control: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Difference:
    """Compare a method with a control on the same rows: mean difference, interval by group, p-value.

    The p-value is twice the smaller share of resampled means on either side of zero, counted as (1 + k) / (1 + B): it
    is never below 2 / (B + 1). Rows on which either figure is NaN are left out of both. A single group cannot be
    resampled: its p-value is 1.

    Args:
        values: (N,) of the method.
        control: (N,) of the control on the same rows.
        groups: (N,); None: every row is a group of its own.
        seed: of the resampling.
        resamples: bootstrap samples.

    Raises:
        Refused: no row is defined in both.
    """
    kept, labels, count = defined_rows(
        np.asarray(values, dtype=np.float64) - np.asarray(control, dtype=np.float64),
        groups,
    )
    means = _resampled_means(kept, labels, count, seed, resamples)
    sides = 1 + np.array([(means <= 0).sum(), (means >= 0).sum()])
    p_value = min(1.0, 2.0 * float(sides.min()) / (1 + resamples)) if count > 1 else 1.0
    return Difference(interval_of(float(kept.mean()), means, len(kept), count), p_value)


def difference_of_means(
    first: ArrayLike,
    second: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return mean(first) - mean(second) of two unpaired samples, each resampled on its own.

    Args:
        first: (N,); NaN is left out.
        second: (M,), each row a group of its own; NaN is left out.
        groups: (N,) of the first; None: every row is a group of its own.
        seed: of the resampling.
        resamples: bootstrap samples.

    Returns:
        The difference; ``n`` counts both samples' rows, ``groups`` those of the sample with fewer.

    Raises:
        Refused: either has no defined row.
    """
    (first_values, own, n), (second_values, others, m) = defined_rows(first, groups), defined_rows(second, None)
    means = _resampled_means(first_values, own, n, seed, resamples)
    means = means - _resampled_means(second_values, others, m, seed + 1, resamples)
    difference = float(first_values.mean() - second_values.mean())
    return interval_of(difference, means, len(first_values) + len(second_values), min(n, m))


def auroc(
    scores: ArrayLike,
    events: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the probability that a row with the event scores above one without, ties counting half, by group.

    Resamples that hold only rows with, or only rows without, the event have no AUROC and are passed over.

    Args:
        scores: (N,); rows with a NaN score are left out.
        events: (N,) bool.
        groups: (N,); None: every row is a group of its own.
        seed: of the resampling.
        resamples: bootstrap samples.

    Raises:
        Refused: the rows do not hold both kinds.
    """
    values = np.asarray(scores, dtype=np.float64)
    kept, labels, count = defined_rows(values, groups)
    positive = np.asarray(events, dtype=np.bool_)[~np.isnan(values)]
    if positive.all() or not positive.any():
        raise Refused("An AUROC needs rows with the event and rows without it.")
    order = np.argsort(kept, kind="stable")
    kept, labels, positive = kept[order], labels[order], positive[order]
    ties = np.unique(kept, return_inverse=True)[1]
    chunk = max(1, CELLS_AT_ONCE // len(kept))
    draws = draw_groups(count, seed, resamples)
    parts = [weighted_auroc(w[:, labels], positive, ties) for w in np.array_split(draws, -(-resamples // chunk))]
    value = float(weighted_auroc(np.ones((1, len(kept))), positive, ties)[0])
    return interval_of(value, np.concatenate(parts), len(kept), count)


def defined_rows(values: ArrayLike, groups: ArrayLike | None) -> tuple[Weights, NDArray[np.intp], int]:
    """Leave out NaN rows: (kept values, index of each one's group, number of groups).

    Raises:
        Refused: no row is left, or the labels are not as many as the rows.
    """
    rows = np.asarray(values, dtype=np.float64)
    keep = ~np.isnan(rows)
    if not keep.any():
        raise Refused("A figure over patients needs at least one row on which it is defined.")
    labels = np.arange(len(rows)) if groups is None else np.asarray(groups)
    if labels.shape != rows.shape:
        raise Refused(f"{len(rows)} rows came with {labels.size} group labels.")
    unique, index = np.unique(labels[keep], return_inverse=True)
    return rows[keep], index, len(unique)


def draw_groups(groups: int, seed: int, resamples: int) -> Weights:
    """Draw how often each group is in each bootstrap sample: (resamples, groups)."""
    return np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples).astype(float)


def _resampled_means(values: Weights, labels: NDArray[np.intp], groups: int, seed: int, resamples: int) -> Weights:
    draws = draw_groups(groups, seed, resamples)
    sums, counts = np.bincount(labels, values, groups), np.bincount(labels, minlength=groups)
    return np.asarray((draws @ sums) / (draws @ counts))


def weighted_auroc(weights: Weights, positive: NDArray[np.bool_], ties: NDArray[np.intp]) -> Weights:
    """Return the AUROC of rows sorted by score under each of several weightings, (B, N) -> (B,)."""
    starts = np.flatnonzero(np.diff(ties, prepend=-1))
    with_event = np.add.reduceat(weights * positive, starts, axis=1)
    without = np.add.reduceat(weights * ~positive, starts, axis=1)
    below = np.cumsum(without, axis=1) - without / 2
    pairs = with_event.sum(axis=1) * without.sum(axis=1)
    return np.divide((with_event * below).sum(axis=1), pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def interval_of(value: float, resampled: Weights, n: int, groups: int) -> Interval:
    """Make the percentile interval of a figure from its resampled values; NaN among them are passed over."""
    if groups < 2:
        return Interval(value, None, None, n, groups)
    tail = (1 - CONFIDENCE) / 2
    edges = np.nanquantile(resampled, [tail, 1 - tail])
    return Interval(value, float(edges[0]), float(edges[1]), n, groups)

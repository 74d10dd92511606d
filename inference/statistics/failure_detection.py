"""How well a score tells maps that miss from maps that hit: AUROC, risk against coverage, AURC, ECE; by patient.

A higher score means more trust. Intervals are the bootstrap's over groups (``statistics.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma

from inference.errors import Refused
from inference.statistics.bootstrap import (
    RESAMPLES,
    Difference,
    Interval,
    auroc,
    draw_groups,
    interval_of,
    mean_by_group,
    weighted_auroc,
)
from inference.statistics.calibration import Calibration, judge_calibration

Numbers = NDArray[np.float64]
COVERAGES = np.linspace(0.05, 1.0, 20)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One score as a detector of misses, on one set of maps."""

    cases: int
    groups: int
    misses: int
    miss: Interval
    """Share of maps that miss."""
    auroc: Interval | None
    """P(a map that misses scores below one that hits), ties half; None where all hit or all miss."""
    aurc: Interval
    """Area under risk against coverage: mean miss share over every coverage 1/N .. 1; lower is better."""
    excess_aurc: Interval
    """AURC less that of the perfect order of the same maps (Geifman et al. 2019)."""
    calibration: Calibration | None
    """None where the score is not a probability."""


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Miss share among the most trusted maps, for each share of maps trusted."""

    coverage: Numbers
    """(K,)"""
    risk: Numbers
    """(K,)"""
    low: Numbers
    """(K,), 95 % over groups, point by point; NaN for a single group."""
    high: Numbers
    """(K,)"""


def judge_score(
    score: ArrayLike,
    miss: ArrayLike,
    groups: ArrayLike,
    *,
    seed: int,
    probability: bool = True,
    resamples: int = RESAMPLES,
) -> Judgement:
    """Judge a score as a detector of misses.

    Args:
        score: (N,), finite.
        miss: (N,) bool.
        groups: (N,), any labels.
        seed: of the resampling.
        probability: whether the score is a P(hit), so that its calibration can be judged.
        resamples: bootstrap samples.

    Raises:
        Refused: no case, a score that is not finite, or arrays of different lengths.
    """
    values, wrong, index, count = _checked(score, miss, groups)
    both = bool(wrong.any() and not wrong.all())
    draws = draw_groups(count, seed, resamples)
    rows, order = draws[:, index], _descending(values)
    resampled, best = _aurc(rows, wrong, order), _best_aurc(rows, wrong)
    once = np.ones((1, len(values)))
    value, floor = float(_aurc(once, wrong, order)[0]), float(_best_aurc(once, wrong)[0])
    return Judgement(
        cases=len(values),
        groups=count,
        misses=int(wrong.sum()),
        miss=mean_by_group(wrong, index, seed=seed, resamples=resamples),
        auroc=auroc(-values, wrong, index, seed=seed, resamples=resamples) if both else None,
        aurc=interval_of(value, resampled, len(values), count),
        excess_aurc=interval_of(value - floor, resampled - best, len(values), count),
        calibration=judge_calibration(values, wrong, index, draws, seed) if probability else None,
    )


def judge_by_class(
    score: ArrayLike,
    miss: ArrayLike,
    groups: ArrayLike,
    classes: ArrayLike,
    *,
    seed: int,
    probability: bool = True,
    resamples: int = RESAMPLES,
) -> Mapping[str, Judgement]:
    """Judge a score within each class: pooled figures flatter where classes differ in how often maps miss.

    Args:
        score: (N,).
        miss: (N,) bool.
        groups: (N,).
        classes: (N,), the predicted class.
        seed: of the resampling.
        probability: as for ``judge_score``.
        resamples: bootstrap samples.

    Returns:
        Class name to figures, sorted by name.

    Raises:
        Refused: as ``judge_score``.
    """
    values, wrong, index, _ = _checked(score, miss, groups)
    names = np.asarray(classes)
    return {
        str(name): judge_score(
            values[names == name],
            wrong[names == name],
            index[names == name],
            seed=seed,
            probability=probability,
            resamples=resamples,
        )
        for name in np.unique(names)
    }


def auroc_gain(
    score: ArrayLike,
    baseline: ArrayLike,
    miss: ArrayLike,
    groups: ArrayLike,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Difference:
    """Return by how much a score's AUROC for misses exceeds a baseline's on the same maps, paired over groups.

    Args:
        score: (N,).
        baseline: (N,), such as the largest class probability.
        miss: (N,) bool.
        groups: (N,).
        seed: of the resampling.
        resamples: bootstrap samples.

    Raises:
        Refused: as ``judge_score``, or the maps do not both hit and miss.
    """
    values, wrong, index, count = _checked(score, miss, groups)
    other = _checked(baseline, miss, groups)[0]
    if wrong.all() or not wrong.any():
        raise Refused("An AUROC needs maps that miss and maps that hit.")
    rows = np.vstack([np.ones(len(values)), draw_groups(count, seed, resamples)[:, index]])
    gains = _auroc_of_misses(rows, wrong, values) - _auroc_of_misses(rows, wrong, other)
    drawn = gains[1:][~np.isnan(gains[1:])]
    sides = 1 + min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    p_value = min(1.0, 2 * sides / (1 + len(drawn))) if count > 1 else 1.0
    return Difference(interval_of(float(gains[0]), gains[1:], len(values), count), p_value)


def risk_coverage(
    score: ArrayLike,
    miss: ArrayLike,
    groups: ArrayLike,
    *,
    seed: int,
    coverages: ArrayLike = COVERAGES,
    resamples: int = RESAMPLES,
) -> RiskCoverage:
    """Draw the miss share among the most trusted maps against how many are trusted (El-Yaniv and Wiener 2010).

    Args:
        score: (N,).
        miss: (N,) bool.
        groups: (N,).
        seed: of the resampling.
        coverages: (K,), above 0, at most 1.
        resamples: bootstrap samples.

    Raises:
        Refused: as ``judge_score``.
    """
    values, wrong, index, count = _checked(score, miss, groups)
    asked = np.asarray(coverages, np.float64)
    order = _descending(values)
    rows = np.vstack([np.ones(len(values)), draw_groups(count, seed, resamples)[:, index]])
    seen, missed = _cumulated(rows, wrong, order)
    risks = np.array([np.interp(asked * n[-1], n, m) / (asked * n[-1]) for n, m in zip(seen, missed, strict=True)])
    tails = np.quantile(risks[1:], [0.025, 0.975], axis=0) if count > 1 else np.full((2, len(asked)), np.nan)
    return RiskCoverage(asked, risks[0], tails[0], tails[1])


def _checked(score: ArrayLike, miss: ArrayLike, groups: ArrayLike) -> tuple[Numbers, Numbers, NDArray[np.intp], int]:
    values, wrong, labels = np.asarray(score, np.float64), np.asarray(miss, np.float64), np.asarray(groups)
    if not (values.ndim == 1 and values.shape == wrong.shape == labels.shape and values.size):
        raise Refused("A score is judged on one score, one miss and one patient for each of at least one map.")
    if not np.isfinite(values).all():
        raise Refused("A score to be judged must be finite for every map.")
    unique, index = np.unique(labels, return_inverse=True)
    return values, wrong, index, len(unique)


def _descending(values: Numbers) -> NDArray[np.intp]:
    """Return the rank of each map's score, the highest 0, ties alike."""
    return np.asarray(np.unique(-values, return_inverse=True)[1], dtype=np.intp)


def _cumulated(rows: Numbers, wrong: Numbers, rank: NDArray[np.intp]) -> tuple[Numbers, Numbers]:
    """Count maps and misses down to each rank, none first, under each weighting: (B, N) -> (B, ranks + 1) twice."""
    order = np.argsort(rank, kind="stable")
    starts = np.flatnonzero(np.diff(rank[order], prepend=-1))
    counts = [np.add.reduceat(part[:, order], starts, axis=1).cumsum(axis=1) for part in (rows, rows * wrong)]
    seen, missed = (np.hstack([np.zeros((len(rows), 1)), part]) for part in counts)
    return seen, missed


def _aurc(rows: Numbers, wrong: Numbers, rank: NDArray[np.intp]) -> Numbers:
    """Return the AURC, averaged over every order of ties, under each weighting: (B, N) -> (B,).

    In a tie of b maps, m of which miss, after c maps with M misses, the risk at the j-th is (M + m j / b) / (c + j) =
    m / b + (M - m c / b) / (c + j): summed over j, a difference of harmonic numbers.
    """
    seen, missed = _cumulated(rows, wrong, rank)
    size, misses = np.diff(seen), np.diff(missed)
    share = np.divide(misses, size, out=np.zeros_like(size), where=size > 0)
    harmonic = np.diff(digamma(seen + 1))
    area = misses + (missed[:, :-1] - share * seen[:, :-1]) * harmonic
    return np.asarray(area.sum(axis=1) / seen[:, -1])


def _best_aurc(rows: Numbers, wrong: Numbers) -> Numbers:
    """Return the least AURC the same maps allow: every miss after every hit."""
    misses, total = rows @ wrong, rows.sum(axis=1)
    hits = total - misses
    return np.asarray((misses - hits * (digamma(total + 1) - digamma(hits + 1))) / total)


def _auroc_of_misses(rows: Numbers, wrong: Numbers, values: Numbers) -> Numbers:
    rank = _descending(values)
    order = np.argsort(rank, kind="stable")
    return weighted_auroc(rows[:, order], wrong[order] > 0, rank[order])

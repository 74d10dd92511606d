"""The experiment "risk control holds": certify on half of the patients, count misses among TRUSTED maps on the others.

The halves are drawn by patient, many times. The certificate promises that in at most delta of sites the true risk of
the threshold exceeds alpha. What a split shows is the miss share of the other half. That exceeds alpha more often: by
the chance of a finite half, and because the misses one half lacks the other has. In simulation (150 patients certify,
150 judge, alpha = delta = 0.10) the true risk exceeds alpha at 0.05 to 0.06 of sites, a fresh half shows more than
alpha at 0.11 to 0.13, the other half of the same site at 0.14. So splits whose other half refutes alpha, at 95 %
confidence, are counted too (0.02). Splits of the same cases are alike: for other cases the intervals are too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

from inference.errors import Refused
from inference.statistics.bounds import Bets, check_levels
from inference.statistics.risk_control import GRID, Site, Unit, certified_step, present, see_site

Numbers = NDArray[np.float64]
SPLITS = 200
FEWEST_GROUPS = 4
CONFIDENT = 0.05
COLUMNS = 6
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Share:
    """A count of splits, its share and the exact binomial 95 % interval (Clopper and Pearson 1934)."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.of


@dataclass(frozen=True, slots=True)
class Resplits:
    """What became of one certificate over many splits."""

    unit: Unit
    """What the certificate counted."""
    alpha: float
    delta: float
    splits: int
    certified: Share
    """Splits in which any threshold was certified."""
    exceeded: Share
    """Splits whose trusted maps on the other half miss more than alpha, every patient weighing the same."""
    exceeded_by_case: Share
    """The same, every map weighing the same."""
    refuted: Share
    """Splits whose other half shows, at 95 % confidence, that more than alpha miss, every patient weighing the same."""
    coverage: float
    """Mean share of the other half's maps that are trusted, 0 where nothing was certified."""
    coverage_spread: tuple[float, float]
    """2.5 % and 97.5 % quantile over splits."""
    miss: float | None
    """Mean miss share among trusted maps over splits that trusted any, every patient weighing the same."""
    miss_spread: tuple[float, float] | None


def resplit(
    score: ArrayLike,
    miss: ArrayLike,
    groups: ArrayLike,
    *,
    alpha: float,
    delta: float,
    seed: int,
    unit: Unit = Unit.PATIENT,
    splits: int = SPLITS,
    fitted: float = 0.5,
    grid: Sequence[float] = GRID,
) -> Resplits:
    """Certify on a random part of the patients and judge on the rest, many times.

    Args:
        score: (N,); scores must not have been fitted on these cases' misses, or only on other patients'.
        miss: (N,) bool.
        groups: (N,).
        alpha: largest share of misses.
        delta: 1 - confidence.
        seed: of the splits and of what each draws.
        unit: what the certificate counts.
        splits: how many.
        fitted: share of patients that certify.
        grid: thresholds.

    Raises:
        Refused: arrays of different lengths, fewer than 4 patients, or alpha or delta out of range.
    """
    check_levels(alpha, delta)
    values, wrong = np.asarray(score, np.float64), np.asarray(miss, np.bool_)
    labels = np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(labels.max()) + 1 if len(labels) else 0
    if count < FEWEST_GROUPS or not (values.shape == wrong.shape == labels.shape):
        raise Refused("Re-splits need at least 4 patients, and one score, one miss and one patient for each case.")
    size = min(max(1, round(count * fitted)), count - 1)
    bets = Bets.of(alpha, delta, size) if unit is Unit.PATIENT else None
    refuting = Bets.of(1 - alpha, CONFIDENT, count - size)
    draw = np.random.default_rng(seed)
    rows = np.full((splits, COLUMNS), np.nan)
    for split in range(splits):
        certifying = (draw.permutation(count) < size)[labels]
        drawn = int(draw.integers(2**32))
        site = see_site(values[certifying], wrong[certifying], labels[certifying], seed=drawn, grid=grid)
        step = certified_step(site, alpha, delta, unit, bets)
        rows[split, 0] = step is not None
        if step is None:
            rows[split, 4] = 0.0
        else:
            asked = (float(site.grid[step]),)
            other = see_site(values[~certifying], wrong[~certifying], labels[~certifying], seed=drawn, grid=asked)
            rows[split, 1:] = _judged(other, alpha, refuting, int((~certifying).sum()))
    return _summary(rows, unit, alpha, delta)


def _judged(other: Site, alpha: float, refuting: Bets, cases: int) -> tuple[float, ...]:
    """Return whether the other half exceeds alpha, by case, refutes it; coverage; miss."""
    losses, trusted = present(other.losses[0]), int(other.trusted[0])
    if not trusted:
        return 0.0, 0.0, 0.0, 0.0, np.nan
    miss = float(losses.mean())
    by_case = int(other.misses[0]) / trusted
    refuted = bool(refuting.rejects(1 - losses[None])[0])
    return float(miss > alpha + ROUNDING), float(by_case > alpha + ROUNDING), float(refuted), trusted / cases, miss


def _summary(rows: Numbers, unit: Unit, alpha: float, delta: float) -> Resplits:
    certified, exceeded, by_case, refuted = (_share(rows[:, column]) for column in range(4))
    coverage, misses = rows[:, 4], present(rows[:, 5])
    return Resplits(
        unit,
        alpha,
        delta,
        len(rows),
        certified,
        exceeded,
        by_case,
        refuted,
        float(coverage.mean()),
        _spread(coverage),
        float(misses.mean()) if len(misses) else None,
        _spread(misses) if len(misses) else None,
    )


def _share(flags: Numbers) -> Share:
    count, of = int(np.nansum(flags)), len(flags)
    low = float(beta.ppf(0.025, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, of - count)) if count < of else 1.0
    return Share(count, of, low, high)


def _spread(values: Numbers) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)

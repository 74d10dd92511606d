"""How repeatable a figure is: within-subject SD, repeatability coefficient, ICC, CCC, Bland-Altman.

Definitions of Raunig et al. 2015 (Statistical Methods in Medical Research 24:27, of QIBA) for quantitative imaging.
Each figure comes with its 95 % interval, by the exact or asymptotic form its source gives; below its least count it is
still given, and says that it is no finding.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from inference.errors import Refused

CONFIDENCE = 0.95
LEAST_SUBJECTS = 35
"""Subjects that a repeatability claim needs (Obuchowski and Bullen 2018, PMID 29145749): fewer are no finding."""
NOTHING = 1e-15
"""A variance below this share of another is rounding: the measurements are the same."""
RC_OF_WSD = 1.96 * math.sqrt(2.0)

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class WithinSubject:
    """How far measurements of one subject lie apart, in the unit measured."""

    wsd: Estimate
    """Within-subject standard deviation."""
    repeatability_coefficient: Estimate
    """1.96 sqrt(2) wSD: two measurements of one subject differ by less, 19 times in 20."""
    mean: float
    subjects: int
    measurements: int

    @property
    def is_finding(self) -> bool:
        """Whether there are subjects enough to say so."""
        return self.subjects >= LEAST_SUBJECTS


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two measurements of the same subjects (Bland and Altman 1986)."""

    bias: Estimate
    """Mean of second less first."""
    lower_limit: Estimate
    """Bias less 1.96 SD of the differences."""
    upper_limit: Estimate
    sd: float
    subjects: int

    @property
    def is_finding(self) -> bool:
        """Whether there are subjects enough to say so."""
        return self.subjects >= LEAST_SUBJECTS


def within_subject(values: ArrayLike, subjects: ArrayLike) -> WithinSubject:
    """Return within-subject SD and repeatability coefficient from repeated measurements; counts may differ.

    Args:
        values: (N,), in any unit.
        subjects: (N,), whose each is; subjects measured once say nothing and are left out.

    Raises:
        Refused: no subject was measured twice, or a value is not finite.
    """
    measured, whose = _finite(values), np.asarray(subjects)
    _, group, counts = np.unique(whose, return_inverse=True, return_counts=True)
    kept = counts[group] > 1
    if not kept.any():
        raise Refused("No subject was measured twice: repeatability cannot be estimated.")
    _, group, counts = np.unique(whose[kept], return_inverse=True, return_counts=True)
    measured = measured[kept]
    means = np.bincount(group, weights=measured) / counts
    squares = float(((measured - means[group]) ** 2).sum())
    freedom = int((counts - 1).sum())
    wsd = math.sqrt(squares / freedom)
    tail = (1.0 - CONFIDENCE) / 2.0
    bounds = [math.sqrt(squares / stats.chi2.ppf(share, freedom)) for share in (1.0 - tail, tail)]
    interval = Estimate(wsd, *bounds)
    scaled = Estimate(*(RC_OF_WSD * each for each in (interval.value, interval.low, interval.high)))
    return WithinSubject(interval, scaled, float(measured.mean()), len(counts), len(measured))


def intraclass_correlation(table: ArrayLike, *, absolute: bool = True) -> Estimate:
    """Return the two-way intraclass correlation of single measurements, ICC(A,1) or ICC(C,1) of McGraw and Wong 1996.

    Args:
        table: (subjects, measurements), complete.
        absolute: agreement, ICC(A,1), which a shift between measurements lowers: repeatability; else consistency.

    Raises:
        Refused: fewer than 2 subjects or measurements, no spread between subjects, or a value is not finite.
    """
    cells = _finite(table)
    if cells.ndim != 2 or min(cells.shape) < 2:
        raise Refused("An intraclass correlation needs at least 2 subjects with at least 2 measurements each.")
    n, k = cells.shape
    whole = cells.mean()
    rows = k * ((cells.mean(axis=1) - whole) ** 2).sum() / (n - 1)
    columns = n * ((cells.mean(axis=0) - whole) ** 2).sum() / (k - 1)
    rest = ((cells - whole) ** 2).sum() - rows * (n - 1) - columns * (k - 1)
    error = rest / ((n - 1) * (k - 1))
    if rows <= NOTHING * (1.0 + whole**2):
        raise Refused("A measurement that is the same for every subject has no intraclass correlation.")
    if max(error, columns if absolute else 0.0) <= NOTHING * rows:
        return Estimate(1.0, 1.0, 1.0)
    high = 1.0 - (1.0 - CONFIDENCE) / 2.0
    if not absolute:
        ratio = rows / error
        low_f = ratio / stats.f.ppf(high, n - 1, (n - 1) * (k - 1))
        high_f = ratio * stats.f.ppf(high, (n - 1) * (k - 1), n - 1)
        return Estimate(*(float((f - 1) / (f + k - 1)) for f in (ratio, low_f, high_f)))
    value = (rows - error) / (rows + (k - 1) * error + k * (columns - error) / n)
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    freedom = (a * columns + b * error) ** 2 / (
        (a * columns) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1))
    )  # Satterthwaite's
    below, above = stats.f.ppf(high, n - 1, freedom), stats.f.ppf(high, freedom, n - 1)
    spread = k * columns + (k * n - k - n) * error
    low = n * (rows - below * error) / (below * spread + n * rows)
    upper = n * (above * rows - error) / (spread + n * above * rows)
    return Estimate(float(value), float(low), float(upper))


def concordance(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Return the concordance correlation of two measurements (Lin 1989; variance as corrected in 2000).

    Args:
        first: (N,).
        second: (N,), of the same subjects.

    Raises:
        Refused: fewer than 3 subjects, no spread at all, or a value is not finite.
    """
    x, y = _pair(first, second, least=3)
    n = len(x)
    covariance = float(((x - x.mean()) * (y - y.mean())).mean())
    apart = float(y.mean() - x.mean())
    spread = float(x.var() + y.var()) + apart**2
    if spread == 0 or x.var() == 0 or y.var() == 0:
        raise Refused("A measurement that is the same for every subject has no concordance.")
    value = 2.0 * covariance / spread
    both = math.sqrt(float(x.var() * y.var()))
    r, bias, shift = covariance / both, 2.0 * both / spread, apart**2 / both
    if abs(r) >= 1.0 - 1e-12 or abs(value) >= 1.0 - 1e-12:
        return Estimate(value, value, value)
    rest = 1 - value**2
    variance = (
        (1 - r**2) * bias**2 / rest
        + 2 * value**2 * bias * (1 - value) * shift / rest**2
        - value**2 * bias**2 * shift**2 / (2 * rest**2)
    ) / (n - 2)
    reach = float(stats.norm.ppf(1 - (1 - CONFIDENCE) / 2)) * math.sqrt(max(variance, 0.0))
    return Estimate(value, math.tanh(math.atanh(value) - reach), math.tanh(math.atanh(value) + reach))


def bland_altman(first: ArrayLike, second: ArrayLike) -> Agreement:
    """Return bias and limits of agreement, their intervals after Bland and Altman 1999 (Student's t).

    Args:
        first: (N,).
        second: (N,), of the same subjects.

    Raises:
        Refused: fewer than 3 subjects, or a value is not finite.
    """
    x, y = _pair(first, second, least=3)
    n, apart = len(x), y - x
    bias, sd = float(apart.mean()), float(apart.std(ddof=1))
    t = float(stats.t.ppf(1 - (1 - CONFIDENCE) / 2, n - 1))
    of_bias, of_limit = t * sd / math.sqrt(n), t * sd * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    limits = (bias - 1.96 * sd, bias + 1.96 * sd)
    lower, upper = (Estimate(limit, limit - of_limit, limit + of_limit) for limit in limits)
    return Agreement(Estimate(bias, bias - of_bias, bias + of_bias), lower, upper, sd, n)


def _pair(first: ArrayLike, second: ArrayLike, *, least: int) -> tuple[Values, Values]:
    x, y = _finite(first), _finite(second)
    if x.shape != y.shape or len(x) < least:
        raise Refused(f"Two measurements of at least {least} subjects are needed, here {len(x)} and {len(y)}.")
    return x, y


def _finite(values: ArrayLike) -> Values:
    given = np.asarray(values, dtype=np.float64)
    if not np.isfinite(given).all():
        raise Refused("A measurement is not a finite number.")
    return given

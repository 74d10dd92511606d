"""The threshold above which a map is TRUSTED, certified: at confidence 1 - delta at most alpha of trusted maps miss.

What is certified. Let a patient be drawn at random from those who, under threshold t, have at least one trusted map
(score >= t), and one of that patient's trusted maps at random. The certificate says that this map misses with
probability at most alpha; a patient's loss is the share of the trusted maps that miss. Patients are independent, slices
of one patient are not: so the unit is the patient, whatever the number of slices. Taking every case as independent is
given beside it, named optimistic: with correlated slices it certifies wrongly far more often than delta.

How. Learn-then-Test by fixed sequence (Angelopoulos et al. 2021, arXiv 2110.01052): thresholds of a grid fixed
beforehand are tested from the top, each at delta (``bounds.py``), until the first that cannot be certified; the last
that could is the threshold. Thresholds are passed over at the top until enough patients have a trusted map for a
certificate with one miss among them (with none, at a site of fewer than twice that many patients). Passing over looks
at scores, never at misses. It keeps the level if patients whose best score is higher are not the ones who miss more:
passing over t at the expense of a lower t' means that fewer of the better patients were met than expected, which makes
the certificate at t' harder to get. Future patients must be exchangeable with these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from inference.errors import Refused
from inference.statistics.bootstrap import Interval, mean_by_group
from inference.statistics.bounds import Bets, binomial_upper_bound, check_levels, fewest_groups, upper_bound

Numbers = NDArray[np.float64]
GRID = tuple(round(step / 100, 2) for step in range(99, 1, -1))
"""Thresholds on a probability, from the top."""
AT_ONCE = 16
"""Thresholds tested together, though they count one after the other."""
ORDERS, ORDERS_SEED, STEADY = 100, 20261129, 0.5
"""Orders of patients drawn to see whether a certificate is luck of its own, and the share of them that must certify."""
ALPHAS = tuple(round(step / 100, 2) for step in range(50, 0, -1))


class Unit(StrEnum):
    """Whom the certificate counts."""

    PATIENT = "patient"
    CASE = "case, taken as independent (optimistic)"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is certified of TRUSTED maps, or that nothing is."""

    alpha: float
    delta: float
    unit: Unit
    threshold: float | None
    """TRUSTED from this score up; None: no threshold can be certified."""
    groups_total: int
    groups: int
    """Patients with a trusted map."""
    trusted: int
    """Trusted maps."""
    misses: int
    """Trusted maps that miss."""
    risk: float | None
    """Observed mean loss by ``unit``; ``upper`` is its bound."""
    upper: float | None
    """At confidence 1 - delta at most this share misses, were this threshold fixed beforehand; never above alpha."""
    coverage: Interval
    """Share of maps that are trusted, over patients."""

    @property
    def groups_lacking(self) -> int:
        """How many more patients there must be at the least: were none of their trusted maps to miss; 0: enough."""
        return max(0, fewest_groups(self.alpha, self.delta, 0) - self.groups_total)


@dataclass(frozen=True, slots=True)
class Site:
    """Scores and misses of one site, seen under every threshold of a grid, highest first."""

    grid: Numbers
    """(T,)"""
    losses: Numbers
    """(T, G): share of each patient's trusted maps that miss; NaN where none is trusted. Patients in drawn order."""
    groups: NDArray[np.intp]
    """(T,): patients with a trusted map."""
    trusted: NDArray[np.intp]
    """(T,)"""
    misses: NDArray[np.intp]
    """(T,)"""


def see_site(score: ArrayLike, miss: ArrayLike, groups: ArrayLike, *, seed: int, grid: Sequence[float] = GRID) -> Site:
    """Count trusted maps and misses by patient under each threshold.

    Args:
        score: (N,); NaN is never trusted.
        miss: (N,) bool: the map's peak lies outside every true finding.
        groups: (N,), any labels: the patient.
        seed: of the order in which patients are met.
        grid: thresholds fixed beforehand, in any order.

    Raises:
        Refused: no case, arrays of different lengths, or no threshold.
    """
    values, wrong, labels = np.asarray(score, np.float64), np.asarray(miss, np.float64), np.asarray(groups)
    if not (values.ndim == 1 and values.shape == wrong.shape == labels.shape and values.size and len(grid)):
        raise Refused("Risk control needs one score, one miss and one patient for each of at least one case.")
    unique, index = np.unique(labels, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(unique))[index]
    thresholds = np.sort(np.asarray(grid, np.float64))[::-1]
    steps = np.searchsorted(-thresholds, -np.where(np.isnan(values), -np.inf, values))
    counts, wrongs = np.zeros((2, len(thresholds) + 1, len(unique)))
    np.add.at(counts, (steps, place), 1.0)
    np.add.at(wrongs, (steps, place), wrong)
    counts, wrongs = counts.cumsum(axis=0)[:-1], wrongs.cumsum(axis=0)[:-1]
    losses = np.divide(wrongs, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return Site(
        thresholds, losses, (counts > 0).sum(axis=1), *(t.sum(axis=1).round().astype(np.intp) for t in (counts, wrongs))
    )


def certified_step(site: Site, alpha: float, delta: float, unit: Unit, bets: Bets | None = None) -> int | None:
    """Return the lowest threshold certified, as its place in the grid; None: none.

    ``bets`` is the cached table of the patients' test, for use with many sites.
    """
    begin = first_tested(site, alpha, delta, unit)
    if begin is None:
        return None
    most = int(site.trusted.max()) if unit is Unit.CASE else site.losses.shape[1]
    test = bets or Bets.of(alpha, delta, most)
    passed = begin
    while passed < len(site.grid):
        some = slice(passed, passed + AT_ONCE)
        rejected = (
            bdtr(site.misses[some].astype(float), site.trusted[some], alpha) <= delta
            if unit is Unit.CASE
            else test.rejects(site.losses[some])
        )
        passed += len(rejected) if rejected.all() else int(np.argmin(rejected))
        if not rejected.all():
            break
    return passed - 1 if passed > begin else None


def steady_step(site: Site, alpha: float, delta: float, unit: Unit = Unit.PATIENT) -> int | None:
    """Return what ``certified_step`` does, but None where it is luck of the order in which patients are met.

    The level holds for any order that is drawn beforehand, and so for the one of the site's seed; but where few other
    orders certify any threshold, that one did says little of the patients. It is luck where fewer than half of
    ``ORDERS`` drawn ones do. This only takes certificates away, so that the level holds all the more.
    """
    step, begin = certified_step(site, alpha, delta, unit), first_tested(site, alpha, delta, unit)
    if step is None or begin is None or unit is Unit.CASE:
        return step
    draw, first = np.random.default_rng(ORDERS_SEED), site.losses[begin]
    others = np.stack([first[draw.permutation(len(first))] for _ in range(ORDERS)])
    return step if Bets.of(alpha, delta, len(first)).rejects(others).mean() >= STEADY else None


def first_tested(site: Site, alpha: float, delta: float, unit: Unit) -> int | None:
    """Return the highest threshold that enough patients reach to be tested, as its place in the grid; None: none."""
    by_case = unit is Unit.CASE
    counted, most = (site.trusted, int(site.trusted.max())) if by_case else (site.groups, site.losses.shape[1])
    start = np.flatnonzero(counted >= _enough(alpha, delta, most))
    return int(start[0]) if len(start) else None


def certified_steps(site: Site, alpha: float, delta: float, bets: Bets, *, orders: int, seed: int) -> list[int | None]:
    """Return the lowest threshold certified by patient under many drawn orders of patients; None: none is.

    Args:
        site: seen under its grid, whatever its order.
        alpha: largest share of misses.
        delta: 1 - confidence.
        bets: the table of the test.
        orders: how many are drawn.
        seed: of the drawing.
    """
    begin = first_tested(site, alpha, delta, Unit.PATIENT)
    if begin is None:
        return [None] * orders
    draw, tested = np.random.default_rng(seed), site.losses[begin:]
    every = np.concatenate([tested[:, draw.permutation(tested.shape[1])] for _ in range(orders)])
    rejected = bets.rejects(every).reshape(orders, len(tested))
    passed = np.where(rejected.all(axis=1), len(tested), rejected.argmin(axis=1))
    return [begin + int(count) - 1 if count else None for count in passed]


def certify(
    score: ArrayLike,
    miss: ArrayLike,
    groups: ArrayLike,
    *,
    alpha: float,
    delta: float,
    seed: int,
    unit: Unit = Unit.PATIENT,
    grid: Sequence[float] = GRID,
) -> Certificate:
    """Find the lowest threshold above which at most alpha of maps miss, at confidence 1 - delta; see ``steady_step``.

    Args:
        score: (N,); NaN is never trusted.
        miss: (N,) bool.
        groups: (N,), any labels.
        alpha: largest share of misses.
        delta: 1 - confidence.
        seed: of the order of patients and of the interval of the coverage.
        unit: patients, or cases taken as independent.
        grid: thresholds fixed beforehand, without a look at these cases.

    Raises:
        Refused: arrays of different lengths, or alpha or delta out of range.
    """
    check_levels(alpha, delta)
    site = see_site(score, miss, groups, seed=seed, grid=grid)
    step = steady_step(site, alpha, delta, unit)
    threshold = None if step is None else float(site.grid[step])
    trusted = np.asarray(score, np.float64) >= (np.inf if threshold is None else threshold)
    coverage = mean_by_group(trusted.astype(np.float64), groups, seed=seed)
    total = site.losses.shape[1]
    if step is None:
        return Certificate(alpha, delta, unit, None, total, 0, 0, 0, None, None, coverage)
    kept, misses, losses = int(site.trusted[step]), int(site.misses[step]), present(site.losses[step])
    by_case = unit is Unit.CASE
    risk = misses / kept if by_case else float(losses.mean())
    upper = binomial_upper_bound(misses, kept, delta) if by_case else upper_bound(losses, delta, alpha)
    return Certificate(
        alpha, delta, unit, threshold, total, len(losses), kept, misses, risk, min(upper, alpha), coverage
    )


def smallest_alpha(
    score: ArrayLike,
    miss: ArrayLike,
    groups: ArrayLike,
    *,
    delta: float,
    seed: int,
    unit: Unit = Unit.PATIENT,
    alphas: Sequence[float] = ALPHAS,
    grid: Sequence[float] = GRID,
) -> Certificate | None:
    """Return the certificate of the smallest alpha that these cases certify; None: not even the largest asked.

    Alphas are tried from the largest down until the first that fails. This alpha was chosen by the data: it tells what
    to ask of further cases, and is strictly held to only if it was asked for beforehand. In simulation the true risk
    exceeded it in 0 of 300 sites of 17 patients and 17 of 300 of 60 patients at delta 0.10.

    Raises:
        Refused: as ``certify``.
    """
    site = see_site(score, miss, groups, seed=seed, grid=grid)
    smallest = None
    for alpha in sorted(alphas, reverse=True):
        check_levels(alpha, delta)
        if steady_step(site, alpha, delta, unit) is None:
            break
        smallest = alpha
    if smallest is None:
        return None
    return certify(score, miss, groups, alpha=smallest, delta=delta, seed=seed, unit=unit, grid=grid)


def present(losses: Numbers) -> Numbers:
    """Return the losses of the patients who have any."""
    return losses[~np.isnan(losses)]


def _enough(alpha: float, delta: float, most: int) -> int:
    """Return from how many counted on a threshold is tested."""
    spare = fewest_groups(alpha, delta, 1)
    return spare if most >= 2 * spare else fewest_groups(alpha, delta, 0)

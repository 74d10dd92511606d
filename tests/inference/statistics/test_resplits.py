"""Risk control holds: certified on one half, judged on the other."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom, binomtest

from inference.errors import Refused
from inference.statistics.resplits import resplit
from inference.statistics.risk_control import Unit


def site(patients: int, slices: int, alike: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated scores and misses; ``alike`` is the share of a score's and of a miss's lot that is the patient's."""
    draw = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), slices)
    own, shared = draw.normal(size=len(groups)), np.repeat(draw.normal(size=patients), slices)
    score = expit(2.2 + 3 * (np.sqrt(alike) * shared + np.sqrt(1 - alike) * own))
    lot = np.where(draw.random(len(groups)) < alike, np.repeat(draw.random(patients), slices), draw.random(len(groups)))
    return score, lot > score, groups


def test_trusted_maps_of_other_patients_keep_to_alpha_but_for_delta_and_chance() -> None:
    made = [resplit(*site(300, 1, 0.0, seed), alpha=0.1, delta=0.1, seed=0, splits=1) for seed in range(100)]
    assert sum(one.exceeded.count for one in made) <= binom.ppf(0.999, 100, 0.13)
    assert sum(one.refuted.count for one in made) <= binom.ppf(0.999, 100, 0.05)
    assert sum(one.certified.count for one in made) > 90
    assert 0.5 < np.mean([one.coverage for one in made]) < 0.75
    assert np.mean([one.miss for one in made if one.miss is not None]) < 0.1


def test_splits_of_one_seed_are_the_same() -> None:
    first, second = (resplit(*site(60, 2, 0.3, 1), alpha=0.2, delta=0.1, seed=4, splits=10) for _ in range(2))
    assert first == second
    assert first.coverage_spread[0] <= first.coverage <= first.coverage_spread[1]


def test_counting_alike_slices_as_independent_exceeds_alpha_more_often() -> None:
    exceeded = dict.fromkeys(Unit, 0)
    for seed in range(4):
        for unit in Unit:
            made = resplit(*site(60, 12, 0.95, seed), alpha=0.1, delta=0.1, seed=0, unit=unit, splits=20)
            exceeded[unit] += made.exceeded.count
    assert exceeded[Unit.CASE] > 1.5 * exceeded[Unit.PATIENT]


def test_where_nothing_can_be_certified_nothing_is_trusted_and_nothing_exceeds() -> None:
    score, miss, groups = site(40, 1, 0.0, 2)
    made = resplit(score, miss, groups, alpha=0.02, delta=0.1, seed=0, splits=20)
    assert (made.certified.count, made.exceeded.count, made.coverage, made.miss) == (0, 0, 0.0, None)
    assert made.certified.high == pytest.approx(binomtest(0, 20).proportion_ci(method="exact").high)


def test_shares_have_the_exact_binomial_interval() -> None:
    made = resplit(*site(120, 2, 0.3, 3), alpha=0.2, delta=0.2, seed=0, splits=40).exceeded
    oracle = binomtest(made.count, 40).proportion_ci(method="exact")
    assert (made.low, made.high) == pytest.approx((oracle.low, oracle.high))


def test_too_few_patients_are_refused() -> None:
    with pytest.raises(Refused):
        resplit([0.5] * 3, [False] * 3, list("abc"), alpha=0.1, delta=0.1, seed=0)
    with pytest.raises(Refused):
        resplit([0.5] * 9, [False] * 8, np.arange(9), alpha=0.1, delta=0.1, seed=0)

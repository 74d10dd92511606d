"""The threshold of TRUSTED and what its certificate promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from inference.errors import Refused
from inference.statistics.bounds import Bets, binomial_upper_bound, fewest_groups, needed_groups, upper_bound
from inference.statistics.risk_control import Unit, certified_step, certify, see_site, smallest_alpha
from inference.statistics.withholding import withhold

SITES = 1000
ALPHA = DELTA = 0.10
FALSE_AT_MOST = binom.ppf(0.999, SITES, DELTA) / SITES
"""What delta allows, and its binomial error."""


SHAPES = [
    pytest.param(6, 1.0, id="slices alike"),
    pytest.param(6, 0.3, id="slices somewhat alike", marks=pytest.mark.slow),
    pytest.param(1, 1.0, id="one slice", marks=pytest.mark.slow),
]


def false_certificates(patients: int, slices: int, correlation: float, unit: Unit) -> float:
    """Share of sites certified although every threshold misses just above alpha; a patient's scores are alike."""
    draw = np.random.default_rng(5)
    groups = np.repeat(np.arange(patients), slices)
    bets, spread, true = Bets.of(ALPHA, DELTA, patients), 1 / correlation - 1, ALPHA * 1.001
    wrong = 0
    for seed in range(SITES):
        rate = draw.beta(true * spread, (1 - true) * spread, patients) if spread else draw.random(patients) < true
        miss = draw.random(len(groups)) < np.repeat(rate, slices)
        score = np.repeat(draw.random(patients), slices) - 0.02 * draw.random(len(groups))
        site = see_site(score, miss, groups, seed=seed, grid=(0.9, 0.7, 0.5, 0.3))
        wrong += certified_step(site, ALPHA, DELTA, unit, bets) is not None
    return wrong / SITES


@pytest.mark.parametrize(("slices", "correlation"), SHAPES)
def test_a_patients_certificate_is_false_in_at_most_delta_of_sites(slices: int, correlation: float) -> None:
    assert false_certificates(50, slices, correlation, Unit.PATIENT) <= FALSE_AT_MOST


def test_counting_slices_as_independent_certifies_falsely_far_more_often() -> None:
    assert false_certificates(50, 6, 1.0, Unit.CASE) > 2 * DELTA


def test_bets_are_won_in_at_most_delta_of_games_whatever_the_shape_of_the_loss() -> None:
    draw, games = np.random.default_rng(2), 20_000
    for alpha, delta, losses in (
        (0.1, 0.1, (draw.random((games, 45)) < 0.1).astype(float)),
        (0.05, 0.2, (draw.random((games, 80)) < 0.05).astype(float)),
        (0.2, 0.05, draw.beta(0.2, 0.8, (games, 40))),
        (0.1, 0.1, 0.2 * (draw.random((games, 60)) < 0.5)),
    ):
        won = Bets.of(alpha, delta, losses.shape[1]).rejects(losses).mean()
        assert won <= binom.ppf(0.9999, games, delta) / games


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 120), st.integers(0, 12), st.sampled_from([0.05, 0.1, 0.2]), st.integers(0, 99))
def test_bets_on_hits_and_misses_certify_whatever_the_exact_binomial_bound_does(
    patients: int, misses: int, alpha: float, seed: int
) -> None:
    losses = np.random.default_rng(seed).permutation(np.arange(patients) < misses).astype(float)[None]
    if binomial_upper_bound(min(misses, patients), patients, DELTA) <= alpha:
        assert Bets.of(alpha, DELTA, patients).rejects(losses)[0]


def test_the_table_is_the_binomial_distribution() -> None:
    table = Bets.of(0.1, 0.1, 40).table
    assert table == pytest.approx(binom.cdf(np.arange(-1, table.shape[1] - 1), np.arange(41)[:, None], 0.1), abs=1e-12)


def test_shares_of_slices_certify_where_one_slice_a_patient_would_not() -> None:
    losses = np.full((1, 60), 0.05)
    assert Bets.of(ALPHA, DELTA, 60).rejects(losses)[0]
    assert binomial_upper_bound(3, 60, DELTA) > ALPHA


def test_twenty_two_patients_without_a_miss_certify_a_tenth_and_twenty_one_do_not() -> None:
    assert needed_groups(0.10, 0.10) == 22
    assert needed_groups(0.05, 0.10) == 45
    for patients, certified in ((21, False), (22, True)):
        made = certify(np.ones(patients), np.zeros(patients, bool), np.arange(patients), alpha=0.1, delta=0.1, seed=0)
        assert (made.threshold is not None) is certified


def test_more_expected_misses_need_more_patients_and_too_many_can_never_be_certified() -> None:
    needed = [needed_groups(0.1, 0.1, expected) for expected in (0.0, 0.02, 0.05)]
    assert needed == sorted(needed)
    assert needed_groups(0.1, 0.1, 0.1) is None
    patients = needed[1]
    allowed = binom.ppf(0.8, patients, 0.02)
    assert binom.cdf(allowed, patients, 0.1) <= 0.1
    assert fewest_groups(0.1, 0.1, 1) == 38


def test_the_bound_is_the_exact_binomials_for_one_draw_a_patient() -> None:
    assert upper_bound(np.zeros(50), 0.1) == pytest.approx(binomial_upper_bound(0, 50, 0.1), abs=0.002)
    draw = np.random.default_rng(3)
    losses = draw.permutation(np.arange(200) < 8).astype(float)
    assert 0.04 < upper_bound(losses, 0.1) <= binomial_upper_bound(8, 200, 0.1) + 0.002
    assert upper_bound([], 0.1) == 1.0
    assert binomial_upper_bound(3, 3, 0.1) == 1.0


def site_of(patients: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    groups = np.repeat(np.arange(patients), 3)
    score = draw.random(len(groups)) ** 0.4
    return score, draw.random(len(groups)) > score, groups


def test_the_threshold_is_the_lowest_down_to_which_all_are_certified() -> None:
    score, miss, groups = site_of(200)
    made = certify(score, miss, groups, alpha=0.1, delta=0.1, seed=3)
    trusted = score >= made.threshold
    assert (made.trusted, made.misses) == (trusted.sum(), (trusted & miss).sum())
    assert made.groups == len(np.unique(groups[trusted]))
    share = np.mean([miss[trusted & (groups == g)].mean() for g in np.unique(groups[trusted])])
    assert made.risk == pytest.approx(share)
    assert made.risk < made.upper <= 0.1
    assert made.coverage.value == pytest.approx(trusted.mean())
    assert made.coverage.low < made.coverage.value < made.coverage.high
    assert certify(score, miss, groups, alpha=0.1, delta=0.1, seed=3) == made
    looser = certify(score, miss, groups, alpha=0.3, delta=0.1, seed=3)
    assert looser.threshold < made.threshold
    optimistic = certify(score, miss, groups, alpha=0.1, delta=0.1, seed=3, unit=Unit.CASE)
    assert optimistic.threshold <= made.threshold
    assert binom.cdf(optimistic.misses, optimistic.trusted, 0.1) <= 0.1


def test_what_few_orders_of_patients_certify_is_certified_by_none() -> None:
    """Of 26 patients with one miss few orders certify 0.10: whatever the seed, it is not certified."""
    score, miss, groups = np.ones(26), np.arange(26) == 0, np.arange(26)
    by_seed = [see_site(score, miss, groups, seed=seed) for seed in range(60)]
    lucky = [certified_step(site, 0.1, 0.1, Unit.PATIENT) is not None for site in by_seed]
    assert 0 < sum(lucky) < 30
    for seed in range(60):
        assert certify(score, miss, groups, alpha=0.1, delta=0.1, seed=seed).threshold is None
    assert certify(score, miss, groups, alpha=0.2, delta=0.1, seed=0).threshold is not None
    possible = smallest_alpha(score, miss, groups, delta=0.1, seed=0)
    assert possible is not None
    assert possible.alpha > 0.1


def test_names_and_order_of_the_cases_change_nothing_but_the_lot() -> None:
    score, miss, groups = site_of(120)
    shuffled = np.random.default_rng(0).permutation(len(score))
    made = certify(score, miss, groups, alpha=0.2, delta=0.1, seed=3)
    again = certify(score[shuffled], miss[shuffled], groups[shuffled], alpha=0.2, delta=0.1, seed=3)
    assert (made.threshold, made.risk, made.upper) == (again.threshold, pytest.approx(again.risk), again.upper)


def test_an_undefined_score_is_never_trusted() -> None:
    made = certify([np.nan] * 30 + [0.9] * 30, [True] * 30 + [False] * 30, np.arange(60), alpha=0.1, delta=0.1, seed=0)
    assert (made.trusted, made.misses) == (30, 0)


def test_seventeen_patients_certify_no_tenth_but_show_what_they_can() -> None:
    groups = np.repeat(np.arange(17), 28)
    score, miss = np.full(len(groups), 0.97), np.zeros(len(groups), bool)
    refused = certify(score, miss, groups, alpha=0.1, delta=0.1, seed=0)
    assert (refused.threshold, refused.trusted, refused.coverage.value, refused.groups_lacking) == (None, 0, 0.0, 5)
    assert certify(score, miss, groups, alpha=0.1, delta=0.1, seed=0, unit=Unit.CASE).threshold is not None
    shown = smallest_alpha(score, miss, groups, delta=0.1, seed=0)
    assert shown is not None
    assert shown.alpha == 0.13
    assert smallest_alpha(score, ~miss, groups, delta=0.1, seed=0) is None


def test_maps_more_likely_wrong_are_withheld_and_the_bound_says_how_sure_that_is() -> None:
    score = np.repeat([0.1, 0.9], 40)
    made = withhold(score, score < 0.5, np.arange(80), delta=0.1, seed=0)
    assert (made.threshold, made.groups, made.withheld, made.misses, made.risk) == (0.5, 40, 40, 40, 1.0)
    assert made.shown_wrong
    assert made.lower > 0.9
    right = withhold(score, np.zeros(80, bool), np.arange(80), delta=0.1, seed=0)
    assert not right.shown_wrong
    none = withhold(np.ones(5), np.zeros(5, bool), np.arange(5), delta=0.1, seed=0)
    assert (none.withheld, none.lower, none.shown_wrong) == (0, None, False)


@pytest.mark.parametrize(("alpha", "delta"), [(0.0, 0.1), (0.1, 1.0), (1.5, 0.1)])
def test_levels_that_are_no_probabilities_are_refused(alpha: float, delta: float) -> None:
    with pytest.raises(Refused):
        certify([0.5], [False], ["a"], alpha=alpha, delta=delta, seed=0)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(Refused):
        certify([0.5, 0.6], [False], ["a"], alpha=0.1, delta=0.1, seed=0)
    with pytest.raises(Refused):
        certify([], [], [], alpha=0.1, delta=0.1, seed=0)

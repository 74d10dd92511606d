"""Figures with their uncertainty over patients."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from inference.errors import Refused
from inference.statistics.bootstrap import auroc, difference_of_means, mean_by_group, paired_difference

pytestmark = pytest.mark.numerics


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(11)


def test_the_interval_of_independent_rows_is_the_normal_one(draw):
    values = draw.normal(2.0, 1.0, size=400)
    made = mean_by_group(values, seed=1)
    assert made.value == pytest.approx(values.mean())
    assert (made.high - made.low) == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)
    assert (made.n, made.groups) == (400, 400)
    assert mean_by_group(values, seed=1) == made


def test_rows_of_one_patient_do_not_narrow_the_interval(draw):
    patients = draw.normal(size=40)
    once = mean_by_group(patients, seed=3)
    tenfold = mean_by_group(np.repeat(patients, 10), np.repeat(np.arange(40), 10), seed=3)
    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high))
    assert (tenfold.n, tenfold.groups) == (400, 40)


def test_scipys_bootstrap_agrees(draw):
    values = draw.exponential(size=80)
    oracle = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(5))
    made = mean_by_group(values, seed=2, resamples=4000)
    assert made.low == pytest.approx(oracle.confidence_interval.low, abs=0.02)
    assert made.high == pytest.approx(oracle.confidence_interval.high, abs=0.02)


def test_undefined_rows_are_left_out_and_counted():
    made = mean_by_group([1.0, np.nan, 3.0], ["a", "b", "c"], seed=0)
    assert (made.value, made.n, made.groups) == (2.0, 2, 2)
    with pytest.raises(Refused):
        mean_by_group([np.nan], seed=0)
    with pytest.raises(Refused):
        mean_by_group([1.0, 2.0], ["a"], seed=0)


def test_a_single_patient_has_no_interval_and_excludes_nothing():
    made = mean_by_group([1.0, 2.0], ["a", "a"], seed=0)
    assert made.edges is None
    assert not made.excludes(0.0)
    assert paired_difference([1.0, 2.0], [0.0, 0.0], ["a", "a"], seed=0).p_value == 1.0


def test_a_paired_difference_is_the_t_tests(draw):
    control = draw.normal(size=100)
    method = control + draw.normal(0.12, 0.5, size=100)
    made = paired_difference(method, control, seed=4)
    assert made.p_value == pytest.approx(stats.ttest_rel(method, control).pvalue, abs=0.02)
    assert made.interval.value == pytest.approx((method - control).mean())
    assert paired_difference(control, method, seed=4).p_value == pytest.approx(made.p_value, abs=0.02)
    assert paired_difference(control + 1, control, seed=4).p_value == pytest.approx(2 / 2001)


def test_no_difference_is_rejected_at_its_rate(draw):
    rejected = [
        paired_difference(draw.normal(size=60), draw.normal(size=60), seed=k, resamples=400).p_value < 0.05
        for k in range(200)
    ]
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.05)


def test_unpaired_means_are_resampled_on_their_own(draw):
    first, second = draw.normal(1, 1, 90), draw.normal(0, 1, 50)
    made = difference_of_means(first, second, seed=8)
    assert made.value == pytest.approx(first.mean() - second.mean())
    spread = np.sqrt(first.var() / 90 + second.var() / 50)
    assert made.high - made.low == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert made.excludes(0.0)


def test_auroc_is_scikit_learns_ties_included_and_its_interval_is_by_patient(draw):
    events = draw.random(300) < 0.3
    scores = np.round(draw.normal(size=300) + events, 1)
    made = auroc(scores, events, seed=5)
    assert made.value == pytest.approx(roc_auc_score(events, scores))
    assert made.low < made.value < made.high
    tripled = auroc(np.repeat(scores, 3), np.repeat(events, 3), np.repeat(np.arange(300), 3), seed=5)
    assert (tripled.low, tripled.high) == pytest.approx((made.low, made.high), abs=0.01)
    with pytest.raises(Refused):
        auroc(scores, np.ones(300, bool), seed=5)


def test_a_resampled_auroc_is_the_one_of_the_repeated_rows():
    from inference.statistics.bootstrap import weighted_auroc

    scores, events = np.array([0.1, 0.2, 0.2, 0.7]), np.array([False, True, False, True])
    weights = np.array([[2.0, 1.0, 0.0, 1.0], [1.0, 3.0, 1.0, 1.0], [0.0, 2.0, 0.0, 2.0]])
    made = weighted_auroc(weights, events, np.array([0, 1, 1, 2]))
    oracle = [roc_auc_score(np.repeat(events, w.astype(int)), np.repeat(scores, w.astype(int))) for w in weights[:2]]
    assert made[:2] == pytest.approx(oracle)
    assert np.isnan(made[2])

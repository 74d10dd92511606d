"""A score as a detector of misses."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from inference.errors import Refused
from inference.statistics.failure_detection import auroc_gain, judge_by_class, judge_score, risk_coverage

pytestmark = pytest.mark.numerics
DRAW = np.random.default_rng(4)
GROUPS = np.repeat(np.arange(150), 3)
SCORE = DRAW.random(450)
MISS = DRAW.random(450) > SCORE


def aurc_by_hand(score: np.ndarray, miss: np.ndarray) -> float:
    ordered = miss[np.argsort(-score, kind="stable")]
    return float((ordered.cumsum() / np.arange(1, len(miss) + 1)).mean())


def test_the_auroc_of_misses_is_sklearns() -> None:
    made = judge_score(SCORE, MISS, GROUPS, seed=0, resamples=200)
    assert made.auroc.value == pytest.approx(roc_auc_score(MISS, -SCORE))
    assert made.auroc.low < made.auroc.value < made.auroc.high
    assert (made.cases, made.groups, made.misses) == (450, 150, MISS.sum())
    assert made.miss.value == pytest.approx(MISS.mean())


def test_aurc_is_the_mean_risk_over_coverages_and_the_excess_is_over_the_perfect_order() -> None:
    made = judge_score(SCORE, MISS, GROUPS, seed=0, resamples=200)
    assert made.aurc.value == pytest.approx(aurc_by_hand(SCORE, MISS))
    assert made.excess_aurc.value == pytest.approx(aurc_by_hand(SCORE, MISS) - aurc_by_hand(-MISS.astype(float), MISS))
    perfect = judge_score(1.0 - MISS, MISS, GROUPS, seed=0, resamples=200)
    assert perfect.excess_aurc.value == pytest.approx(0, abs=1e-3)
    assert perfect.auroc.value == 1.0


def test_four_maps_by_hand() -> None:
    made = judge_score([0.9, 0.8, 0.3, 0.1], [False, True, False, True], list("abcd"), seed=0, resamples=50)
    assert made.aurc.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert made.excess_aurc.value == pytest.approx(made.aurc.value - (0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert made.auroc.value == pytest.approx(3 / 4)


def test_ties_count_as_the_mean_of_their_orders() -> None:
    score = np.repeat([0.9, 0.5, 0.1], [4, 5, 3])
    draw = np.random.default_rng(5)
    miss = draw.random(12) < 0.4
    orders = [draw.permutation(12) for _ in range(4000)]
    by_lot = np.mean([aurc_by_hand(score[order], miss[order]) for order in orders])
    made = judge_score(score, miss, np.arange(12), seed=0, resamples=50)
    assert made.aurc.value == pytest.approx(by_lot, abs=0.005)


def test_a_score_that_says_nothing_has_the_miss_share_as_aurc_and_half_as_auroc() -> None:
    made = judge_score(np.full(450, 0.5), MISS, GROUPS, seed=0, resamples=50)
    assert made.aurc.value == pytest.approx(MISS.mean())
    assert made.auroc.value == 0.5


def test_calibration_is_sklearns_reliability_and_chance_alone_is_shown() -> None:
    made = judge_score(SCORE, MISS, GROUPS, seed=0, resamples=200).calibration
    hit, mean = calibration_curve(~MISS, SCORE, n_bins=10, strategy="quantile")
    assert [b[0] for b in made.bins] == pytest.approx(mean)
    assert [b[1] for b in made.bins] == pytest.approx(hit)
    assert made.ece.value == pytest.approx(np.abs(hit - mean).mean())
    assert made.ece_if_perfect == pytest.approx(0.045, abs=0.015)
    assert made.ece.value < 2 * made.ece_if_perfect
    boastful = judge_score(SCORE**0.2, MISS, GROUPS, seed=0, resamples=50).calibration
    assert boastful.ece.value > 3 * boastful.ece_if_perfect


def test_slices_of_one_patient_do_not_narrow_an_interval() -> None:
    once = judge_score(SCORE, MISS, np.arange(450), seed=1, resamples=300)
    tenfold = judge_score(np.repeat(SCORE, 4), np.repeat(MISS, 4), np.repeat(np.arange(450), 4), seed=1, resamples=300)
    assert tenfold.aurc.high - tenfold.aurc.low == pytest.approx(once.aurc.high - once.aurc.low, rel=0.02)
    assert tenfold.auroc.low == pytest.approx(once.auroc.low, abs=1e-9)


def test_a_gain_is_the_difference_of_two_aurocs_on_the_same_maps() -> None:
    noisy = SCORE + np.random.default_rng(6).normal(0, 0.4, 450)
    made = auroc_gain(SCORE, noisy, MISS, GROUPS, seed=0, resamples=300)
    assert made.interval.value == pytest.approx(roc_auc_score(MISS, -SCORE) - roc_auc_score(MISS, -noisy))
    assert made.interval.low > 0
    assert made.p_value < 0.05
    assert auroc_gain(SCORE, SCORE, MISS, GROUPS, seed=0, resamples=50).p_value == 1.0


def test_the_risk_at_full_coverage_is_the_miss_share_and_falls_with_coverage() -> None:
    made = risk_coverage(SCORE, MISS, GROUPS, seed=0, coverages=[0.2, 0.5, 1.0], resamples=200)
    top = np.argsort(-SCORE)[:90]
    assert made.risk[[0, 2]] == pytest.approx([MISS[top].mean(), MISS.mean()])
    assert np.all(np.diff(made.risk) > 0)
    assert np.all((made.low < made.risk) & (made.risk < made.high))


def test_within_class_a_score_of_the_class_alone_says_nothing() -> None:
    classes = np.array(["glioma", "pituitary"])[GROUPS % 2]
    miss = np.random.default_rng(7).random(450) < np.where(classes == "glioma", 0.8, 0.1)
    score = np.where(classes == "glioma", 0.2, 0.9)
    assert judge_score(score, miss, GROUPS, seed=0, resamples=50).auroc.value > 0.8
    by_class = judge_by_class(score, miss, GROUPS, classes, seed=0, resamples=50)
    assert list(by_class) == ["glioma", "pituitary"]
    assert {made.auroc.value for made in by_class.values()} == {0.5}


def test_where_nothing_misses_there_is_no_auroc_and_a_witness_that_is_no_probability_has_no_calibration() -> None:
    made = judge_score(SCORE * 7, np.zeros(450), GROUPS, seed=0, probability=False, resamples=50)
    assert (made.auroc, made.calibration) == (None, None)
    assert made.aurc.value == 0
    with pytest.raises(Refused):
        judge_score(SCORE * 7, MISS, GROUPS, seed=0, resamples=50)
    with pytest.raises(Refused):
        judge_score([np.nan], [True], ["a"], seed=0)
    with pytest.raises(Refused):
        judge_score([0.1, 0.2], [True], ["a"], seed=0)
    with pytest.raises(Refused):
        auroc_gain(SCORE, SCORE, np.ones(450), GROUPS, seed=0)

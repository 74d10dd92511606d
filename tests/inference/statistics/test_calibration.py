"""Probabilities set right by a line, and how far they are from the share that is right."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from inference.statistics.bootstrap import draw_groups
from inference.statistics.calibration import bin_intervals, bins_of, judge_calibration, platt

pytestmark = pytest.mark.numerics
DRAW = np.random.default_rng(11)
LOG_ODDS = DRAW.normal(1.0, 3.0, 4000)
EVENTS = DRAW.random(4000) < expit(0.5 * LOG_ODDS - 1.0)


def test_the_line_is_that_of_a_logistic_regression_on_platts_targets() -> None:
    some, event = LOG_ODDS[:300], EVENTS[:300]
    n, m = int(event.sum()), int((~event).sum())
    target = np.where(event, (n + 1) / (n + 2), 1 / (m + 2))
    twice, weights = np.repeat([True, False], 300), np.concatenate([target, 1 - target])
    known = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(np.tile(some, 2)[:, None], twice, weights)
    slope, intercept = platt(some, event)
    assert slope == pytest.approx(known.coef_[0, 0], abs=1e-4)
    assert intercept == pytest.approx(known.intercept_[0], abs=1e-4)


def test_the_line_a_world_was_made_by_comes_back() -> None:
    slope, intercept = platt(LOG_ODDS, EVENTS)
    assert slope == pytest.approx(0.5, abs=0.06)
    assert intercept == pytest.approx(-1.0, abs=0.15)


def test_classes_that_a_threshold_tells_apart_get_a_finite_line_and_no_certainty() -> None:
    log_odds = np.concatenate([np.linspace(-3, -1, 20), np.linspace(1, 3, 20)])
    slope, intercept = platt(log_odds, log_odds > 0)
    assert np.isfinite([slope, intercept]).all()
    highest = expit(slope * log_odds + intercept)[log_odds > 0]
    assert 0.9 < highest.mean() < 1 - 1 / 50


def test_a_probability_that_says_the_opposite_becomes_the_share_of_the_class() -> None:
    slope, intercept = platt(-LOG_ODDS, EVENTS)
    assert slope == 0
    assert expit(intercept) == pytest.approx(EVENTS.mean(), abs=0.001)


def test_the_ece_and_its_interval_are_those_of_counting_row_by_row() -> None:
    values, hits = expit(LOG_ODDS[:200]), EVENTS[:200]
    index = np.arange(200) // 5
    draws = draw_groups(40, 3, 100)
    made = judge_calibration(values, 1.0 - hits, index, draws, 3)
    bins = bins_of(values)

    def ece(rows: np.ndarray) -> float:
        return sum(abs(float((rows * (values - hits))[own].sum())) for own in bins) / float(rows.sum())

    assert made.ece.value == pytest.approx(ece(np.ones(200)))
    resampled = [ece(draw[index]) for draw in draws]
    assert made.ece.edges == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])))
    assert [count for _, _, count in made.bins] == [len(own) for own in bins]


def test_a_bin_in_which_all_are_right_has_the_exact_interval_of_its_groups() -> None:
    values = np.linspace(0.05, 0.95, 40)
    shares = bin_intervals(values, values > 0.5, np.repeat(np.arange(20), 2).astype(str), seed=1)
    assert [share.value for share in shares] == [0.0] * 5 + [1.0] * 5
    assert all((share.n, share.groups) == (4, 2) for share in shares)
    assert shares[-1].edges == pytest.approx((0.025**0.5, 1.0), abs=1e-6)

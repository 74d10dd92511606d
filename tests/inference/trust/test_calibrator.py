"""From signals to P(the map's peak lies in a true finding)."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from pydantic import TypeAdapter
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from inference.commissioning.verdict.fit_calibrator import Fit, fit_calibrator
from inference.errors import Refused, UnknownName
from inference.passport.calibrator import Calibrator
from inference.statistics.failure_detection import judge_score

pytestmark = pytest.mark.numerics
NAMES = ("agreement", "height", "brightness", "witness", "idle")
TIERS = ("A", "A", "B", "C", "A")


def maps(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signals, hits and patients; ``height`` tells only above its mean, ``idle`` never."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(count, 5)) * [1, 2, 0.1, 1, 0] + [0, 5, 0.5, 0, 3]
    odds = 1.2 + 0.8 * values[:, 0] + 1.5 * np.maximum(values[:, 1] - 5, 0) / 2 + 2 * values[:, 3]
    return values, draw.random(count) < expit(odds), np.arange(count) // 2


@pytest.fixture(scope="module")
def fitted() -> Fit:
    values, hit, groups = maps(600)
    return fit_calibrator(values, NAMES, TIERS, hit, groups, use="ABC", seed=1)


def test_a_calibrator_comes_back_from_json_to_the_same_bits(fitted: Fit) -> None:
    back = TypeAdapter(Calibrator).validate_json(json.dumps(asdict(fitted.calibrator)))
    assert back == fitted.calibrator
    values = maps(300, seed=9)[0]
    values[::7, 1] = np.nan
    assert np.array_equal(back.probability(values, NAMES), fitted.calibrator.probability(values, NAMES))


def test_one_map_alone_has_the_probability_it_has_among_others(fitted: Fit) -> None:
    values = maps(40, seed=9)[0]
    together = fitted.calibrator.probability(values, NAMES)
    alone = [fitted.calibrator.probability(values[row : row + 1], NAMES)[0] for row in range(40)]
    assert np.array_equal(together, alone)
    turned = fitted.calibrator.probability(np.asfortranarray(values[:, ::-1]), NAMES[::-1])
    assert np.array_equal(together, turned)


def test_probabilities_of_new_maps_are_right_and_tell_misses(fitted: Fit) -> None:
    values, hit, groups = maps(2000, seed=5)
    probability = fitted.calibrator.probability(values, NAMES)
    made = judge_score(probability, ~hit, groups, seed=0, resamples=100)
    assert made.calibration.ece.value < 0.05
    straight = LogisticRegression().fit(values, hit).predict_proba(values)[:, 1]
    assert made.auroc.value > roc_auc_score(hit, straight) - 0.01


def test_out_of_fold_probabilities_are_right_too(fitted: Fit) -> None:
    _, hit, groups = maps(600)
    made = judge_score(fitted.out_of_fold, ~hit, groups, seed=0, resamples=100)
    assert made.calibration.ece.value < made.calibration.ece_if_perfect + 0.03
    assert fitted.log_losses[fitted.chosen] == min(fitted.log_losses.values())


def test_a_bent_signal_is_fitted_with_bends() -> None:
    values, hit, groups = maps(3000)
    assert fit_calibrator(values, NAMES, TIERS, hit, groups, use="A", seed=1).chosen.startswith("bent")


def test_parts_add_up_and_are_told_against_the_average_map(fitted: Fit) -> None:
    values, _, _ = maps(600)
    made = fitted.calibrator
    parts = made.parts(values, NAMES)
    assert parts.shape == (600, len(made.terms))
    assert made.log_odds(values, NAMES) == pytest.approx(made.intercept + parts.sum(axis=1))
    assert parts.mean(axis=0) == pytest.approx(np.zeros(len(made.terms)), abs=1e-9)
    witness = [term.name for term in made.terms].index("witness")
    assert np.corrcoef(parts[:, witness], values[:, 3])[0, 1] > 0.95
    assert np.abs(parts).mean(axis=0).argmax() == witness


@pytest.mark.parametrize("use", ["A", "B", "AB", "C", "ABC"])
def test_any_tiers_can_be_fitted_and_no_other_tier_is_looked_at(use: str) -> None:
    values, hit, groups = maps(300)
    made = fit_calibrator(values, NAMES, TIERS, hit, groups, use=use, seed=1).calibrator
    assert {term.tier for term in made.terms} == set(use)
    assert made.dropped == (("idle",) if "A" in use else ())
    other = [column for column, tier in enumerate(TIERS) if tier not in use]
    changed = values.copy()
    changed[:, other] = np.nan
    assert np.array_equal(made.probability(values, NAMES), made.probability(changed, NAMES))


def test_a_missing_signal_counts_as_it_did_in_the_fit() -> None:
    values, hit, groups = maps(800)
    values[~hit & (np.arange(800) % 2 == 0), 0] = np.nan
    made = fit_calibrator(values, NAMES, TIERS, hit, groups, use="A", seed=1).calibrator
    asked = np.array([[0.0, 5, 0.5, 0, 3], [np.nan, 5, 0.5, 0, 3]])
    there, missing = made.probability(asked, NAMES)
    assert missing < there - 0.3


def test_nothing_counts_for_more_than_it_did_in_the_fit(fitted: Fit) -> None:
    values, _, _ = maps(600)
    extreme = values[[0, 0]]
    extreme[:, 3] = [values[:, 3].max(), 1e9]
    assert len(set(fitted.calibrator.probability(extreme, NAMES))) == 1


def test_bogus_maps_among_the_negatives_are_believed_less_and_those_that_hit_are_left_out() -> None:
    values, hit, groups = maps(600)
    draw = np.random.default_rng(3)
    forged = np.column_stack([draw.normal(2, 0.3, 300), draw.normal(5, 2, 300), draw.normal(0.1, 0.1, (300, 1))])
    forged = np.column_stack([forged, draw.normal(0, 1, 300), np.full(300, 3.0)])
    both, bogus = np.vstack([values, forged]), np.arange(900) >= 600
    hits = np.concatenate([hit, draw.random(300) < 0.2])
    patients = np.concatenate([groups, draw.integers(0, 300, 300)])
    naive = fit_calibrator(values, NAMES, TIERS, hit, groups, use="AB", seed=1).calibrator
    warned = fit_calibrator(both, NAMES, TIERS, hits, patients, use="AB", bogus=bogus, seed=1)
    assert warned.calibrator.probability(forged, NAMES).mean() < naive.probability(forged, NAMES).mean() - 0.3
    assert np.array_equal(np.isnan(warned.out_of_fold), bogus)
    known = judge_score(warned.out_of_fold[:600], ~hit, groups, seed=0, resamples=50)
    assert known.calibration.ece.value < known.calibration.ece_if_perfect + 0.03
    relabelled = np.where(bogus[:, None] & hits[:, None], 1e3, both)
    again = fit_calibrator(relabelled, NAMES, TIERS, hits, patients, use="AB", bogus=bogus, seed=1)
    assert again.calibrator == warned.calibrator


def test_signals_that_say_nothing_give_everyone_about_the_share_of_hits() -> None:
    draw = np.random.default_rng(8)
    hit = draw.random(400) < 0.7
    made = fit_calibrator(draw.normal(size=(400, 2)), "ab", "AA", hit, np.arange(400), use="A", seed=1)
    probability = made.calibrator.probability(draw.normal(size=(400, 2)), "ab")
    assert np.all(np.diff(made.calibrator.recalibration.after) >= 0)
    assert probability.mean() == pytest.approx(hit.mean(), abs=0.03)
    assert probability.std() < 0.1


def test_a_fit_that_cannot_be_made_says_why() -> None:
    values, hit, groups = maps(60)
    for wrong in (
        {"hit": np.ones(60, bool)},
        {"use": "Z"},
        {"names": NAMES[:3]},
        {"hit": hit[:5]},
        {"groups": np.zeros(60)},
    ):
        given = {"names": NAMES, "hit": hit, "groups": groups, "use": "A"} | wrong
        with pytest.raises(Refused):
            fit_calibrator(values, given["names"], TIERS, given["hit"], given["groups"], use=given["use"], seed=0)


def test_a_signal_without_a_column_and_a_formula_that_does_not_fit_together_are_refused(fitted: Fit) -> None:
    with pytest.raises(UnknownName, match="witness"):
        fitted.calibrator.probability(np.zeros((1, 3)), NAMES[:3])
    with pytest.raises(ValueError, match="one weight more than knots"):
        replace(fitted.calibrator.terms[0], weights=())
    with pytest.raises(ValueError, match="as many points before as after"):
        replace(fitted.calibrator.recalibration, before=())


def test_a_formula_restricted_to_some_signals_takes_the_others_as_missing(fitted: Fit) -> None:
    values = maps(50, seed=4)[0]
    without = values.copy()
    without[:, NAMES.index("witness")] = np.nan
    restricted = fitted.calibrator.restricted_to([name for name in NAMES if name != "witness"])
    assert "witness" not in [term.name for term in restricted.terms]
    assert restricted.probability(values[:, :3], NAMES[:3]) == pytest.approx(
        fitted.calibrator.probability(without, NAMES), abs=1e-12
    )

"""The formula of a budget, fitted on made-up rows whose signals tell hits from misses."""

import numpy as np
import pytest

from inference.commissioning.verdict.budget import Part, Plain, figures_of
from inference.commissioning.verdict.rows import ANOTHER, OWN, Rows, Told
from inference.trust.budgets import PARTS, signals_of
from inference.trust.kinds import NAMES

pytestmark = pytest.mark.numerics
CASES = 40


def told(seed: int) -> Told:
    draw = np.random.default_rng(seed)
    hit = draw.random(CASES) < 0.7
    right = np.concatenate([hit, np.zeros(2 * CASES, np.bool_)])
    rows = Rows(
        values=draw.normal(size=(3 * CASES, len(NAMES))) + right[:, None],
        hit=right,
        kind=np.repeat([OWN, ANOTHER, ANOTHER], CASES),
        mode=np.repeat(["map", "map", "method"], CASES),
        group=np.tile([f"patient {number // 2}" for number in range(CASES)], 3),
        case=np.tile(np.arange(CASES), 3),
        class_index=np.ones(3 * CASES, np.int64),
    )
    nothing = np.zeros((CASES, 1))
    return Told(rows, nothing, nothing, draw.random((CASES, 2)), hit, ("axial",) * CASES)


@pytest.fixture(scope="module")
def fast() -> Plain:
    before, after = (Part(told(seed), {}, "fast") for seed in (0, 1))
    return figures_of(before, after, classes=["none", "lesion"], witness=True)


def test_a_budgets_formula_rests_on_its_own_signals_alone(fast: Plain) -> None:
    used = [term["name"] for term in fast["calibrator"]["terms"]]
    assert used == list(signals_of(PARTS["fast"]))
    assert "twin_spearman" not in used
    assert "witness_at_peak" in used


def test_a_budget_is_judged_like_the_whole(fast: Plain) -> None:
    assert fast["auroc"]["ABC"]["pooled"]["auroc"]["value"] > 0.9
    assert set(fast["bogus_trusted_and_wrong"]) == {ANOTHER}
    assert len(fast["trusted"]) == 6


def test_the_gain_over_the_highest_probability_has_a_paired_interval(fast: Plain) -> None:
    gain = fast["gains"]["ABC"]["interval"]
    assert 0 < gain["low"] < gain["value"] < gain["high"]

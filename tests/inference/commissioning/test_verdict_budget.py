"""The formula of a budget, fitted on made-up rows whose signals tell hits from misses."""

from dataclasses import replace

import numpy as np
import pytest

from inference.commissioning.verdict import fit
from inference.commissioning.verdict.budget import fit_budget
from inference.commissioning.verdict.part import BudgetPart
from inference.commissioning.verdict.part_data import ANOTHER, OWN, PartData, Rows
from inference.commissioning.verdict.stacks import Stacks
from inference.passport.verdict import BudgetVerdict, NetworkPasses
from inference.trust import kinds
from inference.trust.budgets import PARTS, signals_of
from inference.trust.image_statistics import statistic_names
from inference.trust.kinds import NAMES
from inference.trust.versions import changed_definitions

pytestmark = pytest.mark.numerics
CASES = 40


def part(seed: int) -> PartData:
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
        stack=np.tile(np.arange(CASES) // 2, 3),
        blank=np.zeros(3 * CASES, np.bool_),
        touches=np.zeros(3 * CASES, np.bool_),
        ious=np.full((3 * CASES, 13), np.nan),
        apart=np.full(3 * CASES, np.nan),
    )
    look = draw.random((CASES, 4))
    return PartData(rows, draw.dirichlet(np.ones(2), CASES), hit, ("axial",) * CASES, look, called=2 * CASES)


def stacks(seed: int) -> Stacks:
    draw, number = np.random.default_rng(seed), np.repeat(np.arange(CASES // 2), 2)
    views = {"features": draw.normal(size=(CASES, 3)), "statistics": draw.normal(size=(CASES, len(statistic_names(2))))}
    return Stacks(views, number, np.array([f"patient {one}" for one in number]), 2)


@pytest.fixture(scope="module")
def fast() -> BudgetVerdict:
    fitted, judged = (BudgetPart(part(seed), {}, "fast") for seed in (0, 1))
    passes = NetworkPasses(forward=4, backward=2)
    return fit_budget(fitted, judged, classes=["none", "lesion"], witness=True, passes=passes)


def test_a_budgets_formula_rests_on_its_own_signals_alone(fast: BudgetVerdict) -> None:
    used = [term.name for term in fast.calibrator.terms]
    assert used == list(signals_of(PARTS["fast"]))
    assert "twin_spearman" not in used
    assert "witness_at_peak" in used


def test_a_budget_is_judged_like_the_whole(fast: BudgetVerdict) -> None:
    assert fast.auroc["ABC"].pooled.auroc.value > 0.9
    assert set(fast.bogus_trusted_and_wrong) == {ANOTHER}
    assert [share.certificate.alpha for share in fast.trusted] == [0.05, 0.10, 0.20]
    assert len(fast.guards) == 8


def test_the_gain_over_the_highest_probability_has_a_paired_interval(fast: BudgetVerdict) -> None:
    gain = fast.gains["ABC"].interval
    assert 0 < gain.low < gain.value < gain.high


@pytest.mark.slow
def test_a_verdict_fitted_anew_rests_on_the_definitions_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    raised = tuple(replace(kind, version=7 if kind.name == "replicate_rank" else 1) for kind in kinds.KINDS)
    monkeypatch.setattr(kinds, "KINDS", raised)
    monkeypatch.setattr(fit, "PARTS", {"full": PARTS["full"]})
    passes = {"full": NetworkPasses(forward=4, backward=2)}
    parts = (part(seed) for seed in (0, 1))
    verdict = fit.fit_verdict(
        *parts, (stacks(0), stacks(1)), classes=["none", "lesion"], witness=False, unit="patients", passes=passes
    )
    assert verdict.versions is not None
    assert verdict.versions.signals["replicate_rank"] == 7
    assert changed_definitions(verdict, "full") == ()
    assert changed_definitions(replace(verdict, versions=None), "full") == (
        "the choice of planes", "the envelope", "rank of the peak in the replicates' maps",
    )  # fmt: skip

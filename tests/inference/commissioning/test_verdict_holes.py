"""What a review of the verdict found wanting, each as a promise: what is printed, merged, crossed and shown."""

from dataclasses import replace

import numpy as np
import pytest

from inference.bundle.bundle import SHIPPED, load_bundle
from inference.cases.cases import AnnotatedCase, Cases
from inference.commissioning.classifying import explained_of
from inference.commissioning.verdict import fit
from inference.commissioning.verdict.fit_calibrator import fit_calibrator
from inference.commissioning.verdict.guard import BogusScores, ScoredBogus, floor_of, shares_at
from inference.commissioning.verdict.part import BudgetPart, scores_of
from inference.commissioning.verdict.part_data import OWN, PartData
from inference.commissioning.verdict.sensitivity import least_alpha, merged, order_spread
from inference.passport.verdict import NetworkPasses
from inference.statistics.bootstrap import mean_by_group, mean_of_groups
from inference.trust.budgets import PARTS
from inference.trust.certified import ShownScores, certified, shown_scores
from inference.trust.kinds import NAMES
from tests.inference.commissioning.test_verdict_budget import CASES, part, stacks

PASSES = NetworkPasses(forward=4, backward=2)


def maps(groups: np.ndarray, miss: np.ndarray) -> ShownScores:
    return ShownScores(np.full(len(groups), 0.9), miss, groups, np.ones(len(groups), np.int64))


def test_the_miss_share_that_is_printed_is_the_one_certified_by_patient() -> None:
    miss, patient = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0, 1, 1, 1, 1, 1]
    assert mean_of_groups(miss, patient, seed=1).value == 0.5
    assert mean_by_group(miss, patient, seed=1).value == pytest.approx(1 / 6)
    none = mean_of_groups(np.zeros(6), patient, seed=1)
    assert (none.value, none.groups, none.n) == (0.0, 2, 6)
    assert none.high == pytest.approx(1 - 0.025**0.5)


def test_groups_that_look_alike_count_as_one_patient_where_none_is_named() -> None:
    draw = np.random.default_rng(1)
    groups = np.arange(120)
    miss = groups < 4
    honest = maps(groups, miss)
    assert order_spread(honest, 0.1, 0.1).certified == 100
    look = list(np.repeat(draw.normal(size=(60, 16)), 2, axis=0))
    found = merged(honest, look, ["glioma axial"] * 120, (0.05, 0.1, 0.2), 0.1)
    assert {entry.clusters for entry in found} == {60, 40}
    assert least_alpha(found) == 0.1
    few = merged(maps(groups[:40], miss[:40]), look[:40], ["glioma axial"] * 40, (0.05, 0.1), 0.1)
    assert least_alpha(few) is None


def test_the_spread_over_drawn_orders_says_how_much_one_order_means() -> None:
    miss = np.isin(np.arange(60), [0, 30, 59])
    spread = order_spread(maps(np.arange(60), miss), 0.1, 0.1)
    assert 0 < spread.certified < spread.orders
    assert (spread.lowest, spread.highest) == (0.0, 1.0)


def test_maps_stopped_by_a_hard_rule_and_series_out_of_envelope_are_not_trusted_in_the_certificate() -> None:
    data = part(0)
    blank = data.rows.blank.copy()
    blank[0] = True
    values = data.rows.values.copy()
    values[1, NAMES.index("replicate_spearman")] = -0.5
    data = replace(data, rows=replace(data.rows, blank=blank, values=values))
    seen = BudgetPart(data, {}, "full", outside={1: True})
    decided = seen.own_decided_by([seen.fit("ABC"), seen.fit("C")], seen=True)
    assert np.isnan(decided[[0, 1, 2, 3]]).all()
    dissent = (seen.values[:CASES][:, [seen.names.index("alternate_spearman")]] <= 0).any(axis=1)
    dissent |= seen.values[:CASES][:, seen.names.index("replicate_spearman")] <= 0
    assert np.isfinite(decided[4:][~dissent[4:]]).all()
    kept = shown_scores(scores_of(seen, decided), 3)
    assert np.isnan(kept.score).sum() >= 3


@pytest.mark.slow
def test_a_small_site_is_fitted_certified_and_judged_on_all_its_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "PARTS", {"full": PARTS["full"]})
    first, second = part(0), part(1)
    renamed = np.char.add("other ", second.rows.group)
    second = replace(second, rows=replace(second.rows, group=renamed, stack=second.rows.stack + 100), healthy=3)
    other = stacks(1)
    other = replace(other, stack=other.stack + 100, group=np.char.add("other ", other.group))
    verdict = fit.fit_verdict(
        first, second, (stacks(0), other), classes=["none", "lesion"], witness=True, unit="patients",
        passes={"full": PASSES},
    )  # fmt: skip
    assert verdict.crossed
    assert verdict.counts.fitted == verdict.counts.judged
    assert (verdict.counts.fitted.groups, verdict.counts.fitted.healthy) == (CASES, 3)
    assert verdict.counts.fitted.called == 4 * CASES
    assert len(verdict.scores.p) == 2 * CASES
    assert verdict.trusted[-1].orders is not None


@pytest.mark.parametrize("misses", [0, 1])
def test_a_detector_that_never_misses_or_once_gets_a_verdict(misses: int) -> None:
    data = part(0)
    hit = data.rows.hit.copy()
    hit[data.rows.kind == OWN] = True
    hit[np.flatnonzero(data.rows.kind == OWN)[:misses]] = False
    perfect: PartData = replace(data, rows=replace(data.rows, hit=hit))
    fitted = BudgetPart(perfect, {}, "full").fit("ABC")
    own = np.median(fitted.out_of_fold[:CASES])
    assert own > (0.6 if misses else 0.8)
    bogus = BudgetPart(perfect, {}, "full").probability(fitted.calibrator, "another")
    assert np.median(bogus) < own - 0.15
    with pytest.raises(Exception, match="maps that miss"):
        fit_calibrator(np.ones((9, 1)), ["a"], ["A"], np.ones(9, bool), np.arange(9), use="A", seed=1)


def test_every_class_that_reaches_its_threshold_is_explained_as_the_node_does() -> None:
    manifest = load_bundle(SHIPPED / "brain_tumour_t1ce").manifest
    entries = tuple(
        AnnotatedCase(str(at), str(at), str(at), "glioma", 0, "axial", "commissioning", masked=True, row=at)
        for at in range(3)
    )
    cases = Cases.__new__(Cases)
    object.__setattr__(cases, "entries", entries)
    probabilities = np.array([[0.45, 0.40, 0.15], [0.5, 0.5, 0.0], [0.1, 0.1, 0.8]])
    found = explained_of(cases, (0, 1, 2), probabilities, manifest)
    assert [(one.position, one.target, one.right) for one in found] == [(1, 0, True), (1, 1, False), (2, 2, False)]


def bogus(scores: list[float], wrong: list[bool]) -> BogusScores:
    mode = ScoredBogus(
        np.array(scores), np.array(wrong), np.arange(len(scores)).astype(str), np.ones(len(scores), np.int64)
    )
    displayed = maps(np.arange(60), np.zeros(60, np.bool_))
    return BogusScores(displayed, {"map": mode, "method": mode}, {"map": mode, "method": mode}, np.arange(60))


def test_no_threshold_lies_where_bogus_maps_pass_whatever_the_alpha() -> None:
    kinds = {"another": bogus([0.75] * 10 + [0.1] * 90, [True] * 100), "edge": bogus([0.2] * 100, [True] * 100)}
    floor, believed = floor_of(kinds)
    assert (floor, believed) == (0.76, ())
    own = kinds["another"].displayed
    for alpha in (0.05, 0.1, 0.2, 0.5):
        assert certified(own, ("none", "glioma"), alpha=alpha, delta=0.1, floor=floor).certificate.threshold == 0.76
        share = shares_at(kinds["another"], ("none", "glioma"), alpha, floor, None)
        assert share.passed
        assert not shares_at(kinds["another"], ("none", "glioma"), alpha, 0.5, None).passed


def test_bogus_maps_that_no_threshold_keeps_out_leave_nothing_trusted() -> None:
    kinds = {"another": bogus([0.999] * 100, [True] * 100)}
    assert floor_of(kinds) == (None, ("another",))
    made = certified(kinds["another"].displayed, ("none", "glioma"), alpha=0.5, delta=0.1, floor=None)
    assert made.certificate.threshold is None
    assert floor_of({"edge": bogus([0.9] * 100, [False] * 100)}) == (0.5, ())

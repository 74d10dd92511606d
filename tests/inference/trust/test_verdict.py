"""The verdict of one map, by the passport shipped for phantoms, on phantoms that no passport has seen."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.analyse import analyse
from inference.analysis import Analysis
from inference.bundle.bundle import SHIPPED, Bundle, load_bundle
from inference.errors import PassportRefused
from inference.findings import Finding
from inference.options import AnalysisOptions, Budget
from inference.passport.certificates import MOST_BOGUS
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport, sealed
from inference.passport.verdict import JUDGED_ALPHA, NetworkPasses, NoVerdict
from inference.prepare import prepare
from inference.reading.image import Image
from inference.reading.study import read_study
from inference.saliency.engine.maps import SaliencyMap, peak_of
from inference.training.flair_data import drawn_phantom
from inference.trust.assess import assess
from inference.trust.budgets import PARTS, signals_of
from inference.trust.cost import counted
from inference.trust.evidence import Examiner
from inference.trust.kinds import NAMES
from inference.trust.likeness import likeness
from inference.trust.signals import covered_probabilities, signal_table
from inference.trust.verdict import Trust, Verdict
from inference.trust.warrant import Warrant
from reports.objects.phantom_study import write_study

pytestmark = pytest.mark.numerics
PASSPORT = SHIPPED_PASSPORTS / "phantoms" / "glioma_flair" / "passport.json"
SITES = sorted(SHIPPED_PASSPORTS.glob("*/*/passport.json"))
CPU = AnalysisOptions(planes_explained=1, device="cpu")


def image_of(phantom: object, folder: Path) -> Image:
    (image,) = read_study(write_study(phantom, folder)).images
    return image


def judged(image: Image, bundle: Bundle, warrant: Warrant | None) -> Analysis:
    return analyse(image, bundle, CPU, warrant=warrant)


def shown(bundle: Bundle, image: Image, change: Callable[[SaliencyMap], SaliencyMap], warrant: Warrant) -> Trust:
    """Judge the displayed map after something has happened to it."""
    (explanation, *_) = judged(image, bundle, None).explanations
    return assess(bundle, prepare(bundle, image), change(explanation.map), options=CPU, warrant=warrant)


def with_values(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[SaliencyMap], SaliencyMap]:
    return lambda one: replace(one, values=np.ascontiguousarray(change(one.values), dtype=np.float32))


def test_a_clear_lesion_is_trusted_and_says_with_what_guarantee(bundle: Bundle, warrant: Warrant, clear: Image) -> None:
    (one,) = judged(clear, bundle, warrant).explanations
    assert one.trust.verdict is Verdict.TRUSTED
    assert one.trust.score is not None
    assert one.trust.score >= float(warrant.certificate.threshold or 1)
    assert "At most 10% of maps TRUSTED like this miss (90% confidence" in one.trust.reasons[0]
    assert {signal.name for signal in one.trust.signals} == set(NAMES)
    assert one.trust.localiser is not None
    assert one.trust.localiser.shape == one.map.on_frame.shape
    assert [values.shape for values in one.trust.replicates] == [one.map.on_frame.shape] * 2


def test_without_a_passport_nothing_is_judged(bundle: Bundle, clear: Image) -> None:
    (one,) = judged(clear, bundle, None).explanations
    assert one.trust.verdict is Verdict.UNCOMMISSIONED
    assert one.trust.score is None
    assert all(signal.part is None for signal in one.trust.signals)
    assert any("12 subjects whose images the bundle ships" in reason for reason in one.trust.reasons)


def test_the_budget_holds_without_a_passport_and_shapes_the_result(bundle: Bundle, clear: Image) -> None:
    fast = replace(CPU, trust_budget="fast")
    (one,) = analyse(clear, bundle, fast).explanations
    assert {signal.name for signal in one.trust.signals} == set(signals_of(PARTS["fast"]))
    assert fast.digest != CPU.digest
    assert replace(fast, warrant="w").digest == replace(CPU, warrant="w").digest, "a passport says it itself"


def test_with_and_without_a_passport_the_same_signals_have_the_same_names_and_values(
    bundle: Bundle, warrant: Warrant, clear: Image
) -> None:
    (after,), (before,) = (judged(clear, bundle, given).explanations for given in (warrant, None))
    first, second = ({signal.name: signal for signal in one.trust.signals} for one in (after, before))
    assert set(first) == set(second) == set(NAMES)
    for name in NAMES:
        assert first[name].value == second[name].value, name
        assert (first[name].null is None) == (second[name].null is None), name
        assert (first[name].meaning, first[name].tier) == (second[name].meaning, second[name].tier), name
    passport = warrant.nulls["glioma"]
    assert {name: signal.null for name, signal in first.items() if signal.null is not None} == {
        name: null.value for name, null in passport.items()
    }
    assert np.array_equal(after.trust.localiser, before.trust.localiser)
    assert all(np.array_equal(*pair) for pair in zip(after.trust.replicates, before.trust.replicates, strict=True))


@pytest.mark.parametrize(
    ("seed", "score"), [(600_001, 0.9792), (600_002, 0.9582), (600_003, 0.9960)], ids=lambda value: str(value)
)
def test_scores_by_the_shipped_passport_are_those_it_was_made_with(
    seed: int, score: float, bundle: Bundle, warrant: Warrant, tmp_path: Path
) -> None:
    """Recorded when it was made: another gathering of evidence must not change what the formula is given."""
    (one,) = judged(image_of(drawn_phantom(seed), tmp_path), bundle, warrant).explanations
    assert one.trust.verdict is Verdict.TRUSTED
    assert one.trust.score == pytest.approx(score, abs=0.005)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(with_values(lambda v: v[:, ::-1]), id="flipped left to right"),
        pytest.param(with_values(lambda v: np.roll(v, 40, axis=0)), id="shifted"),
        pytest.param(with_values(lambda v: -v), id="sign lost"),
        pytest.param(with_values(lambda v: np.random.default_rng(0).random(v.shape)), id="noise"),
        pytest.param(with_values(np.zeros_like), id="blank"),
    ],
)
def test_a_map_that_something_happened_to_is_not_trusted(
    change: Callable[[SaliencyMap], SaliencyMap], bundle: Bundle, warrant: Warrant, clear: Image
) -> None:
    found = shown(bundle, clear, change, warrant)
    assert found.verdict is Verdict.WITHHELD


def test_a_class_index_off_by_one_is_not_trusted(bundle: Bundle, warrant: Warrant, clear: Image) -> None:
    def of_none(one: SaliencyMap) -> SaliencyMap:
        finding: Finding = replace(one.finding, class_index=0)
        inputs = prepare(bundle, clear).tensor[finding.position : finding.position + 1]
        examiner = Examiner(bundle, one.method, one.parameters, torch.device("cpu"))
        return replace(one, finding=finding, values=examiner.map(inputs, 0, seed=one.seed))

    assert shown(bundle, clear, of_none, warrant).verdict is not Verdict.TRUSTED


def test_the_wrong_layer_scores_lower_or_gets_no_score(bundle: Bundle, warrant: Warrant, clear: Image) -> None:
    def shallow(one: SaliencyMap) -> SaliencyMap:
        primary = bundle.primary()
        inputs = prepare(bundle, clear).tensor[one.finding.position : one.finding.position + 1]
        examiner = Examiner(bundle, one.method, one.parameters, torch.device("cpu"))
        values = examiner.map(
            inputs, one.finding.class_index, seed=one.seed, network=replace(primary, layer="features.conv0")
        )
        return replace(one, values=values)

    changed = shown(bundle, clear, shallow, warrant)
    honest = shown(bundle, clear, lambda one: one, warrant)
    assert changed.score is None or honest.score is None or changed.score < honest.score


def test_wrong_preprocessing_is_out_of_envelope_or_not_trusted(bundle: Bundle, warrant: Warrant, clear: Image) -> None:
    inverted = replace(clear, values=(clear.values.max() - clear.values).astype(np.float32))
    halved = replace(
        clear, values=np.ascontiguousarray(clear.values[:, ::2, ::2].repeat(2, 1).repeat(2, 2)[:, :, ::-1])
    )
    for image in (inverted, replace(halved, values=np.clip(halved.values * 3, 0, clear.values.max()))):
        assert all(one.trust.verdict is not Verdict.TRUSTED for one in judged(image, bundle, warrant).explanations)


def test_other_weights_than_the_passports_are_uncommissioned(bundle: Bundle, warrant: Warrant, clear: Image) -> None:
    other = replace(warrant, bundle_digest="0" * 64)
    (one,) = judged(clear, bundle, other).explanations
    assert one.trust.verdict is Verdict.UNCOMMISSIONED
    assert "another state of this bundle" in one.trust.reasons[0]


def test_the_unguided_twin_is_never_trusted_on_phantoms(tmp_path: Path) -> None:
    unguided = load_bundle(SHIPPED / "glioma_flair_unguided")
    its = Warrant.of(
        load_passport(PASSPORT.parents[1] / "glioma_flair_unguided" / "passport.json"), alpha=0.1, delta=0.1
    )
    verdicts = [
        one.trust.verdict
        for seed in (600_001, 600_002)
        for one in judged(image_of(drawn_phantom(seed), tmp_path / str(seed)), unguided, its).explanations
    ]
    assert verdicts
    assert Verdict.TRUSTED not in verdicts


def test_without_a_localiser_a_map_is_capped_at_caution(bundle: Bundle, warrant: Warrant, clear: Image) -> None:
    (one,) = judged(clear, bundle, replace(warrant, witness_calibrator=None)).explanations
    assert one.trust.verdict is Verdict.CAUTION
    assert "no independent localiser" in one.trust.reasons[0]


def test_an_alpha_that_cannot_be_certified_trusts_nothing_and_says_so(bundle: Bundle, clear: Image) -> None:
    strict = Warrant.of(load_passport(PASSPORT), alpha=0.001, delta=0.01)
    (one,) = judged(clear, bundle, strict).explanations
    assert one.trust.verdict is Verdict.CAUTION
    assert "cannot certify" in one.trust.reasons[0]


def test_a_passport_without_a_verdict_is_refused_with_its_cure(bundle: Bundle) -> None:
    bare = sealed(replace(load_passport(PASSPORT), verdict=NoVerdict("too few patients")))
    with pytest.raises(PassportRefused, match="too few patients"):
        Warrant.of(bare, alpha=0.1, delta=0.1)


@pytest.mark.parametrize("budget", PARTS)
def test_every_budget_trusts_a_clear_lesion_by_its_own_signals_and_passes(
    budget: Budget, bundle: Bundle, clear: Image
) -> None:
    passport = load_passport(PASSPORT)
    warrant = Warrant.of(passport, alpha=0.10, delta=0.10, budget=budget)
    (one,) = judged(clear, bundle, None).explanations
    model_input = prepare(bundle, clear)
    every = Examiner(bundle, one.map.method, one.map.parameters, torch.device("cpu"))
    of_stack = likeness(bundle, model_input, options=CPU, warrant=warrant)
    with counted(every.networks()) as found:
        trust = assess(bundle, model_input, one.map, options=CPU, warrant=warrant, of_stack=of_stack)
    assert trust.verdict is Verdict.TRUSTED
    assert {signal.name for signal in trust.signals} == set(signals_of(PARTS[budget]))
    assert passport.verdict.by_budget[budget].passes == NetworkPasses(found.forward, found.backward)


def test_classified_explained_and_judged_in_full_a_case_takes_at_most_25_passes_and_12_back() -> None:
    for path in SITES:
        passes = load_passport(path).verdict.passes
        assert 2 + passes.forward <= 25
        assert 1 + passes.backward <= 12


def test_a_budget_is_part_of_what_a_result_rests_on(warrant: Warrant) -> None:
    fast = Warrant.of(load_passport(PASSPORT), alpha=0.10, delta=0.10, budget="fast")
    assert fast.identity != warrant.identity
    assert fast.calibrator != warrant.calibrator


def test_a_passport_from_before_there_were_budgets_knows_full_alone() -> None:
    passport = load_passport(PASSPORT)
    old = sealed(replace(passport, verdict=replace(passport.verdict, budgets={})))
    assert Warrant.of(old, alpha=0.10, delta=0.10).budget == "full"
    with pytest.raises(PassportRefused, match="has no verdict for the budget fast") as refused:
        Warrant.of(old, alpha=0.10, delta=0.10, budget="fast")
    assert "heatproof commission --verdict" in refused.value.cure


def test_where_a_budget_believed_bogus_maps_too_often_a_map_is_capped_at_caution(
    bundle: Bundle, warrant: Warrant, clear: Image
) -> None:
    passport = load_passport(PASSPORT)
    fast = passport.verdict.budgets["fast"]
    fast = replace(fast, guards=tuple(replace(guard, believed=("another",)) for guard in fast.guards))
    failed = sealed(replace(passport, verdict=replace(passport.verdict, budgets={"fast": fast})))
    assert Warrant.of(failed, alpha=0.10, delta=0.10, budget="full").believed == ()
    assert Warrant.of(failed, alpha=0.10, delta=0.10, budget="fast").believed == ("another",)
    (one,) = judged(clear, bundle, replace(warrant, believed=("another",))).explanations
    assert one.trust.verdict is Verdict.CAUTION
    assert "believed bogus maps too often (another patient's map)" in one.trust.reasons[0]


def test_signals_are_finite_and_the_hidden_place_matters(bundle: Bundle, clear: Image) -> None:
    (explanation, *_) = judged(clear, bundle, None).explanations
    one = explanation.map
    inputs = prepare(bundle, clear).tensor[one.finding.position : one.finding.position + 1]
    examiner = Examiner(bundle, one.method, one.parameters, torch.device("cpu"))
    evidence = examiner.evidence(inputs, one.finding.class_index, seed=one.seed)
    covered = covered_probabilities(one.values[None], inputs, [one.finding.class_index], examiner.probabilities)
    table = dict(zip(NAMES, signal_table(one.values[None], [evidence], covered, seeds=[0])[0], strict=True))
    assert all(np.isfinite(value) for value in table.values())
    assert table["deletion"] > 0.1
    assert table["witness_at_peak"] > 0.5
    assert table["replicate_rank"] > 0.9
    assert table["replicate_spearman"] > table["twin_spearman"]


def test_the_peak_of_a_tie_lies_in_its_middle() -> None:
    tied = np.zeros((9, 9), np.float32)
    tied[2:5, 3:6] = 1
    assert peak_of(tied) == (3, 4)


@pytest.mark.parametrize("path", SITES, ids=[f"{one.parts[-3]}, {one.parts[-2]}" for one in SITES])
def test_every_shipped_passport_is_of_the_shipped_bundle_and_believes_no_bogus_map(path: Path) -> None:
    passport = load_passport(path)
    assert passport.bundle.digest == load_bundle(SHIPPED / passport.bundle.name).identity.digest
    for budget in passport.verdict.by_budget.values():
        assert len(budget.bogus_trusted_and_wrong) == 9
        assert all(shares.passed for shares in budget.bogus_trusted_and_wrong.values())
        judged = [guard for guard in budget.guards if guard.alpha <= JUDGED_ALPHA]
        assert len(judged) == 2
        assert all(guard.share.value <= MOST_BOGUS and not guard.believed for guard in judged)
    assert json.loads(path.read_text(encoding="utf-8"))["digest"] == passport.digest

"""Definitions that change after a passport was made: its verdicts are capped at CAUTION until it is fitted anew."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.analyse import analyse
from inference.bundle.bundle import SHIPPED, Bundle, load_bundle
from inference.options import AnalysisOptions
from inference.passport.calibrator import Calibrator, Term
from inference.passport.passport import SHIPPED_PASSPORTS, Passport, load_passport
from inference.passport.verdict import DefinitionVersions, FittedVerdict
from inference.phantom.phantom import make_phantom
from inference.prepare import prepare
from inference.reading.study import read_study
from inference.saliency.engine.maps import SaliencyMap
from inference.statistics.bootstrap import Interval
from inference.trust import kinds, versions
from inference.trust.evidence import Examiner
from inference.trust.judge import MapJudgement, judge
from inference.trust.likeness import Likeness
from inference.trust.signals import covered_probabilities, signal_table
from inference.trust.verdict import Verdict
from inference.trust.versions import PROCEDURE, ProcedurePart, changed_definitions, versions_now
from inference.trust.warrant import Warrant
from reports.objects.phantom_study import write_study

Judge = Callable[..., MapJudgement]
PASSPORT = load_passport(SHIPPED_PASSPORTS / "phantoms" / "glioma_flair" / "passport.json")
USED = {term.name for term in PASSPORT.verdict.calibrator.terms}
INSIDE = Likeness(0.6, ())
GAZE = Term("gaze_agreement", "A", 0.0, 1.0, 0.5, 0.5, 0.2, (), (0.1,), 0.0, 0.0)
"""A signal that this program does not measure."""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Judge the map of a clear lesion by a passport; its evidence is gathered once."""
    bundle = load_bundle(SHIPPED / PASSPORT.bundle.name)
    options = AnalysisOptions(planes_explained=1, device="cpu")
    (image,) = read_study(write_study(make_phantom(1), tmp_path_factory.mktemp("clear"))).images
    shown = analyse(image, bundle, options).explanations[0].map
    return _judge_of(bundle, shown, prepare(bundle, image).tensor)


def _judge_of(bundle: Bundle, shown: SaliencyMap, tensor: torch.Tensor) -> Judge:
    finding = shown.finding
    inputs = tensor[finding.position : finding.position + 1]
    examiner = Examiner(bundle, shown.method, shown.parameters, torch.device("cpu"))
    evidence = examiner.evidence(inputs, finding.class_index, seed=shown.seed)
    covered = covered_probabilities(shown.values[None], inputs, [finding.class_index], examiner.probabilities)
    measured = signal_table(shown.values[None], [evidence], covered, seeds=[shown.seed])[0]
    label = bundle.manifest.classes[finding.class_index].name

    def judged(
        passport: Passport, displayed: SaliencyMap = shown, of_stack: Likeness = INSIDE, **changes: object
    ) -> MapJudgement:
        warrant = replace(Warrant.of(passport, alpha=0.10, delta=0.10), **changes)
        return judge(warrant, examiner, evidence, measured, displayed, inputs, label, of_stack)

    judged.shown = shown  # type: ignore[attr-defined]
    return judged


def with_verdict(change: Callable[[FittedVerdict], FittedVerdict]) -> Passport:
    return replace(PASSPORT, verdict=change(PASSPORT.verdict))


def without_terms(calibrator: Calibrator, name: str) -> Calibrator:
    return replace(calibrator, terms=tuple(term for term in calibrator.terms if term.name != name))


def without(nulls: Mapping[str, Interval], name: str) -> dict[str, Interval]:
    return {signal: null for signal, null in nulls.items() if signal != name}


def raise_signal(monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    """Raise the version of a signal's definition, and give what the signal means."""
    raised = [replace(kind, version=kind.version + 1) if kind.name == name else kind for kind in kinds.KINDS]
    monkeypatch.setattr(kinds, "KINDS", tuple(raised))
    return next(kind.meaning for kind in raised if kind.name == name)


def raise_part(monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    """Raise the version of a part of the procedure, and give what the part means."""
    raised = [replace(part, version=part.version + 1) if part.name == name else part for part in PROCEDURE]
    monkeypatch.setattr(versions, "PROCEDURE", tuple(raised))
    return next(part.meaning for part in raised if part.name == name)


def is_capped(judgement: MapJudgement, meaning: str) -> bool:
    reason = (
        f"The definition of {meaning} has changed since this passport was made; fit the verdict anew: "
        "heatproof commission --verdict PASSPORT --data DIR."
    )
    return judgement.verdict is Verdict.CAUTION and judgement.reasons[0] == reason


def test_a_passport_without_a_record_counts_as_version_1_of_everything(
    judged: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "PROCEDURE", tuple(replace(part, version=1) for part in PROCEDURE))
    monkeypatch.setattr(kinds, "KINDS", tuple(replace(kind, version=1) for kind in kinds.KINDS))
    bare = with_verdict(lambda verdict: replace(verdict, versions=None))
    assert judged(bare).verdict is Verdict.TRUSTED
    assert judged(PASSPORT).verdict is Verdict.CAUTION, "a passport of a later version"


@pytest.mark.parametrize("name", kinds.NAMES)
def test_a_raised_version_of_a_signal_caps_verdicts_that_rest_on_it(
    name: str, judged: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = judged(PASSPORT).score
    meaning = raise_signal(monkeypatch, name)
    judgement = judged(PASSPORT)
    assert judgement.score == score
    assert is_capped(judgement, meaning) == (name in USED)
    assert judgement.verdict is (Verdict.CAUTION if name in USED else Verdict.TRUSTED)


@pytest.mark.parametrize("name", [part.name for part in PROCEDURE])
def test_a_raised_version_of_the_procedure_caps_every_verdict(
    name: str, judged: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    meaning = raise_part(monkeypatch, name)
    assert is_capped(judged(PASSPORT), meaning)


def test_several_changes_are_named_together(judged: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    meanings = raise_part(monkeypatch, "peak"), raise_signal(monkeypatch, "deletion")
    assert is_capped(judged(PASSPORT), ", ".join(meanings))


def test_once_the_verdict_is_fitted_anew_the_cap_is_gone(judged: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    for raised in (lambda: raise_part(monkeypatch, "pixels"), lambda: raise_signal(monkeypatch, "replicate_rank")):
        raised()
        assert judged(PASSPORT).verdict is Verdict.CAUTION
        anew = with_verdict(lambda verdict: replace(verdict, versions=versions_now()))
        assert judged(anew).verdict is Verdict.TRUSTED
        monkeypatch.undo()
        assert judged(anew).verdict is Verdict.CAUTION, "a passport of a later version"


@pytest.mark.parametrize("name", ["gradient_rank", "moved_spearman", "peak_texture"])
def test_a_signal_that_the_passport_does_not_know_is_shown_and_not_used(name: str, judged: Judge) -> None:
    def older(verdict: FittedVerdict) -> FittedVerdict:
        return replace(
            verdict,
            signals=tuple(signal for signal in verdict.signals if signal[0] != name),
            nulls={label: without(nulls, name) for label, nulls in verdict.nulls.items()},
            calibrator=without_terms(verdict.calibrator, name),
        )

    judgement = judged(with_verdict(older))
    assert judgement.verdict is Verdict.TRUSTED
    (signal,) = [signal for signal in judgement.signals if signal.name == name]
    assert np.isfinite(signal.value)
    assert signal.part is None


def test_a_raised_version_of_a_signal_that_the_passport_does_not_know_changes_nothing(
    judged: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = with_verdict(lambda v: replace(v, calibrator=without_terms(v.calibrator, "gradient_rank")))
    raise_signal(monkeypatch, "gradient_rank")
    assert judged(older).verdict is Verdict.TRUSTED


def test_a_verdict_that_rests_on_a_signal_no_longer_measured_is_capped(judged: Judge) -> None:
    def newer(verdict: FittedVerdict) -> FittedVerdict:
        formula = replace(verdict.calibrator, terms=(*verdict.calibrator.terms, GAZE))
        return replace(verdict, signals=(*verdict.signals, ("gaze_agreement", "A")), calibrator=formula)

    judgement = judged(with_verdict(newer))
    assert is_capped(judgement, "gaze agreement")
    assert judgement.score == pytest.approx(judged(PASSPORT).score, abs=1e-9), "it counts as missing"


def test_a_signal_that_is_listed_and_in_no_formula_is_ignored(judged: Judge) -> None:
    listed = with_verdict(lambda verdict: replace(verdict, signals=(*verdict.signals, ("gaze_agreement", "A"))))
    assert judged(listed).verdict is Verdict.TRUSTED


def test_a_new_part_of_the_procedure_starts_at_1_and_one_that_was_dropped_caps(
    judged: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = DefinitionVersions(versions_now().signals, {**versions_now().procedure, "margins": 1})
    newer = with_verdict(lambda verdict: replace(verdict, versions=recorded))
    assert is_capped(judged(newer), "margins")
    monkeypatch.setattr(versions, "PROCEDURE", (*PROCEDURE, ProcedurePart("margins", "the margins", "how far")))
    assert judged(newer).verdict is Verdict.TRUSTED
    assert judged(PASSPORT).verdict is Verdict.TRUSTED


def test_withheld_and_out_of_envelope_stay_what_they_are(judged: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    raise_part(monkeypatch, "evidence")
    assert judged(PASSPORT, gate_failures=("edge",)).verdict is Verdict.WITHHELD
    shown = judged.shown  # type: ignore[attr-defined]
    other = replace(shown, values=np.ascontiguousarray(shown.values[:, ::-1]))
    assert judged(PASSPORT, other).verdict is Verdict.WITHHELD
    outside = judged(PASSPORT, of_stack=Likeness(1.2, ("The noise differs.",)))
    assert outside.verdict is Verdict.OUT_OF_ENVELOPE
    assert outside.reasons[-1] == "The noise differs."


def test_a_budget_is_capped_by_what_it_gathers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    meaning = raise_signal(monkeypatch, "moved_spearman")
    assert changed_definitions(PASSPORT.verdict, "full") == (meaning,)
    assert changed_definitions(PASSPORT.verdict, "fast") == ()


def test_results_by_a_capped_passport_are_other_results(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Warrant.of(PASSPORT, alpha=0.10, delta=0.10).identity
    raise_part(monkeypatch, "planes")
    assert Warrant.of(PASSPORT, alpha=0.10, delta=0.10).identity != before


@pytest.mark.parametrize("path", sorted(SHIPPED_PASSPORTS.glob("*/*/passport.json")), ids=lambda path: path.parts[-3])
def test_no_shipped_passport_is_older_than_the_definitions(path: Path) -> None:
    verdict = load_passport(path).verdict
    assert all(changed_definitions(verdict, budget) == () for budget in verdict.by_budget)

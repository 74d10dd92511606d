"""How far a map can be trusted: its evidence, and by the site's passport a verdict on it."""

from collections.abc import Sequence
from itertools import compress

import numpy as np
import torch

from inference.batches import budget_bytes_of
from inference.bundle.bundle import Bundle
from inference.devices import choose_device
from inference.options import AnalysisOptions
from inference.prepare import ModelInput
from inference.saliency.engine.maps import SaliencyMap
from inference.statistics.shown import shown
from inference.trust.budgets import PARTS, signals_of
from inference.trust.evidence import Evidence, Examiner, Numbers
from inference.trust.judge import MapJudgement, judge
from inference.trust.likeness import Likeness, likeness
from inference.trust.nulls import agreement_nulls, beside_nulls
from inference.trust.signals import covered_probabilities, signal_table
from inference.trust.verdict import Signal, Trust, Verdict
from inference.trust.warrant import Warrant

NOT_COMMISSIONED = "This bundle has not been commissioned at this site: nothing here is calibrated."


def assess_maps(
    bundle: Bundle,
    model_input: ModelInput,
    maps: Sequence[SaliencyMap],
    *,
    options: AnalysisOptions,
    warrant: Warrant | None = None,
    of_stack: Likeness | None = None,
) -> tuple[Trust, ...]:
    """Assess each map of a stack; see ``assess``."""
    if of_stack is None and maps:
        of_stack = likeness(bundle, model_input, options=options, warrant=warrant)
    return tuple(
        assess(bundle, model_input, shown, options=options, warrant=warrant, of_stack=of_stack) for shown in maps
    )


def assess(
    bundle: Bundle,
    model_input: ModelInput,
    saliency_map: SaliencyMap,
    *,
    options: AnalysisOptions,
    warrant: Warrant | None = None,
    of_stack: Likeness | None = None,
) -> Trust:
    """Gather the evidence of one map, and judge it by the passport.

    Without a passport of this very bundle and method the signals are the same, but nothing weighs them: there is no
    score, and the verdict is UNCOMMISSIONED. The budget is the passport's, else that of the options. A map of a stack
    unlike those of commissioning is OUT OF ENVELOPE: ``of_stack``, looked at here where it is left out.

    Raises:
        DeviceExhausted: out of memory with a batch of one.
    """
    finding, device = saliency_map.finding, choose_device(options.device)
    inputs = model_input.tensor[finding.position : finding.position + 1]
    parts = PARTS[options.trust_budget if warrant is None else warrant.budget]
    budget_bytes = budget_bytes_of(device, options.budget_mebibytes)
    examiner = Examiner(bundle, saliency_map.method, saliency_map.parameters, device, parts, budget_bytes)
    evidence = examiner.evidence(inputs, finding.class_index, seed=saliency_map.seed)
    measured = _measure(examiner, evidence, saliency_map, inputs)
    reason = _no_verdict(bundle, saliency_map, warrant)
    if warrant is None or reason:
        judgement = _uncommissioned(examiner, evidence, measured, saliency_map, reason)
    else:
        label = bundle.manifest.classes[finding.class_index].name
        if of_stack is None:
            of_stack = likeness(bundle, model_input, options=options, warrant=warrant)
        judgement = judge(warrant, examiner, evidence, measured, saliency_map, inputs, label, of_stack)
    seen = None if evidence.localiser is None else model_input.to_frame(evidence.localiser, saliency_map.frame)
    replicates = tuple(model_input.to_frame(values, saliency_map.frame) for values in evidence.replicates)
    return Trust(
        judgement.verdict, judgement.reasons, judgement.score, judgement.signals, seen, replicates, judgement.decided_by
    )


def those_shown(
    maps: Sequence[SaliencyMap], trusts: Sequence[Trust], count: int
) -> tuple[tuple[SaliencyMap, ...], tuple[Trust, ...]]:
    """Return the maps that are shown of those assessed, and their trust: of each class the ``count`` of highest score.

    Args:
        maps: of one stack.
        trusts: of each map.
        count: maps shown of each class.
    """
    scores = [np.nan if trust.decided_by is None else trust.decided_by for trust in trusts]
    marked = shown(scores, [assessed.finding.label for assessed in maps], count)
    return tuple(compress(maps, marked)), tuple(compress(trusts, marked))


def _measure(examiner: Examiner, evidence: Evidence, shown: SaliencyMap, inputs: torch.Tensor) -> Numbers:
    """Hold the map against its evidence, (signals,); NaN where a signal cannot be had."""
    covered = np.full((1, 2), np.nan)
    if "covered" in examiner.parts:
        covered = covered_probabilities(shown.values[None], inputs, [evidence.class_index], examiner.probabilities)
    return np.asarray(signal_table(shown.values[None], [evidence], covered, seeds=[shown.seed])[0])


def _no_verdict(bundle: Bundle, shown: SaliencyMap, warrant: Warrant | None) -> str:
    """Say why no passport can judge this map; empty: one can."""
    if warrant is None:
        return NOT_COMMISSIONED
    if warrant.bundle_digest != bundle.identity.digest:
        return "The passport is about another state of this bundle: commission it again."
    if warrant.method != shown.method:
        return f"The passport is about {warrant.method}, not about {shown.method}."
    return ""


def _uncommissioned(
    examiner: Examiner, evidence: Evidence, measured: Numbers, shown: SaliencyMap, reason: str
) -> MapJudgement:
    """Set the signals against the subjects whose images the bundle ships: they are not patients of this site."""
    others = examiner.other_subjects(evidence.class_index)
    rows = signal_table(
        others, [evidence] * len(others), np.full((len(others), 2), np.nan), seeds=[shown.seed] * len(others)
    )
    signals = beside_nulls(measured, agreement_nulls(rows, np.arange(len(rows))), {}, signals_of(examiner.parts))
    return MapJudgement(Verdict.UNCOMMISSIONED, (reason, *_remarks(shown, evidence, signals)), None, signals)


def _remarks(shown: SaliencyMap, evidence: Evidence, signals: Sequence[Signal]) -> list[str]:
    """Say what a reader should know of the signals, the weightiest first."""
    remarks = []
    if shown.values.max() == shown.values.min():
        remarks.append("The map is blank: the method found nothing to show.")
    remarks += [
        f"No better than between maps of different subjects: {signal.meaning}."
        for signal in signals
        if signal.referenced is not None and signal.referenced <= 0
    ]
    subjects = max((signal.null_count for signal in signals), default=0)
    if subjects:
        remarks.append(f"Nulls are of {subjects} subjects whose images the bundle ships, not of patients of this site.")
    else:
        remarks.append("The bundle ships no images of other subjects, so agreement cannot be set against chance.")
    if not len(evidence.replicates):
        remarks.append("The bundle ships no replicates, so it is unknown whether another training would show the same.")
    return remarks

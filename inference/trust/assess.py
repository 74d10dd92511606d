"""How far a map can be trusted: by the site's passport, or, without one, as far as anything can be said."""

from collections.abc import Sequence

from inference.bundle.bundle import Bundle
from inference.devices import choose_device
from inference.options import AnalysisOptions
from inference.prepare import ModelInput
from inference.saliency.maps import SaliencyMap
from inference.trust.budgets import PARTS
from inference.trust.case import Case
from inference.trust.evidence import Examiner
from inference.trust.judge import judge
from inference.trust.randomisation import twin_signals
from inference.trust.replicates import alternate_signals, replicate_maps, replicate_signals
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
) -> tuple[Trust, ...]:
    """Assess each map; see ``assess``."""
    return tuple(assess(bundle, model_input, one, options=options, warrant=warrant) for one in maps)


def assess(
    bundle: Bundle,
    model_input: ModelInput,
    saliency_map: SaliencyMap,
    *,
    options: AnalysisOptions,
    warrant: Warrant | None = None,
) -> Trust:
    """Judge one map by the passport; without one, about this very bundle and method, it stays UNCOMMISSIONED.

    Raises:
        DeviceExhausted: out of memory with a batch of one.
    """
    if warrant is None:
        return _uncommissioned(bundle, model_input, saliency_map, options, NOT_COMMISSIONED)
    if warrant.bundle_digest != bundle.identity.digest:
        reason = "The passport is about another state of this bundle: commission it again."
        return _uncommissioned(bundle, model_input, saliency_map, options, reason)
    if warrant.method != saliency_map.method:
        reason = f"The passport is about {warrant.method}, not about {saliency_map.method}."
        return _uncommissioned(bundle, model_input, saliency_map, options, reason)
    finding = saliency_map.finding
    inputs = model_input.tensor[finding.position : finding.position + 1]
    device, parts = choose_device(options.device), PARTS[warrant.budget]
    examiner = Examiner(bundle, saliency_map.method, saliency_map.parameters, device, parts)
    evidence = examiner.evidence(inputs, finding.class_index, seed=saliency_map.seed)
    label = bundle.manifest.classes[finding.class_index].name
    found = judge(warrant, examiner, evidence, saliency_map, inputs, label)
    seen = None if evidence.witness is None else model_input.to_frame(evidence.witness, saliency_map.frame)
    replicates = tuple(model_input.to_frame(values, saliency_map.frame) for values in evidence.replicates)
    return Trust(found.verdict, found.reasons, found.score, found.signals, seen, replicates)


def _uncommissioned(
    bundle: Bundle, model_input: ModelInput, saliency_map: SaliencyMap, options: AnalysisOptions, reason: str
) -> Trust:
    """Measure the map against the bundle's other networks and the randomised twin: no evidence that it is right."""
    case = Case(bundle, model_input, saliency_map, options)
    theirs = replicate_maps(case)
    signals = (*replicate_signals(case, theirs), *alternate_signals(case), *twin_signals(case))
    reasons = (reason, *_remarks(saliency_map, signals))
    replicates = tuple(model_input.to_frame(values, saliency_map.frame) for values in theirs)
    return Trust(Verdict.UNCOMMISSIONED, reasons, None, signals, replicates=replicates)


def _remarks(saliency_map: SaliencyMap, signals: Sequence[Signal]) -> list[str]:
    """What a reader should know of the figures, the weightiest first."""
    found = []
    if saliency_map.values.max() == saliency_map.values.min():
        found.append("The map is blank: the method found nothing to show.")
    found += [
        f"No better than between maps of different subjects: {signal.meaning}."
        for signal in signals
        if signal.referenced is not None and signal.referenced <= 0
    ]
    if any(signal.null is None for signal in signals):
        found.append("The bundle ships no images of other subjects, so agreement cannot be set against chance.")
    if not any(signal.name.startswith("replicate") for signal in signals):
        found.append("The bundle ships no replicates, so it is unknown whether another training would show the same.")
    return found

"""How far a map can be trusted, as far as anything can be said before the bundle is commissioned at this site."""

from collections.abc import Sequence

from inference.bundle import Bundle
from inference.options import AnalysisOptions
from inference.prepare import ModelInput
from inference.saliency.maps import SaliencyMap
from inference.trust.case import Case
from inference.trust.randomisation import twin_signals
from inference.trust.replicates import alternate_signals, replicate_signals
from inference.trust.verdict import Signal, Trust, Verdict

NOT_COMMISSIONED = "This bundle has not been commissioned at this site: nothing here is calibrated."


def assess_maps(
    bundle: Bundle, model_input: ModelInput, maps: Sequence[SaliencyMap], *, options: AnalysisOptions
) -> tuple[Trust, ...]:
    """Assess each map; see ``assess``."""
    return tuple(assess(bundle, model_input, saliency_map, options=options) for saliency_map in maps)


def assess(bundle: Bundle, model_input: ModelInput, saliency_map: SaliencyMap, *, options: AnalysisOptions) -> Trust:
    """Measure one map against the bundle's other networks and the randomised twin, each beside its null.

    The verdict is always UNCOMMISSIONED and there is no score: no figure here is calibrated, and none is evidence
    that the map is right.

    Raises:
        DeviceExhausted: out of memory with a batch of one.
    """
    case = Case(bundle, model_input, saliency_map, options)
    signals = (*replicate_signals(case), *alternate_signals(case), *twin_signals(case))
    return Trust(
        verdict=Verdict.UNCOMMISSIONED,
        reasons=(NOT_COMMISSIONED, *_remarks(saliency_map, signals)),
        score=None,
        signals=signals,
    )


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

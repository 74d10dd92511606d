"""How commissioning's series were acquired, trait by trait, and whether another series' header contradicts it.

A trait is judged where at least ``FEWEST_PATIENTS`` patients of commissioning had it: a number contradicts them that
lies beyond ``BEYOND`` times their range (fixed beforehand: T1, T2, FLAIR and STIR lie farther apart than that, vendors'
versions of one protocol nearer), a word that none of them had. A patient of the same site contradicts n patients who
were all alike with a probability of at most 1 / (n + 1). Traits with several names for one meaning are not judged.

What is kept names nobody: numbers as the range over patients, and of words those that at least ``FEWEST_PATIENTS``
patients share.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inference.reading.elements.acquisition import Acquisition
from inference.reading.elements.header import title_of

FEWEST_PATIENTS = 5
BEYOND = 2.0
"""A number contradicts commissioning below its lowest over this, or above its highest times this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNumbers:
    """The range of a number over commissioning's patients."""

    patients: int
    """Who had it."""
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWords:
    """The words of a trait that commissioning's patients had."""

    patients: int
    """Who had any."""
    values: Mapping[str, int]
    """Patients by word; of words that at least ``FEWEST_PATIENTS`` share."""
    others: int = 0
    """Patients with another word: where there are any, no word contradicts."""


SeenTrait = SeenNumbers | SeenWords


@dataclass(frozen=True)
class AcquisitionTrait:
    """One thing that a header says of how a series was acquired."""

    name: str
    """In the passport."""
    title: str
    value: Callable[[Acquisition], float | str | None]
    """None: the header does not say."""
    unit: str = ""
    is_judged: bool = True

    def shown(self, value: float | str) -> str:
        """Return one of its values as a sentence has it."""
        return value if isinstance(value, str) else f"{value:.4g} {self.unit}"


def _inversion(acquisition: Acquisition) -> str | None:
    """Say whether there is an inversion; a header that says how it was timed and names none says that there is none."""
    inverted = acquisition.inversion_recovery
    if inverted is None and acquisition.is_mr_sequence_stated:
        return "no"
    return None if inverted is None else "yes" if inverted else "no"


def _agent(acquisition: Acquisition) -> str | None:
    """Say whether a contrast agent is named: the element is required where one was used (PS3.3 A.3.3, A.4.3)."""
    named = acquisition.contrast_agent
    if named is None and acquisition.is_stated:
        return "none"
    return None if named is None else "named" if named else "none"


TRAITS = (
    AcquisitionTrait("modality", title_of("Modality"), lambda a: a.modality),
    AcquisitionTrait("inversion_recovery", f"Inversion recovery by {title_of('ScanningSequence')}", _inversion),
    AcquisitionTrait("contrast_agent", title_of("ContrastBolusAgent"), _agent),
    AcquisitionTrait("echo_time_ms", title_of("EchoTime"), lambda a: a.echo_time_ms, "ms"),
    AcquisitionTrait("repetition_time_ms", title_of("RepetitionTime"), lambda a: a.repetition_time_ms, "ms"),
    AcquisitionTrait("inversion_time_ms", title_of("InversionTime"), lambda a: a.inversion_time_ms, "ms"),
    AcquisitionTrait("field_strength_t", title_of("MagneticFieldStrength"), lambda a: a.field_strength_t, "T"),
    AcquisitionTrait("tube_voltage_kv", title_of("KVP"), lambda a: a.tube_voltage_kv, "kV"),
    AcquisitionTrait("scanning_sequence", title_of("ScanningSequence"), lambda a: a.scanning_sequence, is_judged=False),
    AcquisitionTrait("sequence_variant", title_of("SequenceVariant"), lambda a: a.sequence_variant, is_judged=False),
    AcquisitionTrait("acquisition_type", title_of("MRAcquisitionType"), lambda a: a.acquisition_type, is_judged=False),
    AcquisitionTrait("kernel", title_of("ConvolutionKernel"), lambda a: a.kernel, is_judged=False),
)
"""What the passport records, the likeliest to tell sequences apart first."""


def contradictions(seen: Mapping[str, SeenTrait], acquisition: Acquisition) -> tuple[str, ...]:
    """Return a sentence for each trait in which a header contradicts commissioning's, with both values.

    What the header does not say contradicts nothing, nor does what fewer than ``FEWEST_PATIENTS`` had there.
    """
    sentences = []
    for trait in TRAITS:
        value, of_site = trait.value(acquisition), seen.get(trait.name)
        if trait.is_judged and value is not None and of_site is not None and _contradicts(value, of_site):
            sentences.append(
                f"{trait.title}: {trait.shown(value)} here, {seen_in_words(trait, of_site)} in commissioning "
                f"({of_site.patients} patients)."
            )
    return tuple(sentences)


def seen_in_words(trait: AcquisitionTrait, seen: SeenTrait) -> str:
    """Return what commissioning's patients had, as "8.4 to 15 ms" or "named"."""
    if isinstance(seen, SeenWords):
        return " or ".join((*seen.values, *(["another"] if seen.others else [])))
    if seen.low == seen.high:
        return trait.shown(seen.low)
    return f"{seen.low:.4g} to {trait.shown(seen.high)}"


def _contradicts(value: float | str, seen: SeenTrait) -> bool:
    if seen.patients < FEWEST_PATIENTS:
        return False
    if isinstance(seen, SeenWords):
        return not seen.others and value not in seen.values
    return not isinstance(value, str) and not seen.low / BEYOND <= value <= seen.high * BEYOND

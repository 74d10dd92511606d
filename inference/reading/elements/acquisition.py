"""How a series was acquired, as its header says: the MR sequence, tube voltage and kernel of CT, the contrast agent.

Of a classic image the attributes stand in the data set (PS3.3 C.7.3.1 Modality, C.8.3.1 MR Image, C.8.2.1 CT Image,
C.7.6.4 Contrast/Bolus); of an enhanced object in its functional groups (C.8.13.5.2 MR Timing, C.8.13.5.4 MR Echo,
C.8.13.5.5 MR Modifier, C.8.15.3.9 CT X-Ray Details, C.8.15.3.6 CT Reconstruction, C.7.6.16.2.12 Contrast/Bolus Usage)
and, where one value holds for all frames, in the data set again (C.8.13.4 MR Pulse Sequence, C.7.6.4b Enhanced
Contrast/Bolus). What is absent, empty or unreadable is None: nothing is refused here.
"""

from dataclasses import dataclass

from pydicom import Dataset

from inference.reading.elements.header import hint_of, text_of, texts_of, value_of
from inference.reading.elements.macros import is_enhanced, source_of

NO_AGENT = frozenset({"NO", "NONE", "NIL", "NO CONTRAST", "WITHOUT CONTRAST", "NON CONTRAST"})
"""Contrast/Bolus Agent (0018,0010) that says in words that there was none."""
MOST_TESLA = 30.0
"""Magnetic Field Strength (0018,0087) above it is in gauss, as some systems write it."""
GAUSS_PER_TESLA = 10_000
_ECHO_PULSES = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}
"""Echo Pulse Sequence (0018,9008) of an enhanced object in the terms of Scanning Sequence (0018,0020)."""


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """How a series was acquired; None: the header does not say."""

    modality: str | None = None
    """Modality (0008,0060)."""
    repetition_time_ms: float | None = None
    """Repetition Time (0018,0080)."""
    echo_time_ms: float | None = None
    """Echo Time (0018,0081), Effective Echo Time (0018,9082)."""
    inversion_time_ms: float | None = None
    """Inversion Time (0018,0082), Inversion Times (0018,9079); 0 is written where there is none, and is None."""
    inversion_recovery: bool | None = None
    """By Inversion Recovery (0018,9009), Scanning Sequence (0018,0020), or an Inversion Time."""
    scanning_sequence: str | None = None
    r"""Scanning Sequence (0018,0020), as ``SE\IR``; of an enhanced object by its Echo Pulse Sequence (0018,9008)."""
    sequence_variant: str | None = None
    r"""Sequence Variant (0018,0021), as ``SK\SP``."""
    acquisition_type: str | None = None
    """MR Acquisition Type (0018,0023): 2D or 3D."""
    field_strength_t: float | None = None
    """Magnetic Field Strength (0018,0087), in tesla."""
    contrast_agent: bool | None = None
    """Whether one is named by Contrast/Bolus Agent (0018,0010) or its sequence (0018,0012); False: said to be none."""
    tube_voltage_kv: float | None = None
    """KVP (0018,0060)."""
    kernel: str | None = None
    """Convolution Kernel (0018,1210)."""

    @property
    def is_mr_sequence_stated(self) -> bool:
        """Whether the header says how the MR sequence was timed: then what it does not name was not there."""
        return self.repetition_time_ms is not None or self.echo_time_ms is not None

    @property
    def is_stated(self) -> bool:
        """Whether the header says anything of how MR or CT images were acquired."""
        return self.is_mr_sequence_stated or self.tube_voltage_kv is not None


UNSTATED = Acquisition()
"""Of an image without a header."""


def acquisition_of(header: Dataset, index: int = 0) -> Acquisition:
    """Return how frame ``index`` (0-based) of an object was acquired."""
    inversion = _positive(header, index, "InversionTimes", "InversionTime")
    sequence, recovery = _sequence(header, index, inversion)
    strength = _positive(header, index, "MagneticFieldStrength")
    return Acquisition(
        modality=_joined(header, index, "Modality"),
        repetition_time_ms=_positive(header, index, "RepetitionTime"),
        echo_time_ms=_positive(header, index, "EffectiveEchoTime", "EchoTime"),
        inversion_time_ms=inversion,
        inversion_recovery=recovery,
        scanning_sequence=sequence,
        sequence_variant=_joined(header, index, "SequenceVariant"),
        acquisition_type=_joined(header, index, "MRAcquisitionType"),
        field_strength_t=strength / GAUSS_PER_TESLA if strength and strength > MOST_TESLA else strength,
        contrast_agent=_agent(header, index),
        tube_voltage_kv=_positive(header, index, "KVP"),
        kernel=_joined(header, index, "ConvolutionKernel"),
    )


def _sequence(header: Dataset, index: int, inversion_time_ms: float | None) -> tuple[str | None, bool | None]:
    """Return the kind of MR sequence, and whether it begins with an inversion."""
    terms = [word for word in texts_of(header, "ScanningSequence") if word]
    if not terms and is_enhanced(header):
        terms += _ECHO_PULSES.get(text_of(header, "EchoPulseSequence").upper(), ())
        terms += ["EP"] if text_of(header, "EchoPlanarPulseSequence").upper() == "YES" else []
    said = text_of(source_of(header, index, "InversionRecovery"), "InversionRecovery").upper()
    recovers = inversion_time_ms is not None or said == "YES" or "IR" in terms
    if is_enhanced(header) and recovers and terms and "IR" not in terms:
        terms.append("IR")
    known = recovers or said == "NO" or (bool(terms) and not is_enhanced(header))
    return "\\".join(terms) or None, recovers if known else None


def _agent(header: Dataset, index: int) -> bool | None:
    """Return whether a contrast agent is named; None where the header names neither one nor that there was none."""
    agents = value_of(header, "ContrastBolusAgentSequence") or ()
    usage = source_of(header, index, "ContrastBolusAgentAdministered")
    if len(agents) == 1 and text_of(usage, "ContrastBolusAgentAdministered").upper() == "NO":
        return False
    written = text_of(header, "ContrastBolusAgent").upper()
    return True if agents else written not in NO_AGENT if written else None


def _positive(header: Dataset, index: int, *keywords: str) -> float | None:
    """Return the first of these elements that is a number above 0."""
    numbers = (hint_of(source_of(header, index, keyword), keyword) for keyword in keywords)
    return next((number for number in numbers if number is not None and number > 0), None)


def _joined(header: Dataset, index: int, keyword: str) -> str | None:
    return "\\".join(word for word in texts_of(source_of(header, index, keyword), keyword) if word) or None

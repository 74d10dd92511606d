"""What became of a set of companions, in figures and in sentences."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from inference.companions.data import MaskCounts
from inference.companions.guiding import GuidanceTest
from inference.companions.independence import Independence
from inference.companions.measuring import MeanFigure
from inference.companions.settings import CompanionSettings, Kind, Start
from inference.statistics.seeds import digest_of

HEADING = "## Companions"
"""Of the section in the new bundle's README."""
COMMISSION_OTHERS = (
    "Commission the new bundle with other patients than these: a companion knows the patients it was trained on."
)


def patient_digest(bundle_digest: str, patient: str) -> str:
    """Return what a bundle keeps of a patient that its companions know: 8 hexadecimal digits of a SHA-256.

    Not the name; but whoever guesses a name can confirm it.

    Args:
        bundle_digest: of the bundle that the companions were made for.
        patient: Patient ID, or group.
    """
    return digest_of(("patient of companions", bundle_digest, patient))[:8]


@dataclass(frozen=True)
class CompanionFigures:
    """One network that was trained, measured on the early-stopping patients."""

    name: str
    kind: Kind
    start: Start
    architecture: str
    parameters: int
    seed: int
    guided: bool
    epochs: int
    best_epoch: int
    accuracy: MeanFigure | None = None
    independence: Independence | None = None
    hit: MeanFigure | None = None
    """Of a localiser: share of outlined cases where its peak lies in the mask."""
    hit_average_mask: MeanFigure | None = None
    dice: MeanFigure | None = None

    @property
    def line(self) -> str:
        """Say it in words."""
        begun = {"given": "from the given weights", "scratch": "from random weights"}[self.start]
        text = (
            f"{self.name}: {self.architecture}, {self.parameters:,} parameters, {begun}"
            f"{', guided' if self.guided else ''}, best after epoch {self.best_epoch} of {self.epochs}"
        )
        if self.accuracy is not None:
            text += f"; accuracy {self.accuracy.words}"
        if self.hit is not None and self.hit_average_mask is not None and self.dice is not None:
            text += (
                f"; peak in the mask {self.hit.words}, of the average mask {self.hit_average_mask.words}; "
                f"Dice {self.dice.words}"
            )
        return f"{text}; {self.independence.sentence}." if self.independence is not None else f"{text}."


@dataclass(frozen=True)
class CompanionReport:
    """All of it."""

    bundle: str
    """Name of the bundle they were made for."""
    bundle_digest: str
    masks: MaskCounts
    learning_patients: int
    stopping_patients: int
    primary_accuracy: MeanFigure | None
    """Of the primary as it was given."""
    guidance: GuidanceTest | None
    companions: tuple[CompanionFigures, ...]
    left_out: tuple[str, ...]
    """What was asked for and is not there, with the reason."""
    written: bool
    """Whether there is a new bundle."""
    settings: CompanionSettings
    libraries: Mapping[str, str]
    cases: tuple[str, ...]
    """Digests of the cases trained on or stopped by: what must not be commissioned with."""
    patients: tuple[str, ...] = ()
    """Of their patients: ``patient_digest``; empty in bundles made before it was recorded."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the report as sentences, what is missing first."""
        accuracy = self.primary_accuracy.words if self.primary_accuracy else "not measured"
        lines = [self.masks.sentence, *self.left_out]
        if self.guidance is not None:
            lines += self.guidance.lines
        lines.append(
            f"Learnt from {self.learning_patients} patients; stopped by and measured on {self.stopping_patients} "
            f"others, where the primary as given has an accuracy of {accuracy}."
        )
        lines += [entry.line for entry in self.companions]
        lines.append(COMMISSION_OTHERS if self.written else "There is no new bundle: nothing of it was made.")
        return tuple(lines)

    def section(self) -> str:
        """Return the section of the new bundle's README."""
        return f"{HEADING}\n\n" + "".join(f"- {line}\n" for line in self.lines)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with the sentences, as JSON holds them."""
        return {**asdict(self), "lines": list(self.lines)}


def report_of(values: Any) -> CompanionReport:
    """Return the report of plain values, as ``as_dict`` gives them."""
    return TypeAdapter(CompanionReport).validate_python(values)

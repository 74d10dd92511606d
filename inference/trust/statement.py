"""What is said of one stack as a whole, whether or not anything was called on it, and what the passport knows of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from inference.findings import Classification, Finding
from inference.passport.class_calibration import ClassCalibration
from inference.passport.entries import Missed

if TYPE_CHECKING:  # both bring torch
    from inference.trust.likeness import Likeness
    from inference.trust.warrant import Warrant

NOT_COMMISSIONED = "This bundle has not been commissioned at this site: nothing is known of what it misses here."
ANOTHER_STATE = (
    "The passport is about another state of this bundle: nothing is known of what this one misses here; commission it "
    "again."
)
NOT_RECORDED = "The passport does not record what the model misses by class: commission again."
NOT_COMPARED = (
    "The passport was made before whole series were compared with those of commissioning: whether this one is like "
    "them is unknown; commission again."
)


class Conclusion(StrEnum):
    """What is said of a stack."""

    FOUND = "found"
    NOTHING_FOUND = "nothing found"
    NO_STATEMENT = "no statement"


@dataclass(frozen=True)
class Statement:
    """What is said of one stack, and what it rests on."""

    said: Conclusion
    reasons: tuple[str, ...]
    """Why there is no statement, or what is not known of it; empty where the passport knows all."""
    missed: Mapping[str, Missed]
    """By class that is a finding; empty where nothing is known."""
    distance: float | None
    """From the stacks of commissioning, over what is allowed there; None: not compared."""
    is_contradicted: bool = False
    """Whether the header contradicts those of commissioning."""
    calibrations: Mapping[str, ClassCalibration] = field(default_factory=dict)
    """By class: what sets its probability right; empty where nothing is known, or not of images like these."""

    def class_probability(self, finding: Finding) -> float | None:
        """Return the probability, calibrated at this site, that a finding's class is right; None: there is none."""
        known = self.calibrations.get(finding.label)
        return None if known is None else known.probability(finding.probability)

    @property
    def outside(self) -> bool:
        """Whether the stack is unlike those of commissioning, whatever was called on it."""
        return self.is_contradicted or (self.distance is not None and self.distance > 1)


def state(
    classification: Classification, likeness: "Likeness | None", warrant: "Warrant | None", bundle_digest: str
) -> Statement:
    """Say what is said of a stack: a stack unlike those of commissioning has findings, or no statement.

    Args:
        classification: of its planes.
        likeness: to the stacks of commissioning; None: it was not compared.
        warrant: of the site's passport; None: there is none.
        bundle_digest: of the bundle that classified it.
    """
    if classification.ranges:
        said = Conclusion.FOUND
    else:
        said = Conclusion.NO_STATEMENT if likeness is not None and likeness.outside else Conclusion.NOTHING_FOUND
    if warrant is None:
        return Statement(said, (NOT_COMMISSIONED,), {}, None)
    if warrant.bundle_digest != bundle_digest:
        return Statement(said, (ANOTHER_STATE,), {}, None)
    unknown = [] if warrant.missed else [NOT_RECORDED]
    if likeness is None:
        return Statement(said, (NOT_COMPARED, *unknown), warrant.missed, None, calibrations=warrant.calibrations)
    known = {} if likeness.outside else warrant.calibrations
    reasons = (*likeness.reasons, *unknown)
    return Statement(said, reasons, warrant.missed, likeness.distance, likeness.is_contradicted, known)

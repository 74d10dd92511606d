"""What the independent localiser saw on the plane shown: where a contour runs beside the map, or why none does."""

from enum import StrEnum

from inference.trust.signals import SURE
from inference.trust.verdict import Trust, Verdict


class Seen(StrEnum):
    """What is known from the localiser, in words that stand alone."""

    FINDING = "Independent localiser sees a finding on this plane"
    NOTHING = "Independent localiser sees no finding on this plane"
    ABSENT = "No independent localiser in this bundle"
    NOT_ASKED = "No independent localiser is asked before commissioning"


def seen(trust: Trust) -> Seen:
    """Say what the localiser saw; a finding is where its probability is at least 0.5, as in tier C's signals."""
    if trust.witness is None:
        return Seen.NOT_ASKED if trust.verdict is Verdict.UNCOMMISSIONED else Seen.ABSENT
    return Seen.FINDING if (trust.witness >= SURE).any() else Seen.NOTHING

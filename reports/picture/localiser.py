"""The result of the independent localiser on the plane shown, or why there is none."""

from enum import StrEnum

from inference.trust.signals import SURE
from inference.trust.verdict import Trust


class Seen(StrEnum):
    """What is known from the localiser, in words that stand alone."""

    FINDING = "Independent localiser sees a finding on this plane"
    NOTHING = "Independent localiser sees no finding on this plane"
    ABSENT = "No independent localiser in this bundle"


def seen(trust: Trust) -> Seen:
    """Say what the localiser saw; a finding is where its probability is at least 0.5, as in tier C's signals."""
    if trust.localiser is None:
        return Seen.ABSENT
    return Seen.FINDING if (trust.localiser >= SURE).any() else Seen.NOTHING

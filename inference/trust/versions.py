"""Definition versions: what each signal and each part of the procedure means now, and what a passport was fitted with.

Whoever changes the meaning of a signal raises its ``version`` in ``kinds.py``; whoever changes the meaning of a part of
the procedure raises it in ``PROCEDURE``. Verdicts by a passport that was fitted with another version are capped at
CAUTION until ``heatproof commission --verdict`` has fitted them anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcedurePart:
    """One part of the way from the pixels to a verdict."""

    name: str
    meaning: str
    version: int = 1


PROCEDURE: tuple[ProcedurePart, ...] = (
    ProcedurePart("pixels", "the values read from the DICOM file"),
    ProcedurePart("preparation", "the network's input, made of these values"),
    ProcedurePart("peak", "the place of a map that has to lie in the finding"),
    ProcedurePart("planes", "the choice of the planes that are explained and shown"),
    ProcedurePart("evidence", "the maps and probabilities that signals are read from"),
)
"""Every part whose meaning a verdict rests on; ``version`` is raised with the meaning."""


def fit_anew(changed: Sequence[str]) -> str:
    """Say that definitions have changed since a passport was made, and what to do about it."""
    return (
        f"The definition of {', '.join(changed)} has changed since this passport was made; fit the verdict anew: "
        "heatproof commission --verdict PASSPORT --data DIR."
    )

"""Definition versions: what each signal and each part of the procedure means now, and what a passport was fitted with.

Whoever changes the meaning of a signal raises its ``version`` in ``kinds.py``; whoever changes the meaning of a part of
the procedure raises it in ``PROCEDURE``. Verdicts by a passport that was fitted with another version are capped at
CAUTION until ``heatproof commission --verdict`` has fitted them again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.options import Budget
from inference.passport.verdict import DefinitionVersions, FittedVerdict
from inference.trust import kinds
from inference.trust.budgets import PARTS, signals_of


@dataclass(frozen=True, slots=True)
class ProcedurePart:
    """One part of the way from the pixels to a verdict."""

    name: str
    """Key in the passport."""
    meaning: str
    """As a sentence names it."""
    covers: str
    """What changes its meaning when it changes."""
    version: int = 1


PROCEDURE: tuple[ProcedurePart, ...] = (
    ProcedurePart("pixels", "the pixel values", "how values, orientation and spacing are read from the DICOM file"),
    ProcedurePart("preparation", "the network's input", "how pixel values become the tensor the network is given"),
    ProcedurePart("peak", "the map's peak", "which place of a map has to lie in the finding for a hit"),
    ProcedurePart("planes", "the choice of planes", "which planes are assessed, shown and certified", 2),
    ProcedurePart(
        "evidence", "the evidence", "which maps and probabilities the signals are read from, and their nulls"
    ),
    ProcedurePart("regions", "the region claims", "what is certified of the region a map marks, beside its peak"),
    ProcedurePart(
        "envelope",
        "the envelope",
        "which figures say that a stack is unlike those of commissioning, and from where on",
        2,
    ),
)
"""Every part whose meaning a verdict rests on; whoever changes a meaning raises its version."""
FIRST = 1
"""Version of everything in a passport from before versions were recorded."""


def versions_now() -> DefinitionVersions:
    """Return the version of every signal and every part of the procedure, as a passport records them."""
    return DefinitionVersions(
        signals={kind.name: kind.version for kind in kinds.KINDS},
        procedure={part.name: part.version for part in PROCEDURE},
    )


def changed_definitions(verdict: FittedVerdict, budget: Budget) -> tuple[str, ...]:
    """Name the definitions that a budget's verdict rests on and that have changed since it was fitted.

    It rests on every part of the procedure, on the signals of its calibrators, and on those with a null that the budget
    gathers. A signal that is no longer measured has changed. A signal that the passport does not know is not used.

    Args:
        verdict: of a passport.
        budget: one that the verdict has.

    Returns:
        what each means, in words; empty: none has changed.
    """
    now, then = versions_now(), verdict.versions or DefinitionVersions(signals={}, procedure={})
    meanings = {part.name: part.meaning for part in PROCEDURE}
    parts = [
        meanings.get(name, name)
        for name in dict.fromkeys((*now.procedure, *then.procedure))
        if now.procedure.get(name) != then.procedure.get(name, FIRST)
    ]
    meanings = {kind.name: kind.meaning for kind in kinds.KINDS}
    signals = [
        meanings.get(name, name.replace("_", " "))
        for name in _signals_of(verdict, budget)
        if now.signals.get(name) != then.signals.get(name, FIRST)
    ]
    return (*parts, *signals)


def fit_anew(changed: Sequence[str]) -> str:
    """Say that definitions have changed since a passport was made, and what to do about it."""
    return (
        f"The definition of {', '.join(changed)} has changed since this passport was made; fit the verdict anew: "
        "heatproof commission --verdict PASSPORT --data DIR."
    )


def _signals_of(verdict: FittedVerdict, budget: Budget) -> tuple[str, ...]:
    formula, gathered = verdict.by_budget[budget], signals_of(PARTS[budget])
    calibrators = (formula.calibrator, *([formula.witness_calibrator] if formula.witness_calibrator else []))
    terms = (term.name for calibrator in calibrators for term in calibrator.terms)
    with_null = (name for nulls in verdict.nulls.values() for name in nulls if name in gathered)
    return tuple(dict.fromkeys((*terms, *with_null)))

"""What an adoption would cost and could reach, before anything is trained: from sizes, and one timed step."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from inference.companions.planning import CompanionPlan, PlannedTraining

PASSES_OF_A_CASE = 130
"""Passes through a network of the primary's size that one explained case takes to commission, with the bundle's own
method: of the phantoms' passport, where 772 cases took 107 s in networks of which a pass takes about 1 ms."""
FORWARD_SHARE = 1 / 3
"""Of the time of a step on an image, that of classifying it."""


@dataclass(frozen=True)
class AdoptionPlan:
    """All of it."""

    companions: CompanionPlan
    commissioned_cases: int
    """With a finding, as expected: as many a patient as in those trained on."""
    commission_hours: float | None
    """None: no training of a classifier is planned by which a pass is timed."""

    @property
    def hours(self) -> float:
        """Of companions and commissioning together, at most."""
        return self.companions.hours + (self.commission_hours or 0.0)

    @property
    def lines(self) -> tuple[str, ...]:
        """Return it as sentences."""
        commission = (
            "How long commissioning takes is not known: no classifier is trained by which it is timed."
            if self.commission_hours is None
            else f"Commissioning {self.commissioned_cases} cases with a finding by the bundle's own method: about "
            f"{self.commission_hours:.1f} h on one thread; --methods all takes some ten times as long."
        )
        return (*self.companions.lines, commission, f"In all at most {self.hours:.1f} h. {_hope(self.companions)}")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with the sentences."""
        return {**asdict(self), "hours": self.hours, "lines": list(self.lines)}


def plan_adoption(companions: CompanionPlan) -> AdoptionPlan:
    """Add what commissioning takes to the plan of the companions."""
    sizes = companions.sizes
    cases = round(sizes.finding_cases * sizes.commissioned / sizes.trained)
    forward = next(
        (_forward_seconds(entry, companions) for entry in companions.trainings if _is_classifier(entry)), None
    )
    hours = None if forward is None else cases * PASSES_OF_A_CASE * forward / 3600
    return AdoptionPlan(companions, cases, hours)


def _is_classifier(entry: PlannedTraining) -> bool:
    return entry.kind in ("replicate", "guided")


def _forward_seconds(entry: PlannedTraining, companions: CompanionPlan) -> float:
    """Return how long one pass takes, by the hours that were planned from one timed step."""
    sizes = companions.sizes
    images = entry.times * entry.epochs * (sizes.learning + FORWARD_SHARE * sizes.stopping)
    return FORWARD_SHARE * entry.hours * 3600 / images if images else math.nan


def _hope(companions: CompanionPlan) -> str:
    best = next((expected.alpha for expected in companions.alphas if expected.misses == 0), None)
    if best is None:
        return "So few patients certify nothing: every map stays CAUTION at most."
    return (
        f"With {companions.sizes.commissioned} patients to commission with, the smallest alpha that can be certified "
        f"at best is {best:.3f}; below 0.10 needs 22 patients with a TRUSTED map among those that certify."
    )

"""What a site's passport allows to be said of one map: the formula, the threshold, and when to say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from inference.errors import PassportRefused
from inference.options import Budget
from inference.passport.calibrator import Calibrator
from inference.passport.class_calibration import ClassCalibration
from inference.passport.entries import Missed
from inference.passport.envelope import Envelope
from inference.passport.passport import Passport
from inference.passport.verdict import FittedVerdict
from inference.statistics.bootstrap import Interval
from inference.statistics.risk_control import GRID, Certificate, certify, smallest_alpha
from inference.statistics.withholding import MORE_LIKELY_WRONG
from inference.trust.kinds import NAMES
from inference.trust.versions import changed_definitions

SEED = 20261122
TRUSTABLE = tuple(step for step in GRID if step >= MORE_LIKELY_WRONG)
"""Thresholds of TRUSTED: never where a map is more likely wrong than right."""


@dataclass(frozen=True, eq=False)
class Warrant:
    """A passport's verdict, made ready for the alpha and delta of this node."""

    bundle_digest: str
    passport_digest: str
    method: str
    nulls: Mapping[str, Mapping[str, Interval]]
    """By class and signal: mean agreement with another patient's map, its interval over patients and their count."""
    calibrator: Calibrator
    witness_calibrator: Calibrator | None
    """P by the localiser alone, which no agreement can outvote; None: the bundle has no localiser."""
    envelope: Envelope | None
    """None: the passport's is of single maps, from before stacks were compared."""
    certificate: Certificate
    possible_alpha: float | None
    """Where no threshold is certified, the smallest alpha these cases would have certified; None: none up to 0.5."""
    gate_failures: tuple[str, ...]
    """Bogus kinds the method's maps did not clearly beat; empty: the gate is open."""
    budget: Budget = "full"
    """How much evidence a verdict rests on."""
    believed: tuple[str, ...] = ()
    """Bogus kinds that this budget's formula believed in too often; not empty: nothing is TRUSTED."""
    changed: tuple[str, ...] = ()
    """Definitions the passport was fitted with in another version, in words; not empty: nothing is TRUSTED."""

    calibrations: Mapping[str, ClassCalibration] = field(default_factory=dict)
    """By class: what sets its probability right, without how it was judged; empty: not recorded."""
    missed: Mapping[str, Missed] = field(default_factory=dict)
    """By class: how many of commissioning's patients with the finding the model missed; empty: not recorded."""

    @property
    def identity(self) -> str:
        """What a result that rests on it depends on."""
        levels = f"alpha {self.certificate.alpha:g} delta {self.certificate.delta:g}"
        changed = f" changed {', '.join(self.changed)}" if self.changed else ""
        return f"{self.passport_digest} {levels} budget {self.budget}{changed}"

    @classmethod
    def of(cls, passport: Passport, *, alpha: float, delta: float, budget: Budget = "full") -> Self:
        """Read a passport's verdict and certify its threshold.

        Signals that the passport does not know are not used. A signal that this program no longer measures counts as
        missing, and caps every verdict, as does any other definition that has changed (``versions.py``).

        Args:
            passport: with a verdict.
            alpha: largest share of TRUSTED maps that may miss, counted by patients.
            delta: 1 - confidence of that.
            budget: how much evidence to gather; a passport from before there were budgets knows ``full`` alone.

        Raises:
            PassportRefused: it has no verdict, or none for this budget.
            Refused: alpha or delta out of range.
        """
        verdict = passport.verdict
        if not isinstance(verdict, FittedVerdict):
            reason = "" if verdict is None else verdict.reason
            raise PassportRefused(
                f"The passport of {passport.bundle.name} has no verdict. {reason}".strip(),
                cure="Commission with two splits, or add one: heatproof commission --verdict PASSPORT --data DIR.",
            )
        formula = verdict.by_budget.get(budget)
        if formula is None:
            raise PassportRefused(
                f"The passport of {passport.bundle.name} has no verdict for the budget {budget}.",
                cure="Fit the verdict again: heatproof commission --verdict PASSPORT --data DIR; "
                "or choose the budget full.",
            )
        scores = (np.array(formula.scores.p), np.array(formula.scores.miss), np.array(formula.scores.group))
        certificate = certify(*scores, alpha=alpha, delta=delta, seed=SEED, grid=TRUSTABLE)
        possible = None
        if certificate.threshold is None:
            possible = smallest_alpha(*scores, delta=delta, seed=SEED, grid=TRUSTABLE)
        localiser = formula.witness_calibrator
        return cls(
            bundle_digest=passport.bundle.digest,
            passport_digest=passport.digest,
            method=passport.bundle.method,
            nulls=verdict.nulls,
            calibrator=formula.calibrator.restricted_to(NAMES),
            witness_calibrator=None if localiser is None else localiser.restricted_to(NAMES),
            envelope=verdict.envelope if isinstance(verdict.envelope, Envelope) else None,
            certificate=certificate,
            possible_alpha=None if possible is None else possible.alpha,
            gate_failures=verdict.gate.failures,
            budget=budget,
            believed=tuple(kind for kind, shares in formula.bogus_trusted_and_wrong.items() if not shares.passed),
            changed=changed_definitions(verdict, budget),
            calibrations={
                label: replace(figures.calibration, judged={})
                for label, figures in passport.classification.classes.items()
                if figures.calibration is not None
            },
            missed={
                label: figures.missed
                for label, figures in passport.classification.classes.items()
                if figures.missed is not None
            },
        )

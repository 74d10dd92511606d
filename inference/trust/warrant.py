"""What a site's passport allows to be said of one map: the formula, the threshold, and when to say nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from inference.errors import PassportRefused
from inference.passport.passport import Passport
from inference.statistics.bootstrap import Interval
from inference.statistics.risk_control import GRID, Certificate, certify, smallest_alpha
from inference.statistics.withholding import MORE_LIKELY_WRONG
from inference.trust.budgets import Budget
from inference.trust.calibrator import Calibrator
from inference.trust.envelope import Envelope
from inference.trust.kinds import NAMES, TIERS

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
    envelope: Envelope
    certificate: Certificate
    possible_alpha: float | None
    """The smallest alpha these cases would have certified; None: none up to 0.5."""
    gate_failures: tuple[str, ...]
    """Bogus kinds the method's maps did not clearly beat; empty: the gate is open."""
    budget: Budget = "full"
    """How much evidence a verdict rests on."""
    believed: tuple[str, ...] = ()
    """Bogus kinds that this budget's formula believed in too often; not empty: nothing is TRUSTED."""
    changed: tuple[str, ...] = ()
    """Definitions the passport was fitted with in another version, in words; not empty: nothing is TRUSTED."""

    @property
    def identity(self) -> str:
        """What a result that rests on it depends on."""
        levels = f"alpha {self.certificate.alpha:g} delta {self.certificate.delta:g}"
        return f"{self.passport_digest} {levels} budget {self.budget}"

    @classmethod
    def of(cls, passport: Passport, *, alpha: float, delta: float, budget: Budget = "full") -> Self:
        """Read a passport's verdict and certify its threshold.

        Args:
            passport: with a verdict.
            alpha: largest share of TRUSTED maps that may miss, counted by patients.
            delta: 1 - confidence of that.
            budget: how much evidence to gather; a passport from before there were budgets knows ``full`` alone.

        Raises:
            PassportRefused: it has no verdict, one for other signals or without this budget, or one that cannot be
                read.
            Refused: alpha or delta out of range.
        """
        entry: Any = passport.verdict
        if not isinstance(entry, Mapping) or "calibrator" not in entry:
            reason = entry.get("reason", "") if isinstance(entry, Mapping) else ""
            raise PassportRefused(
                f"The passport of {passport.bundle.name} has no verdict. {reason}".strip(),
                cure="Commission with two splits, or add one: heatproof commission --verdict PASSPORT --data DIR.",
            )
        try:
            known = [tuple(one) for one in entry["signals"]]
            if known != list(zip(NAMES, TIERS, strict=True)):
                raise PassportRefused(
                    "The passport's verdict rests on signals of another version.", cure="Commission again."
                )
            if budget != "full" and budget not in entry.get("budgets", {}):
                raise PassportRefused(
                    f"The passport of {passport.bundle.name} knows no budget {budget}.",
                    cure="Fit it anew: heatproof commission --verdict PASSPORT --data DIR; or take the budget full.",
                )
            formula = entry if budget == "full" else entry["budgets"][budget]
            scores = formula["scores"]
            given = (np.array(scores["p"]), np.array(scores["miss"]), np.array(scores["group"]))
            certificate = certify(*given, alpha=alpha, delta=delta, seed=SEED, grid=TRUSTABLE)
            possible = smallest_alpha(*given, delta=delta, seed=SEED, grid=TRUSTABLE)
            checks = entry["gate"]["better_than"]
            return cls(
                bundle_digest=passport.bundle.digest,
                passport_digest=passport.digest,
                method=passport.bundle.method,
                nulls={
                    label: {name: Interval(**null) for name, null in by_name.items()}
                    for label, by_name in entry["nulls"].items()
                },
                calibrator=Calibrator.from_plain(formula["calibrator"]),
                witness_calibrator=Calibrator.from_plain(alone) if (alone := formula["witness_calibrator"]) else None,
                envelope=Envelope.from_plain(entry["envelope"]),
                certificate=certificate,
                possible_alpha=None if possible is None else possible.alpha,
                gate_failures=tuple(kind for kind, one in checks.items() if not one["passed"]),
                budget=budget,
                believed=tuple(
                    kind
                    for kind, modes in formula["bogus_trusted_and_wrong"].items()
                    if not all(one["passed"] for one in modes.values())
                ),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as wrong:
            raise PassportRefused(
                f"The passport's verdict cannot be read: {wrong}.", cure="Commission again."
            ) from wrong

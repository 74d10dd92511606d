"""What a site's passport allows to be said of one map: the formula, the threshold, and when to say nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from inference.errors import PassportRefused
from inference.options import Budget
from inference.passport.acquisitions import SeenTrait
from inference.passport.calibrator import Calibrator
from inference.passport.certificates import RegionClaim, believed_at
from inference.passport.class_calibration import ClassCalibration
from inference.passport.entries import GroupsAre, Missed
from inference.passport.envelope import Envelope
from inference.passport.passport import Passport
from inference.passport.verdict import BudgetVerdict, FittedVerdict, OutOfFoldScores
from inference.statistics.bootstrap import Interval
from inference.statistics.risk_control import Certificate, smallest_alpha
from inference.trust.certified import SEED, Certified, ShownScores, certified, grid_above, shown_scores
from inference.trust.choice import USUALLY_SHOWN
from inference.trust.kinds import NAMES
from inference.trust.versions import changed_definitions


@dataclass(frozen=True, eq=False)
class CertifiedClaim:
    """A claim of the region that a map marks, certified for the alpha and delta of this node."""

    region: RegionClaim
    certified: Certified
    believed: tuple[str, ...]
    """Bogus kinds that it believed in too often; not empty: it is not made."""


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
    acquisition: Mapping[str, SeenTrait] = field(default_factory=dict)
    """How commissioning's series were acquired by their headers; empty: not recorded, or they had none."""
    calibrations: Mapping[str, ClassCalibration] = field(default_factory=dict)
    """By class: what sets its probability right, without how it was judged; empty: not recorded."""
    missed: Mapping[str, Missed] = field(default_factory=dict)
    """By class: how many of commissioning's patients with the finding the model missed; empty: not recorded."""
    classes: tuple[str, ...] = ()
    """Names of the bundle's classes, in their order."""
    scores: OutOfFoldScores | None = None
    """What is certified from; None: it is not certified anew for another number of planes."""
    shown: int = USUALLY_SHOWN
    """Planes of a series and class that are shown: what the certificate is about."""
    by_class: Mapping[str, Certificate] = field(default_factory=dict)
    """The certificate of each class; empty: classes are not asked by themselves."""
    unit: GroupsAre = "patients"
    """What the groups of commissioning's data are."""
    saw_healthy: bool = True
    """Whether there was a patient without any finding among those the verdict was fitted on, or it is not known."""
    least_alpha: float | None = None
    """Where the data name no patients, the smallest alpha that is offered; None: any."""
    floor: float | None = None
    """No threshold lies below, so that bogus maps are kept out; None: none keeps them out."""
    claims: tuple[CertifiedClaim, ...] = ()
    """Of the region that a map marks, beside that of its peak."""
    _made: dict[int, "Warrant"] = field(default_factory=dict, init=False, repr=False)

    @property
    def certified(self) -> Certified:
        """The certificates in force."""
        return Certified(self.certificate, self.by_class)

    def showing(self, count: int) -> "Warrant":
        """Return the warrant where ``count`` planes of a series and class are shown; certified once for each count."""
        scores = self.scores
        if count == self.shown or scores is None:
            return self
        if count not in self._made:
            maps = shown_scores(scores, count)
            alpha, delta, least, by_class = (
                self.certificate.alpha, self.certificate.delta, self.least_alpha, bool(self.by_class),
            )  # fmt: skip
            made = certified(
                maps, self.classes, alpha=alpha, delta=delta, floor=self.floor, least_alpha=least, by_class=by_class
            )  # fmt: skip
            limits = (alpha, delta, least)
            regions = (claim.region for claim in self.claims)
            claims = _claims(regions, scores, self.classes, count, limits, by_class=by_class)
            self._made[count] = replace(
                self, certificate=made.certificate, by_class=made.by_class, shown=count, claims=claims
            )
        return self._made[count]

    @property
    def identity(self) -> str:
        """What a result that rests on it depends on."""
        levels = f"alpha {self.certificate.alpha:g} delta {self.certificate.delta:g}"
        levels += f" shown {self.shown}" + (" by class" if self.by_class else "")
        changed = f" changed {', '.join(self.changed)}" if self.changed else ""
        return f"{self.passport_digest} {levels} budget {self.budget}{changed}"

    @classmethod
    def of(
        cls,
        passport: Passport,
        *,
        alpha: float,
        delta: float,
        budget: Budget = "full",
        shown: int = USUALLY_SHOWN,
        by_class: bool = True,
    ) -> Self:
        """Read a passport's verdict and certify its threshold.

        Signals that the passport does not know are not used. A signal that this program no longer measures counts as
        missing, and caps every verdict, as does any other definition that has changed (``versions.py``).

        Args:
            passport: with a verdict.
            alpha: largest share of TRUSTED maps that may miss, counted by patients.
            delta: 1 - confidence of that.
            budget: how much evidence to gather; a passport from before there were budgets knows ``full`` alone.
            shown: planes of a series and class that are shown.
            by_class: whether the maps of a class are TRUSTED only where they are certified by themselves, too.

        Raises:
            PassportRefused: it has no verdict, or none for this budget.
            Refused: alpha or delta out of range.
        """
        verdict, formula = _formula(passport, budget)
        classes, least = passport.bundle.classes, verdict.least_alpha
        maps = shown_scores(formula.scores, shown)
        made = certified(
            maps, classes, alpha=alpha, delta=delta, floor=formula.floor, least_alpha=least, by_class=by_class
        )
        localiser = formula.witness_calibrator
        return cls(
            bundle_digest=passport.bundle.digest,
            passport_digest=passport.digest,
            method=passport.bundle.method,
            nulls=verdict.nulls,
            calibrator=formula.calibrator.restricted_to(NAMES),
            witness_calibrator=None if localiser is None else localiser.restricted_to(NAMES),
            envelope=verdict.envelope if isinstance(verdict.envelope, Envelope) else None,
            certificate=made.certificate,
            possible_alpha=_possible_alpha(maps, made.certificate, formula.floor),
            gate_failures=verdict.gate.failures,
            budget=budget,
            believed=_believed(formula, alpha),
            changed=changed_definitions(verdict, budget),
            acquisition=passport.acquisition,
            calibrations=_calibrations(passport),
            missed={name: of.missed for name, of in passport.classification.classes.items() if of.missed is not None},
            classes=classes,
            scores=formula.scores,
            shown=shown,
            by_class=made.by_class,
            unit=verdict.unit,
            saw_healthy=not verdict.counts.fitted.called or verdict.counts.fitted.healthy > 0,
            least_alpha=least,
            floor=formula.floor,
            claims=_claims(formula.regions, formula.scores, classes, shown, (alpha, delta, least), by_class=by_class),
        )


def _calibrations(passport: Passport) -> dict[str, ClassCalibration]:
    """Return how probable each class is at the site, without the figures that it was judged by."""
    classes = passport.classification.classes.items()
    return {name: replace(of.calibration, judged={}) for name, of in classes if of.calibration is not None}


def _formula(passport: Passport, budget: Budget) -> tuple[FittedVerdict, BudgetVerdict]:
    """Return a passport's verdict, and that of one budget.

    Raises:
        PassportRefused: it has no verdict, or none for this budget.
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
    return verdict, formula


def _possible_alpha(maps: ShownScores, made: Certificate, floor: float | None) -> float | None:
    """Return the smallest alpha that these maps certify, where they do not certify the one asked for; None: none."""
    grid = grid_above(floor)
    if made.threshold is not None or not grid:
        return None
    possible = smallest_alpha(maps.score, maps.miss, maps.group, delta=made.delta, seed=SEED, grid=grid)
    return None if possible is None else possible.alpha


def _claims(
    regions: Iterable[RegionClaim],
    scores: OutOfFoldScores,
    classes: tuple[str, ...],
    count: int,
    limits: tuple[float, float, float | None],
    *,
    by_class: bool,
) -> tuple[CertifiedClaim, ...]:
    """Certify claims of the region for alpha, delta and the least alpha offered, where ``count`` planes are shown."""
    alpha, delta, least = limits

    def certified_claim(region: RegionClaim) -> CertifiedClaim:
        maps = shown_scores(replace(scores, miss=region.miss), count)
        made = certified(
            maps, classes, alpha=alpha, delta=delta, floor=region.floor, least_alpha=least, by_class=by_class
        )  # fmt: skip
        return CertifiedClaim(region, made, believed_at(region.guards, alpha))

    return tuple(map(certified_claim, regions))


def _believed(formula: BudgetVerdict, alpha: float) -> tuple[str, ...]:
    """Return the kinds of bogus map that are believed in too often under the threshold of this alpha."""
    if formula.believed:
        return formula.believed
    if not formula.guards:
        return tuple(kind for kind, shares in formula.bogus_trusted_and_wrong.items() if not shares.passed)
    return believed_at(formula.guards, alpha)

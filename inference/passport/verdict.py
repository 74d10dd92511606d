"""The passport's verdict: what one map needs to be TRUSTED at this site, and how well that held on other patients.

Commissioning fits the verdict on one part of the cases and judges it on the other. ``FittedVerdict`` is the verdict of
the budget ``full`` together with what all budgets share; ``budgets`` holds the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inference.passport.calibrator import Calibrator
from inference.passport.certificates import (
    BogusGuard,
    BogusShares,
    CheckedInterval,
    Merged,
    RegionClaim,
    SmallestAlphas,
    TrustedShare,
)
from inference.passport.entries import GroupsAre
from inference.passport.envelope import Envelope, FormerEnvelope
from inference.statistics.bootstrap import Difference, Interval
from inference.statistics.failure_detection import Judgement
from inference.statistics.resplits import Resplits
from inference.statistics.withholding import Withholding

NO_OUTLINES = (
    "No case is outlined, by mask or box: nothing tells whether a map points at a finding, and no map is ever TRUSTED. "
    "CAUTION is the most there is, and until findings are outlined the node shows maps as UNCOMMISSIONED."
)
"""Reason why there is no verdict where nobody outlined anything."""
JUDGED_ALPHA = 0.10
"""The alpha that bogus maps and re-splits are judged at."""


@dataclass(frozen=True, slots=True)
class FitRecord:
    """Which form of calibrator was chosen, and by what."""

    chosen: str
    recalibrated_by: str
    """``platt`` or ``isotonic``."""
    log_losses: Mapping[str, float]
    """Of each form that was tried, on patients left out of its fit."""


@dataclass(frozen=True, slots=True)
class OutOfFoldScores:
    """What thresholds are certified from: each displayed map of the part fitted on, by folds without its patient."""

    p: tuple[float | None, ...]
    """(N,), what TRUSTED is decided by; None: a hard rule stopped the map, or its series is out of the envelope."""
    miss: tuple[bool, ...]
    """(N,): the map's peak lies outside every true finding."""
    group: tuple[int, ...]
    """(N,), number of the patient."""
    stack: tuple[int, ...] = ()
    """(N,), number of the series; empty in passports that certified every map, shown or not."""
    class_index: tuple[int, ...] = ()
    """(N,), the class explained; empty as ``stack``."""

    def __post_init__(self) -> None:
        if not len(self.p) == len(self.miss) == len(self.group):
            raise ValueError("every score needs one miss and one patient")
        if not len(self.stack) == len(self.class_index) or len(self.stack) not in (0, len(self.p)):
            raise ValueError("every score needs one series and one class, or none does")


@dataclass(frozen=True, slots=True)
class ScoreJudgement:
    """One score as a detector of maps that miss."""

    pooled: Judgement
    by_class: Mapping[str, Judgement]


@dataclass(frozen=True, slots=True)
class NetworkPasses:
    """Passes of networks that the verdict on one map takes."""

    forward: int
    backward: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetVerdict:
    """The calibrator of one budget of evidence, its certificates, and how it was judged."""

    calibrator: Calibrator
    witness_calibrator: Calibrator | None
    """P by the localiser alone; None: the bundle has no localiser."""
    fit: FitRecord
    scores: OutOfFoldScores
    auroc: Mapping[str, ScoreJudgement]
    """By the tiers used."""
    gains: Mapping[str, Difference | None] = field(default_factory=dict)
    """By tiers, the AUROC less that of the highest probability; None: the maps judged all hit or all miss."""
    trusted: tuple[TrustedShare, ...]
    smallest_alpha: SmallestAlphas
    withheld: Withholding
    bogus_trusted_and_wrong: Mapping[str, BogusShares]
    """By kind of bogus map."""
    resplits: tuple[Resplits, ...]
    passes: NetworkPasses | None = None
    """None: not counted."""
    guards: tuple[BogusGuard, ...] = ()
    """By alpha, the smallest first, on the part judged; empty in passports that were guarded at 0.10 alone."""
    floor: float | None = 0.5
    """No threshold lies below: from there on every kind of bogus map is kept out on the part fitted on; None: none."""
    believed: tuple[str, ...] = ()
    """Kinds that no threshold keeps out; not empty: nothing is TRUSTED."""
    regions: tuple[RegionClaim, ...] = ()
    """Claims of the region beside that of the peak; empty in passports that have none."""


@dataclass(frozen=True, slots=True)
class MethodGate:
    """Whether the displayed maps, as a method, point into findings more often than every kind of bogus map."""

    passed: bool
    better_than: Mapping[str, CheckedInterval]
    """By kind: paired difference of the hit rates."""

    @property
    def failures(self) -> tuple[str, ...]:
        """Kinds of bogus map that were not clearly beaten."""
        return tuple(kind for kind, difference in self.better_than.items() if not difference.passed)


@dataclass(frozen=True, slots=True)
class MapCounts:
    """What one part of the cases holds."""

    cases: int
    """Maps that were assessed."""
    groups: int
    hits: int
    called: int = 0
    """Planes on which a class is called, assessed or dropped by the first pass; 0: not recorded."""
    healthy: int = 0
    """Patients without any finding, whatever is called on them."""


@dataclass(frozen=True, slots=True)
class PartCounts:
    """The part the verdict was fitted on, and the part it was judged on."""

    fitted: MapCounts
    judged: MapCounts


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """How often the map, the localiser, and both miss, of the maps judged."""

    map_misses: Interval
    witness_misses: Interval
    both_miss: Interval
    both_by_class: Mapping[str, Interval] = field(default_factory=dict)
    """``both_miss`` of the maps of each class; empty in passports that have it pooled alone."""


@dataclass(frozen=True, slots=True)
class DefinitionVersions:
    """The versions of the definitions in force when the verdict was fitted; what is not listed had version 1."""

    signals: Mapping[str, int]
    procedure: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedVerdict(BudgetVerdict):
    """The verdict under the budget ``full``, and what all budgets share."""

    use: str
    """The tiers the verdict uses: ``ABC``, or ``AB`` without a localiser."""
    witness: bool
    """Whether the bundle has a localiser."""
    signals: tuple[tuple[str, str], ...]
    """Name and tier of every signal that was measured."""
    nulls: Mapping[str, Mapping[str, Interval]]
    """By class and signal: mean agreement with another patient's map."""
    envelope: Envelope | FormerEnvelope
    gate: MethodGate
    counts: PartCounts
    baselines: Mapping[str, ScoreJudgement]
    """Scores that know nothing of the map."""
    out_of_envelope: Interval
    """Share of the stacks judged that lie outside the envelope; of the maps, in passports of release 0.1.0."""
    blind_spot: BlindSpot | None
    """None: the bundle has no localiser."""
    budgets: Mapping[str, BudgetVerdict] = field(default_factory=dict)
    """The budgets below ``full``; empty in passports older than budgets."""
    versions: DefinitionVersions | None = None
    """None: fitted before versions were recorded, when each was 1."""
    unit: GroupsAre = "patients"
    """What the groups of the data are."""
    crossed: bool = False
    """Whether fit, certificate and judgement rest on the same patients, each by a fit that did not see them."""
    merged: tuple[Merged, ...] = ()
    """Where the data name no patients: what is certified if groups that look alike are of one."""
    least_alpha: float | None = None
    """Where the data name no patients, the smallest alpha that is offered; None: any."""
    near_misses: Mapping[str, Interval] = field(default_factory=dict)
    """By pixels of the network's input: share of maps, of those whose peak lies outside a finding that is there, that
    lie no farther from it; empty in passports without distances, or where no map misses."""

    @property
    def by_budget(self) -> Mapping[str, BudgetVerdict]:
        """Every budget's verdict, ``full`` included."""
        return {"full": self, **self.budgets}


@dataclass(frozen=True, slots=True)
class NoVerdict:
    """Why no verdict could be fitted."""

    reason: str

"""The passport's verdict: what one map needs to be TRUSTED at this site, and how well that held on other patients.

Commissioning fits the verdict on one part of the cases and judges it on the other. ``FittedVerdict`` is the verdict of
the budget ``full`` together with what all budgets share; ``budgets`` holds the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inference.passport.calibrator import Calibrator
from inference.passport.envelope import Envelope, FormerEnvelope
from inference.statistics.bootstrap import Difference, Interval
from inference.statistics.failure_detection import Judgement
from inference.statistics.resplits import Resplits
from inference.statistics.risk_control import Certificate
from inference.statistics.withholding import Withholding

JUDGED_ALPHA = 0.10
"""The alpha that bogus maps and re-splits are judged at."""
MOST_BOGUS = 0.02
"""Share of a kind of bogus maps that may be TRUSTED and wrong."""


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

    p: tuple[float, ...]
    """(N,), what TRUSTED is decided by."""
    miss: tuple[bool, ...]
    """(N,): the map's peak lies outside every true finding."""
    group: tuple[int, ...]
    """(N,), number of the patient."""

    def __post_init__(self) -> None:
        if not len(self.p) == len(self.miss) == len(self.group):
            raise ValueError("every score needs one miss and one patient")


@dataclass(frozen=True, slots=True)
class ScoreJudgement:
    """One score as a detector of maps that miss."""

    pooled: Judgement
    by_class: Mapping[str, Judgement]


@dataclass(frozen=True, slots=True)
class TrustedShare:
    """The certificate for one alpha and unit, and what became of it on the part judged."""

    certificate: Certificate
    coverage: Interval | None
    """Share of maps judged that are TRUSTED; None: no threshold is certified."""
    miss: Interval | None
    """Share of these that miss; None: no map is TRUSTED."""


@dataclass(frozen=True, slots=True)
class SmallestAlphas:
    """The certificate of the smallest alpha that can be certified, by unit; None: none can."""

    patient: Certificate | None
    case: Certificate | None


@dataclass(frozen=True, slots=True)
class CheckedInterval(Interval):
    """A figure that has to keep to a limit."""

    passed: bool


@dataclass(frozen=True, slots=True)
class BogusShares:
    """Share of one kind of bogus map that is TRUSTED and wrong, by a calibrator that never saw the kind.

    ``map``: the bogus map stands in for the displayed one. ``method``: for every map of the method. ``patient`` and
    ``case``: the unit of the certificate.
    """

    map_patient: CheckedInterval
    method_patient: CheckedInterval
    map_case: CheckedInterval
    method_case: CheckedInterval

    @property
    def passed(self) -> bool:
        """Whether every share is at most ``MOST_BOGUS``."""
        return all(s.passed for s in (self.map_patient, self.method_patient, self.map_case, self.method_case))


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
    groups: int
    hits: int


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

    @property
    def by_budget(self) -> Mapping[str, BudgetVerdict]:
        """Every budget's verdict, ``full`` included."""
        return {"full": self, **self.budgets}


@dataclass(frozen=True, slots=True)
class NoVerdict:
    """Why no verdict could be fitted."""

    reason: str

"""Certificates of a passport: what is TRUSTED for one alpha, of peaks and regions, and of bogus maps in their place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inference.statistics.bootstrap import Interval
from inference.statistics.risk_control import Certificate

MOST_BOGUS = 0.02
"""Share of a kind of bogus maps that may be TRUSTED and wrong."""


@dataclass(frozen=True, slots=True)
class OrderSpread:
    """What became of one certificate when patients were met in other orders, drawn at random."""

    orders: int
    certified: int
    """Orders in which some threshold was certified."""
    lowest: float
    """2.5 % quantile over orders of the share of patients with a TRUSTED map, 0 where nothing was certified."""
    highest: float
    """97.5 % quantile."""


@dataclass(frozen=True, slots=True)
class TrustedShare:
    """The certificate for one alpha, and what became of it on the part judged: of the maps that are shown."""

    certificate: Certificate
    coverage: Interval | None
    """Share of maps shown that are TRUSTED; None: no threshold is certified."""
    miss: Interval | None
    """Mean over patients of the share of their TRUSTED maps that miss, what is certified; None: no map is TRUSTED."""
    patients: Interval | None = None
    """Share of patients on whom something is called that have a TRUSTED map; None: no threshold is certified."""
    by_class: Mapping[str, Certificate] = field(default_factory=dict)
    """The certificate of each class alone."""
    orders: OrderSpread | None = None


@dataclass(frozen=True, slots=True)
class Merged:
    """What is certified where groups that look alike are taken for one patient, since the data name none."""

    alpha: float
    clusters: int
    """Patients there would be."""
    spread: OrderSpread


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

    ``map``: the bogus map stands in for the displayed one. ``method``: for every map of the method. Means over
    patients. ``case``: of certificates that took slices as independent, in passports that have them.
    """

    map_patient: CheckedInterval
    method_patient: CheckedInterval
    map_case: CheckedInterval | None = None
    method_case: CheckedInterval | None = None

    @property
    def passed(self) -> bool:
        """Whether every share is at most ``MOST_BOGUS``."""
        shares = (self.map_patient, self.method_patient, self.map_case, self.method_case)
        return all(share.passed for share in shares if share is not None)


@dataclass(frozen=True, slots=True)
class BogusGuard:
    """Whether bogus maps are believed under the threshold of one alpha, each kind by a fit that never saw it."""

    alpha: float
    believed: tuple[str, ...]
    """Kinds of which more than ``MOST_BOGUS`` are TRUSTED and wrong, in place of the map or method-wide."""
    worst: str
    """The kind believed most."""
    share: Interval
    """Mean over patients of the share of its maps that are TRUSTED and wrong."""


def guard_at(guards: Sequence[BogusGuard], alpha: float) -> BogusGuard | None:
    """Return the guard at an alpha, or the next above, whose threshold is no higher, or the last; None: there is none.

    Args:
        guards: by alpha, the smallest first.
        alpha: in force.
    """
    return next((guard for guard in guards if guard.alpha >= alpha - 1e-9), guards[-1] if guards else None)


def believed_at(guards: Sequence[BogusGuard], alpha: float) -> tuple[str, ...]:
    """Return the kinds of bogus map that are believed in under the threshold of an alpha; see ``guard_at``."""
    guard = guard_at(guards, alpha)
    return () if guard is None else guard.believed


@dataclass(frozen=True, slots=True)
class RegionClaim:
    """What is certified of the region that a map marks, beside its peak: of the same maps, by the same scores."""

    name: str
    """``touches``: the hottest 1 % touches the finding; ``overlaps``: the map above its threshold covers the finding
    better than 95 % of the maps of other patients do."""
    threshold: float | None
    """Of the min-max scaled map, from which on it is taken for the region (``localisation.tuned_threshold``)."""
    least: Mapping[str, float]
    """By class: the intersection over union that 95 % of other patients' maps do not exceed."""
    miss: tuple[bool, ...]
    """(N,), of the maps of ``BudgetVerdict.scores``: the claim does not hold."""
    floor: float | None
    """No threshold of the score lies below, so that bogus maps are kept out; None: none keeps them out."""
    held: Interval
    """Share of the assessed maps judged of which it holds."""
    null: Interval | None
    """Of maps of other patients in their place; None: there is none."""
    iou: Interval | None
    """Mean intersection over union where there is a finding; None: no threshold."""
    null_iou: Interval | None
    bogus: Mapping[str, BogusShares]
    """By kind of bogus map: TRUSTED by this claim at 0.10 where it does not hold."""
    trusted: tuple[TrustedShare, ...]
    guards: tuple[BogusGuard, ...] = ()

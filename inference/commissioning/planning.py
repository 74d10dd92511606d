"""Sample size planning: how many annotated patients certify which alpha, before annotation starts.

The count is of patients, since slices of one patient hit and miss together more or less; here they are taken to do so
wholly, which needs the most patients. Taking every case as independent is shown beside it, named optimistic: no
certificate rests on it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inference.errors import Refused
from inference.statistics.bounds import CERTIFYING, WITH_TRUSTED, check_levels, needed_groups

ALPHAS = (0.02, 0.05, 0.10, 0.15, 0.20, 0.30)
FINEST = 1000
"""Alphas are looked for in steps of 1 / 1000."""
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Assumptions of a plan."""

    delta: float = 0.10
    """1 - confidence."""
    cases_per_patient: float = 1.0
    expected_miss: float | None = None
    """Share of TRUSTED maps that truly miss; None: half of each alpha."""
    patients_with_trusted: float = WITH_TRUSTED
    """Share of patients with at least one TRUSTED map: only they count."""
    certifying: float = CERTIFYING
    """Share of annotated patients that the verdict is fitted on and certified by; the others are what is reported."""

    def miss(self, alpha: float) -> float:
        """Return the miss share expected under TRUSTED."""
        return alpha / 2 if self.expected_miss is None else self.expected_miss


@dataclass(frozen=True, slots=True)
class Price:
    """Patients needed for one alpha; None: no number suffices, since the expected miss share is too large."""

    alpha: float
    counting_at_best: int
    """Patients with a TRUSTED map that certify it if none of those maps misses."""
    counting: int | None
    """The same at the expected miss, in 80 % of such sites."""
    patients: int | None
    """To annotate for that."""
    cases: int | None
    cases_optimistic: int | None
    """To annotate if every case were independent: no certificate rests on it."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What so many annotated patients reach."""

    patients: int
    counting: int
    """Patients among them who certify and have a TRUSTED map, as assumed."""
    alpha_at_best: float | None
    """Smallest alpha if no TRUSTED map misses; None: none below 1."""
    alpha: float | None
    """Smallest alpha at the expected miss, in 80 % of such sites."""


@dataclass(frozen=True, slots=True)
class AnnotationPlan:
    """Prices of several alphas, and what the patients at hand reach."""

    assumptions: Assumptions
    prices: tuple[Price, ...]
    reach: Reach | None


def plan(
    assumptions: Assumptions | None = None, *, patients: int | None = None, alphas: Sequence[float] = ALPHAS
) -> AnnotationPlan:
    """Tell what each alpha costs, and what the patients at hand reach.

    Args:
        assumptions: None: the usual ones.
        patients: annotated patients at hand, if any.
        alphas: shares of TRUSTED maps that may miss.

    Raises:
        Refused: a share that is none, less than one case per patient, or an alpha or delta out of range.
    """
    taken = assumptions or Assumptions()
    shares = (taken.patients_with_trusted, taken.certifying)
    miss_is_share = taken.expected_miss is None or 0 <= taken.expected_miss < 1
    if not (all(0 < share <= 1 for share in shares) and taken.cases_per_patient >= 1 and miss_is_share):
        raise Refused("A plan needs shares between 0 and 1 and at least one case per patient.")
    if patients is not None and patients < 1:
        raise Refused("A plan for the patients at hand needs at least one.")
    prices = tuple(_price(alpha, taken) for alpha in alphas)
    return AnnotationPlan(taken, prices, None if patients is None else _reach(patients, taken))


def plan_lines(made: AnnotationPlan) -> tuple[str, ...]:
    """Write a plan as lines of text, at most 100 characters each."""
    taken = made.assumptions
    confidence = f"{100 * (1 - taken.delta):g} %"
    miss = "half of that share" if taken.expected_miss is None else f"{taken.expected_miss:g}"
    head = (
        f"What it takes to say, at {confidence} confidence, that at most a share of TRUSTED maps misses.",
        f"Taken for granted: {taken.cases_per_patient:g} cases per patient; truly missing under TRUSTED: {miss};",
        f"{taken.patients_with_trusted:g} of patients have a TRUSTED map; {taken.certifying:g} of patients certify, "
        "the others are reported on.",
        "",
        "at most   certifying patients with a TRUSTED map   to annotate          if cases were",
        "          without a miss    as expected            patients    cases    independent (optimistic)",
    )
    rows = tuple(
        f"{price.alpha:<9.2f} {price.counting_at_best:<17} {_number(price.counting):<22} {_number(price.patients):<11} "
        f"{_number(price.cases):<8} {_number(price.cases_optimistic)}"
        for price in made.prices
    )
    notes = (
        "",
        "As expected: enough in 8 of 10 such sites, a patient's maps taken to hit or miss together; maps that",
        "do so less need fewer. never: more miss than may.",
    )
    return (*head, *rows, *notes, *(_reach_lines(made.reach) if made.reach else ()))


def _price(alpha: float, taken: Assumptions) -> Price:
    at_best = needed_groups(alpha, taken.delta) or 0
    counting = needed_groups(alpha, taken.delta, taken.miss(alpha), power=POWER)
    if counting is None:
        return Price(alpha, at_best, None, None, None, None)
    patients = math.ceil(counting / taken.patients_with_trusted / taken.certifying)
    cases = math.ceil(patients * taken.cases_per_patient)
    return Price(alpha, at_best, counting, patients, cases, patients)


def _reach(patients: int, taken: Assumptions) -> Reach:
    check_levels(0.5, taken.delta)
    counting = math.floor(patients * taken.certifying * taken.patients_with_trusted + 1e-9)
    steps = [step / FINEST for step in range(1, FINEST)]
    at_best = next((a for a in steps if (1 - a) ** counting <= taken.delta), None)
    expected = next((a for a in steps if _bought(a, counting, taken)), None) if counting else None
    return Reach(patients, counting, at_best, expected)


def _bought(alpha: float, counting: int, taken: Assumptions) -> bool:
    if (1 - alpha) ** counting > taken.delta:
        return False
    needed = needed_groups(alpha, taken.delta, taken.miss(alpha), power=POWER)
    return needed is not None and needed <= counting


def _reach_lines(reach: Reach) -> tuple[str, ...]:
    counts = f"With {reach.patients} annotated patients, {reach.counting} of whom certify and have a TRUSTED map:"
    if reach.alpha_at_best is None:
        return ("", counts, "nothing can be certified.")
    expected = "none as expected" if reach.alpha is None else f"{reach.alpha:.3f} as expected"
    return ("", counts, f"the smallest share is {reach.alpha_at_best:.3f} without a miss, {expected}.")


def _number(value: int | None) -> str:
    return "never" if value is None else f"{value}"

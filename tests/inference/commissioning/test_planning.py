"""How many annotated cases buy which guarantee."""

import pytest
from scipy.stats import binom

from inference.commissioning.planning import Assumptions, plan, plan_lines
from inference.errors import Refused
from inference.statistics.bounds import binomial_upper_bound

ALL_COUNT = Assumptions(patients_with_trusted=1.0, certifying=1.0, expected_miss=0.0)


def test_a_tenth_at_ninety_per_cent_needs_twenty_two_patients_without_a_miss() -> None:
    (price,) = plan(ALL_COUNT, alphas=[0.10]).prices
    assert (price.counting_at_best, price.counting, price.patients, price.cases) == (22, 22, 22, 22)
    assert price.cases_optimistic == 22


def test_the_price_at_the_expected_miss_is_enough_in_eight_of_ten_sites() -> None:
    (price,) = plan(Assumptions(expected_miss=0.04), alphas=[0.10]).prices
    allowed = max(k for k in range(price.counting) if binomial_upper_bound(k, price.counting, 0.1) <= 0.1)
    assert binom.cdf(allowed, price.counting, 0.04) >= 0.8
    assert price.counting > price.counting_at_best


def test_smaller_shares_cost_more_and_an_expected_miss_above_them_is_never_bought() -> None:
    prices = plan(Assumptions(expected_miss=0.05)).prices
    assert [price.alpha for price in prices if price.patients is None] == [0.02, 0.05]
    bought = [price.patients for price in prices if price.patients is not None]
    assert bought == sorted(bought, reverse=True)


def test_patients_who_do_not_count_and_slices_make_more_to_annotate() -> None:
    made = Assumptions(cases_per_patient=28, patients_with_trusted=0.5, certifying=0.5, expected_miss=0.0)
    (price,) = plan(made, alphas=[0.10]).prices
    assert (price.patients, price.cases, price.cases_optimistic) == (88, 88 * 28, 88)


@pytest.mark.parametrize(("patients", "alpha"), [(17, 0.127), (22, 0.100), (45, 0.050)])
def test_the_patients_at_hand_reach_what_the_exact_bound_allows(patients: int, alpha: float) -> None:
    reach = plan(ALL_COUNT, patients=patients).reach
    assert reach is not None
    assert reach.alpha_at_best == reach.alpha == pytest.approx(alpha, abs=1e-9)
    assert binomial_upper_bound(0, patients, 0.1) == pytest.approx(alpha, abs=1e-3)


def test_a_plan_is_lines_that_fit_a_terminal() -> None:
    lines = plan_lines(plan(Assumptions(cases_per_patient=28, expected_miss=0.05), patients=34))
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    for said in ("90 % confidence", "28 cases per patient", "0.10", "never", "34 annotated patients, 13 of whom"):
        assert said in text
    assert "nothing can be certified" in plan_lines(plan(patients=1))[-1]


@pytest.mark.parametrize(
    "wrong",
    [
        Assumptions(delta=0.0),
        Assumptions(cases_per_patient=0.5),
        Assumptions(expected_miss=1.5),
        Assumptions(certifying=0.0),
        Assumptions(patients_with_trusted=1.2),
    ],
)
def test_assumptions_that_cannot_be_are_refused(wrong: Assumptions) -> None:
    with pytest.raises(Refused):
        plan(wrong, patients=10)


def test_no_patients_and_no_share_are_refused() -> None:
    with pytest.raises(Refused):
        plan(patients=0)
    with pytest.raises(Refused):
        plan(alphas=[0.0])

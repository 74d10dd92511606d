"""Findings side by side by scanner, class or month: counts, shares and means, and no mean of too few."""

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

from inference.errors import UnknownName
from reports.audit.month.groups import groups_of
from reports.audit.month.month import LEAST_MAPS
from reports.audit.observations import Observations, Selection
from tests.reports.audit.years import START, Hospital, at_day, draw_year, fill, store_of

pytestmark = pytest.mark.numerics
FLAIR = Selection({"route": "flair"})


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, dict[str, np.ndarray], Observations]:
    day, rows = draw_year(3, Hospital(), days=70)
    return day, rows, store_of(day, rows)


def test_a_group_has_the_mean_of_its_cases_with_students_interval(
    drawn: tuple[np.ndarray, dict[str, np.ndarray], Observations],
) -> None:
    _, rows, seen = drawn
    (group,) = groups_of(seen, "scanner", FLAIR)
    values = rows["trust"]
    mean = group.means["trust"]
    assert mean is not None
    reach = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    assert (mean.value, mean.low, mean.high) == pytest.approx(
        (values.mean(), values.mean() - reach, values.mean() + reach)
    )
    trusted = group.shares[1]
    assert (group.name, group.cases, trusted.name) == ("Acme · One", len(values), "trusted")
    assert (trusted.part, trusted.whole) == (int(rows["trusted"].sum()), len(values))
    assert trusted.interval == tuple(binomtest(trusted.part, trusted.whole).proportion_ci())


def test_months_come_in_time_and_add_up_to_the_whole(
    drawn: tuple[np.ndarray, dict[str, np.ndarray], Observations],
) -> None:
    day, _, seen = drawn
    months = groups_of(seen, "month", FLAIR)
    assert [one.name for one in months] == ["2025-01", "2025-02", "2025-03"]
    assert sum(one.cases for one in months) == len(day)
    january = (31 - START.day) + 1
    assert months[0].cases == int((day < january).sum())


def test_a_group_of_too_few_has_its_count_and_no_mean() -> None:
    day, rows = draw_year(3, Hospital(cases_a_day=1.0), days=20)
    assert len(day) < LEAST_MAPS
    (group,) = groups_of(store_of(day, rows), "label", FLAIR)
    assert group.cases == len(day)
    assert set(group.means.values()) == {None}
    assert not any(share.is_finding for share in group.shares)


def test_what_was_narrowed_reads_nothing_else(drawn: tuple[np.ndarray, dict[str, np.ndarray], Observations]) -> None:
    day, rows, _ = drawn
    seen = store_of(day, rows)
    fill(seen.engine, day, rows, route="other")
    narrowed = seen.narrowed({"route": "other"})
    assert narrowed.extent(Selection({})).cases == len(day)
    assert narrowed.extent(FLAIR).cases == 0
    assert seen.extent(Selection({}, before=at_day(1))).cases == 2 * int((day < 1).sum())
    assert narrowed.values(["route", "label"], Selection({})) == {("other", "glioma")}
    with pytest.raises(UnknownName):
        groups_of(seen, "patient", FLAIR)

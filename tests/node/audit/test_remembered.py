"""Closed days are read once, and read again as soon as a late row comes."""

from datetime import UTC, datetime, timedelta
from threading import Lock

import numpy as np
import pytest
from cachetools import LRUCache
from sqlalchemy import event

from node.audit.remembered import Remembered, split
from reports.audit.observations import Observations, Selection
from tests.reports.audit.years import Hospital, draw_year, fill, store_of

FLAIR = Selection({"route": "flair"})
FIGURES = ("trust", "found")
NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
CUT = datetime(2026, 11, 20, tzinfo=UTC)


def test_a_time_is_cut_where_rows_may_still_come() -> None:
    long_ago, later = CUT - timedelta(days=30), CUT + timedelta(days=1)
    closed, still_open = split(Selection({"route": "flair"}, long_ago, None), NOW)
    assert closed == Selection({"route": "flair"}, long_ago, CUT)
    assert still_open == Selection({"route": "flair"}, CUT, None)
    past = Selection({}, None, CUT)
    assert split(past, NOW) == (past, None)
    young = Selection({}, later, None)
    assert split(young, NOW) == (None, young)


@pytest.mark.parametrize("days_ago", [400, 5], ids=["all closed", "some of it still open"])
def test_what_is_remembered_is_what_is_there_and_a_late_row_is_seen(days_ago: int) -> None:
    day, rows = draw_year(3, Hospital(cases_a_day=3.0), days=10)
    shift = (datetime.now(UTC) - timedelta(days=days_ago) - datetime(2025, 1, 6, tzinfo=UTC)).days
    plain = store_of(day + shift, rows)
    seen = Remembered(plain.engine, {}, LRUCache(32), Lock())
    asked: list[str] = []
    event.listen(plain.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    same(seen, plain)
    asked.clear()
    seen.series(FIGURES, FLAIR)
    of_cases = [query for query in asked if "trust" in query and "at_seconds >=" not in query]
    assert of_cases == [], "only open days are read again"
    late = {name: values[:1] for name, values in rows.items()}
    fill(plain.engine, day[:1] + shift, late, start=10_000)
    same(seen, plain)


def same(seen: Observations, plain: Observations) -> None:
    one, other = seen.series(FIGURES, FLAIR), plain.series(FIGURES, FLAIR)
    for name in FIGURES:
        assert sorted(one[name].values) == sorted(other[name].values)
        assert np.bincount(one[name].days).tolist() == np.bincount(other[name].days).tolist()

"""The observations of years, read by the column."""

import numpy as np
import pytest

from reports.audit import observations
from reports.audit.observations import Selection
from tests.reports.audit.years import Hospital, at_day, draw_year, store_of


def test_every_row_of_a_selection_is_read_whatever_the_size_of_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    day, rows = draw_year(5, Hospital(), days=40)
    rows["trust"][::7] = np.nan
    store = store_of(day, rows)
    here = (day >= 10) & (day < 30) & ~np.isnan(rows["trust"])
    for size in (1, 100, here.sum(), 10_000):
        monkeypatch.setattr(observations, "ROWS_AT_ONCE", int(size))
        found = store.series(("trust", "hot_area"), Selection({"route": "flair"}, at_day(10), at_day(30)))
        assert np.sort(found["trust"].values).tolist() == np.sort(rows["trust"][here]).tolist()
        assert len(found["hot_area"].values) == ((day >= 10) & (day < 30)).sum()
    nothing = store.series(("trust",), Selection({"route": "another"}))["trust"]
    assert (len(nothing.values), len(nothing.days)) == (0, 0)

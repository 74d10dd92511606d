"""The monthly report of a route: whole, of one file, and silent where there is too little to say."""

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine

from inference.errors import Refused
from reports.audit import ledger as module
from reports.audit.charts.monitor import Locked, Watch, watch
from reports.audit.ledger import METADATA as LEDGER
from reports.audit.ledger import Event, Ledger, LedgerHead
from reports.audit.month.month import Month, Proportion, month_of, range_of
from reports.audit.month.page import month_page
from reports.audit.observations import METADATA, Observations
from reports.audit.repeatability.pair import Again
from tests.reports.audit.repeatability.twice import draw_pairs, keep_pairs
from tests.reports.audit.years import BASELINE_DAYS, Hospital, at_day, draw_year, fill

LOCKED = Locked(at_day(0), at_day(BASELINE_DAYS), at_day(BASELINE_DAYS))
MONTH = range_of("2025-08")


class August(datetime):
    """The clock of the ledger."""

    @classmethod
    def now(cls, tz: object = None) -> "August":
        return cls(2025, 8, 17, 9, 30, tzinfo=tz)  # type: ignore[arg-type]


def written(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ledger tell of an alarm, a stop, a replay, a word and an arming."""
    monkeypatch.setattr(module, "datetime", August)
    why = "hot area: 0.08 at baseline, 0.15 over the last 40 cases (CUSUM chart)"
    ledger.append(Event.ALARM, details={"route": "flair", "problem": why})
    ledger.append(Event.ALARM, details={"route": "another", "problem": "of another route"})
    ledger.append(
        Event.ROUTE_STOPPED, details={"route": "flair", "state": "shadow", "problem": why, "by_whom": "audit"}
    )
    ledger.append(Event.REPLAY_PASSED, details={"bundle": "glioma_flair", "level": "R0"})
    ledger.append(Event.REPLAY_FAILED, details={"bundle": "glioma_flair", "level": "changed", "problem": "3 of 3"})
    ledger.append(
        Event.ROUTE_ARMED, details={"route": "flair", "problem": "<b>coil</b> replaced", "by_whom": "Ada <img onerror>"}
    )


def page_of(month: Month) -> str:
    return month_page(month)


def gathered(ledger: Ledger, observations: Observations, *, watched: bool) -> Month:
    control = watch(observations, "flair", LOCKED, Watch(), until=MONTH[1]) if watched else None
    accepted = (Proportion("TRUSTED", 45, 50), Proportion("CAUTION", 3, 5))
    return month_of(
        "flair",
        ("glioma_flair",),
        MONTH,
        observations,
        ledger,
        control=control,
        accepted=accepted,
        locked=LOCKED if watched else None,
    )


def august(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Month, Ledger, int]:
    """A month in which everything happened, the ledger it is written in, and how many studies it had."""
    engine = create_engine(f"sqlite:///{tmp_path / 'store.sqlite'}")
    METADATA.create_all(engine)
    LEDGER.create_all(engine)
    day, rows = draw_year(4, Hospital(patients=200), days=BASELINE_DAYS + 90)
    rows["hot_area"] = np.where(day >= BASELINE_DAYS + 40, rows["hot_area"] * 1.8, rows["hot_area"])
    fill(engine, day, rows)
    for again in Again:
        keep_pairs(engine, draw_pairs(again, 40, at_day(BASELINE_DAYS + 30)))
    ledger = Ledger(engine, b"key")
    written(ledger, monkeypatch)
    return gathered(ledger, Observations(engine), watched=True), ledger, int(((day >= 207) & (day < 238)).sum())


def test_a_month_is_one_page_of_its_own_that_tells_what_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    month, ledger, here = august(tmp_path, monkeypatch)
    page = page_of(month)
    (tmp_path / "month.html").write_text(page)

    assert month.studies == here
    assert f"{here} studies of 1 scanner: {here} maps" in page
    assert page.count("<svg") == 15 + 3 * 7 + 4 + 1
    for title in ("The golden set replayed", "The same patient examined again", "The maps of a class with each other"):
        assert title in page
    assert re.search(
        r"trust</th><td>40</td>\s*(<td>[-.\de]+ <span class=\"quiet\">\[[-.\de]+, [-.\de]+\]</span></td>){7}", page
    )
    assert "1 alarm, 1 stop, 1 failed replay" in page
    assert "of another route" not in page
    assert "&lt;b&gt;coil" in page
    assert "<img" not in page
    assert LedgerHead.parse(re.search(r'class="key">([^<]+)<', page)[1]) == ledger.head()  # type: ignore[index]
    assert '45 of 50, 0.90 <span class="quiet">[0.78, 0.97]</span>' in page
    assert "3 of 5: 30 are needed for a share" in page
    assert not re.search(r"(src|href|action)=|url\(|<script|@import|http(?!://www\.w3\.org/2000/svg)", page)


def test_where_there_is_nothing_or_too_little_the_page_says_so() -> None:
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    LEDGER.create_all(engine)
    ledger, observations = Ledger(engine, b"key"), Observations(engine)
    page = page_of(gathered(ledger, observations, watched=False))
    for words in (
        "No study was analysed this month",
        "No baseline is locked",
        "No replay was run",
        "No opinion was recorded",
    ):
        assert words in page
    day, rows = draw_year(4, Hospital(cases_a_day=0.5, patients=8), days=BASELINE_DAYS + 90)
    fill(engine, day, rows)
    page = page_of(gathered(ledger, observations, watched=True))
    assert "Nothing was measured so yet: 35 patients are needed." in page
    assert "too few to give shares of verdicts: 30 are needed" in page
    assert 'class="sum yes"' not in page
    assert "TRUSTED" in page


def test_a_month_is_written_as_a_month() -> None:
    assert range_of("2025-12")[1] == range_of("2026-01")[0]
    with pytest.raises(Refused, match="is no month"):
        range_of("2025-13")

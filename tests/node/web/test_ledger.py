"""The page of the ledger over a real server: rows, filters, the check, and the download."""

import csv
import io
import json
import re
from datetime import datetime

import httpx
from sqlalchemy import text

from node.web.access.caller import Scope
from reports.audit.ledger import entries
from tests.node.web.page_site import PageSite, form_token, plain
from tests.node.web.year_store import WATCHED
from tests.patience import wait_until


def check(browser: httpx.Client) -> str:
    page = browser.get("/ledger").text
    browser.post("/ledger/verify", data={"form_token": form_token(page)})
    wait_until(lambda: browser.get("/api/ledger/verify").json()["state"] != "running", 10, "the end of the check")
    return plain(browser.get("/ledger").text)


def test_every_row_is_on_one_page_and_the_newest_come_first(browser: httpx.Client, site: PageSite) -> None:
    found: list[int] = []
    below = None
    while True:
        asked = {"limit": 1000} | ({"below": below} if below else {})
        page = browser.get("/api/ledger", params=asked).json()
        found += [entry["seq"] for entry in page["entries"]]
        below = page["below"]
        if below is None:
            break
    assert found == list(range(site.ledger.head().seq, 0, -1))
    assert page["head"] == str(site.ledger.head())


def test_rows_are_narrowed_by_event_route_and_day(browser: httpx.Client) -> None:
    def ask(**query: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = browser.get("/api/ledger", params={"limit": 1000, **query}).json()["entries"]
        return rows

    assert {row["event"] for row in ask(event="routed")} == {"routed"}
    assert {row["details"]["route"] for row in ask(route=WATCHED)} == {WATCHED}  # type: ignore[index]
    assert ask(route=WATCHED.upper()) == []
    day = datetime.fromisoformat(str(ask()[-1]["at"])).astimezone().date()
    within = ask(day=day.isoformat())
    assert {datetime.fromisoformat(str(row["at"])).astimezone().date() for row in within} == {day}
    assert browser.get("/ledger", params={"event": "odd"}).status_code == 404
    assert browser.get("/ledger", params={"day": "odd"}).status_code == 404
    assert "No row is of this kind." in browser.get("/ledger", params={"day": "1999-01-01"}).text
    assert browser.get("/ledger", params={"event": "", "route": "", "day": ""}).text.count("<tr>") == 101


def test_the_check_says_intact_and_then_names_the_first_row_that_was_changed(
    browser: httpx.Client, site: PageSite
) -> None:
    assert "not since this node started" in plain(browser.get("/ledger").text)
    assert "✓ Intact up to row" in check(browser)
    with site.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER ledger_no_update"))
        connection.execute(entries.update().where(entries.c.seq == 7).values(event="refused"))
    assert "Broken: row 7 is the first that is changed, missing or out of place." in check(browser)


def test_the_download_has_every_row_in_both_forms(browser: httpx.Client, site: PageSite) -> None:
    rows = list(csv.DictReader(io.StringIO(browser.get("/api/ledger/export?format=csv").text)))
    lines = browser.get("/api/ledger/export?format=jsonl")
    assert [int(row["seq"]) for row in rows] == list(range(1, site.ledger.head().seq + 1))
    assert [json.loads(line)["digest"] for line in lines.text.splitlines()] == [row["digest"] for row in rows]
    assert re.fullmatch(r'attachment; filename="ledger-\d+\.jsonl"', lines.headers["content-disposition"])


def test_the_ledger_is_for_those_with_the_scope_audit(site: PageSite) -> None:
    with site.browser(Scope.READ) as reader:
        assert {reader.get(path).status_code for path in ("/ledger", "/api/ledger", "/api/ledger/export")} == {403}
        assert "This needs the scope audit." in reader.get("/ledger", headers={"Accept": "text/html"}).text

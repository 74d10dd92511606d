"""Audit assurance in the console: charts, stopping, arming, and the radiologist's word, over a real server."""

import re
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image as Picture
from sqlalchemy import select, update

from node.audit.arming import Arming
from node.audit.audit import Audit
from node.audit.constancy import Constancy
from node.audit.opinions import Opinions
from node.audit.tables import baselines, opinions
from node.audit.view import prepare_views
from node.settings.audit import RouteState
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.rule import Rule
from node.settings.settings import Settings
from node.store import migrate, open_engine, sqlite_url
from node.web.audit import audit_routes
from node.web.opinions import opinion_routes
from node.web.pages import Pages
from reports.audit.ledger import Event, Ledger
from reports.audit.observations import Observations
from tests.node.audit.hospital_day import WITHHELD
from tests.node.web.web import WebServer, logged_in
from tests.node.web.web_site import Site
from tests.reports.audit.years import BASELINE_DAYS, Hospital, at_day, draw_year, fill

ROUTE = "flair%20%3Cb%3E"
RULE = Rule(name="flair <b>", bundles=("glioma_flair",), destinations=())


class WatchedSite:
    """A site whose route has been charted for two months after its baseline."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        engine = open_engine(sqlite_url(home))
        migrate(engine)
        self.ledger = Ledger(engine, b"key of this site")
        settings = Settings(node=NodeSettings(home=home), http=HttpSettings(token_file=home / "token"), rules=(RULE,))
        self.arming = Arming(engine, self.ledger)
        constancy = Constancy(home, engine, self.ledger, b"key", None)
        self.audit = Audit(
            settings, lambda: settings.rules, engine, self.ledger, self.arming, constancy, Observations(engine), {}, {}
        )
        self.site = Site(
            home,
            extra_routers=[
                partial(audit_routes, self.audit, Pages("HEATPROOF")),
                partial(opinion_routes, Opinions(engine, self.ledger)),
            ],
        )
        day, rows = draw_year(2, Hospital(patients=300), days=BASELINE_DAYS + 60)
        fill(engine, day, rows, route=RULE.name)
        self._signature = home / "golden" / "glioma_flair" / "signature"
        self.audit.lock(RULE.name, at_day(0), at_day(BASELINE_DAYS), by_whom="Ada")
        with engine.begin() as connection:
            connection.execute(update(baselines).values(armed_at=at_day(BASELINE_DAYS)))

    def accept(self) -> None:
        """Have the installation of the route accepted."""
        self._signature.parent.mkdir(parents=True)
        self._signature.touch()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> WatchedSite:
    return WatchedSite(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser(watched: WatchedSite) -> Iterator[httpx.Client]:
    with WebServer(watched.site.application) as server, logged_in(server.url, watched.site.token) as client:
        yield client


def form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_every_figure_of_a_route_is_drawn_and_names_are_text(browser: httpx.Client) -> None:
    page = browser.get("/audit").text
    assert page.count("<svg") == 15
    assert "flair &lt;b&gt;" in page
    assert "<b>" not in page.replace("<b>HEATPROOF</b>", "").replace("<b>Alarm</b>", "")
    assert "Designed when the baseline was locked: 0.63 of years" in page
    assert "is expected to be seen in" in page
    assert "The same patient examined again" in page
    assert "No installation was accepted yet" in page


def test_a_route_is_narrowed_by_any_grouping_and_by_month(browser: httpx.Client) -> None:
    whole = browser.get(f"/api/audit/{ROUTE}").json()
    assert whole["choices"]["scanner"] == ["Acme · One"]
    assert whole["choices"]["month"][0] > whole["choices"]["month"][-1], "the newest first"
    cases = sum(sum(one["cases"]) for one in whole["charts"])
    same = browser.get(f"/api/audit/{ROUTE}", params={"scanner": "Acme · One", "label": "glioma"}).json()
    assert (same["charts"], same["groups"]) == (whole["charts"], whole["groups"]), "all cases are of it"
    none = browser.get(f"/api/audit/{ROUTE}", params={"scanner": "<img src=x onerror=alert(1)>"}).json()
    assert none["groups"] == []
    assert all(one["absent"] for one in none["charts"])
    month = whole["choices"]["month"][1]
    before = browser.get(f"/api/audit/{ROUTE}", params={"month": month, "by": "scanner"}).json()
    assert 0 < sum(sum(one["cases"]) for one in before["charts"]) < cases
    (scanner,) = before["groups"]
    assert scanner["cases"] == next(one["cases"] for one in whole["groups"] if one["name"] == month)
    assert browser.get(f"/api/audit/{ROUTE}", params={"by": "patient"}).status_code == 422
    assert browser.get(f"/api/audit/{ROUTE}", params={"month": "2026-13"}).status_code == 422


def test_the_old_addresses_redirect_for_good_with_their_parameters(browser: httpx.Client) -> None:
    query = {"month": "2026-01", "by": "scanner"}
    for old, new in (
        ("/quality", "/audit"),
        ("/api/quality", "/api/audit"),
        (f"/api/quality/{ROUTE}", f"/api/audit/{ROUTE}"),
    ):
        moved = browser.get(old, params=query, follow_redirects=False)
        assert (moved.status_code, moved.headers["location"]) == (308, f"{new}?month=2026-01&by=scanner")
        assert browser.get(old).status_code == 200
    assert browser.get(f"/api/audit/{ROUTE}").json()["route"] == RULE.name


def test_the_page_shows_what_was_asked_for_and_a_value_that_is_markup_stays_text(browser: httpx.Client) -> None:
    page = browser.get("/audit", params={"scanner": "<img onerror=x>", "by": "scanner"}).text
    assert "There is no such case." in page
    assert "<option selected>&lt;img onerror=x&gt;</option>" in page
    assert "<img" not in page
    month = browser.get(f"/api/audit/{ROUTE}").json()["choices"]["month"][1]
    page = browser.get("/audit", params={"month": month, "by": "scanner"}).text
    assert f"By scanner, in {month}" in page
    assert "an alarm here does not stop the route" in page


def test_charts_are_worked_out_again_only_when_something_was_added(watched: WatchedSite) -> None:
    audit = watched.audit
    assert audit.control(RULE.name) is audit.control(RULE.name)
    first = audit.control(RULE.name)
    day, rows = draw_year(5, Hospital(patients=300), days=1)
    fill(audit.engine, day + BASELINE_DAYS + 61, rows, route=RULE.name, start=1_000_000)
    assert audit.control(RULE.name) is not first


def test_a_route_is_stopped_and_armed_by_a_form_with_a_reason(browser: httpx.Client, watched: WatchedSite) -> None:
    token, address = form_token(browser.get("/audit").text), "/audit/flair%20%3Cb%3E"
    assert browser.post(address, data={"form_token": token, "do": "held", "reason": " "}).status_code >= 400
    assert browser.post(address, data={"form_token": "guess", "do": "held", "reason": "x"}).status_code == 403
    stopped = browser.post(address, data={"form_token": token, "do": "held", "reason": "service visit"})
    assert (stopped.status_code, watched.arming.standing(RULE.name).state) == (200, RouteState.HELD)
    assert "service visit" in stopped.text
    assert browser.get("/api/audit").json()["routes"][0]["state"] == "held"
    refused = browser.post(address, data={"form_token": token, "do": "arm", "reason": "visit is over"})
    assert "was ever accepted" in refused.text
    assert watched.arming.standing(RULE.name).state is RouteState.HELD
    watched.accept()
    browser.post(address, data={"form_token": token, "do": "arm", "reason": "visit is over"})
    assert watched.arming.standing(RULE.name).state is RouteState.ARMED
    told = [entry.event for entry in watched.ledger.events()]
    assert told[-2:] == [Event.ROUTE_STOPPED, Event.ROUTE_ARMED]


def test_a_radiologist_accepts_an_overlay_from_the_page_of_its_study(
    browser: httpx.Client, watched: WatchedSite
) -> None:
    home = browser.get("/studies").text
    study = next(
        address
        for address in re.findall(r'href="(/studies/[0-9a-f]+)', home)
        if "/opinion" in browser.get(address).text
    )
    page = browser.get(study).text
    overlay = re.search(r'name="result" value="([^"]+)"', page)
    assert overlay is not None
    said = {"form_token": form_token(page), "result": overlay[1], "word": "accept"}
    assert browser.post(f"{study}/opinion", data=said).status_code == 200
    assert browser.post(f"{study}/opinion", data={**said, "word": "perhaps"}).status_code >= 400
    assert browser.post(f"{study}/opinion", data={**said, "result": "1-2"}).status_code == 404
    counts = Opinions(watched.audit.engine, watched.ledger).counts()
    assert [(one.accepted, one.all) for one in counts] == [(1, 1)]
    assert "1 of 1" in browser.get("/audit").text
    assert Opinions(watched.audit.engine, watched.ledger).proposal(0.1) == ""


def test_a_radiologist_points_at_the_place_where_the_finding_is(browser: httpx.Client, watched: WatchedSite) -> None:
    study = f"/studies/{watched.site.ledger.pseudonym(WITHHELD)}"
    page = browser.get(study).text
    pictures = re.findall(r'<input type="image"[^>]* width="300"[^>]* src="([^"]+)"', page)
    assert len(pictures) == 4
    picture = Picture.open(BytesIO(browser.get(pictures[0].replace("&amp;", "&")).content))
    assert picture.size == (768, 768)
    overlay = re.findall(r'name="result" value="([^"]+)"', page)[0]
    said = {"form_token": form_token(page), "result": overlay, "word": "elsewhere"}
    for x, y in (("0", "0"), ("9e9", "3"), ("301", "5")):
        assert browser.post(f"{study}/opinion", data={**said, "at.x": x, "at.y": y}).status_code >= 400
    for place in ({"row": "80"}, {"row": "1", "column": "256"}):
        assert browser.post(f"{study}/opinion", data={**said, **place}).status_code >= 400
    assert browser.post(f"{study}/opinion", data={**said, "at.x": "187", "at.y": "94"}).status_code == 200
    assert place_of(watched) == (80, 160)
    assert browser.post(f"{study}/opinion", data={**said, "row": "7", "column": "9"}).status_code == 200
    assert place_of(watched) == (7, 9)
    told = watched.ledger.events()[-1]
    assert (told.event, told.details["place"]) == (Event.OPINION, "row 7, column 9")
    assert told.details["capture"] == f"{WITHHELD}.9.4"


def place_of(watched: WatchedSite) -> tuple[int, int]:
    with watched.audit.engine.connect() as connection:
        row = connection.execute(select(opinions).where(opinions.c.word == "elsewhere")).one()
    return row.row, row.column


def test_after_the_views_are_prepared_the_first_page_of_a_route_reads_no_closed_day_again(
    watched: WatchedSite, browser: httpx.Client
) -> None:
    audit = watched.audit
    audit.results.clear()
    prepare_views(audit)
    prepared = set(audit.results)
    assert {key[0] for key in prepared} >= {"pictures", "repeatability", "choices", "sums"}
    assert browser.get("/audit").status_code == 200
    assert set(audit.results) == prepared

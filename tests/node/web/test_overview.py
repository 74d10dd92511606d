"""The overview: each concern of a node is a line that links to the page that deals with it; none is said too."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from node.store import DeliveryState, deliveries, jobs
from node.web.access.caller import Scope
from reports.audit.ledger import Event
from tests.node.web.page_site import PageSite, plain
from tests.node.web.year_store import WATCHED, study_key, study_uid


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with PageSite(tmp_path_factory.mktemp("empty"), studies=0).browser() as client:
        yield client


def test_every_concern_is_a_line_that_links_to_where_it_is_dealt_with(tmp_path: Path) -> None:
    site = PageSite(tmp_path)
    site.ledger.append(Event.ALARM, details={"route": WATCHED, "problem": "trust: 0.8 at baseline, <b>0.5</b> now"})
    site.rulebook.path = tmp_path / "missing.toml"
    assert site.rulebook.reload()
    with site.browser(Scope.READ) as browser:
        page = browser.get("/")
        told = {one["link"]: one for one in browser.get("/api/overview").json()["concerns"]}
        leads = re.findall(r'<li class="(?:act|look)"><a href="([^"]+)"', page.text)
        answers = {lead: browser.get(lead.replace("&amp;", "&")).status_code for lead in leads if "audit" not in lead}
    assert {code for lead, code in answers.items() if not lead.startswith("/models")} == {200}
    text = plain(page.text)
    for shown in (
        "Route brain T1 is in shadow mode: its studies are analysed, results are not sent.",
        "Route chest X-ray is held: its studies are not analysed.",
        "Alarm on route brain FLAIR: trust: 0.8 at baseline, &lt;b&gt;0.5&lt;/b&gt; now",
        "The new rules were refused, the old ones are in force.",
        "results are not delivered to archive yet. archive does not answer.",
        "failed in the last week.",
        "glioma_flair has no passport of this site: its overlays are UNCOMMISSIONED.",
        "Route brain T1 has no baseline: its charts cannot alarm.",
        "1 peer had requests refused since yesterday: 4 different refusals.",
    ):
        assert shown in text, shown
    assert told["/rules"]["weight"] == "act"
    assert told["/doctor"]["weight"] == "look"


def test_results_that_a_destination_never_confirms_to_store_are_a_concern(tmp_path: Path) -> None:
    site = PageSite(tmp_path)
    with site.engine.begin() as connection:
        queued = deliveries.c.state == DeliveryState.QUEUED
        problem = {"state": DeliveryState.SENT, "last_error": "archive offers no storage commitment."}
        count = connection.execute(update(deliveries).where(queued).values(problem)).rowcount
    with site.browser(Scope.READ) as browser:
        told = {one["link"]: one for one in browser.get("/api/overview").json()["concerns"]}
    concern = told["/deliveries?state=sent&destination=archive"]
    assert concern["sentence"].startswith(
        f"{count} results were sent to archive, which does not confirm to store them."
    )
    assert "archive offers no storage commitment." in concern["sentence"]
    assert "heatproof doctor archive" in concern["cure"]


def test_where_nothing_needs_attention_it_says_so_and_since_when(tmp_path: Path) -> None:
    site = PageSite(tmp_path, studies=0)
    site.ledger.append(Event.STARTED)
    with site.browser(Scope.READ) as browser:
        page = plain(browser.get("/").text)
        told = browser.get("/api/overview").json()
    assert told["concerns"] == []
    assert told["quiet_since"]
    assert "Nothing needs attention" in page
    assert ", since 20" in page


@pytest.mark.parametrize("path", ["/", "/studies", "/rules", "/deliveries", "/ledger", "/rules/dry-run"])
def test_every_page_of_an_empty_node_says_that_it_is_empty(empty: httpx.Client, path: str) -> None:
    page = empty.get(path)
    assert page.status_code == 200
    assert re.search("Nothing|No study|There are no rules|first row|Nothing is loaded", plain(page.text))


def test_the_description_of_the_interface_names_every_answer(empty: httpx.Client) -> None:
    schema = empty.get("/api/openapi.json").json()
    assert {"LedgerPage", "DeliveriesPage", "RulesInForce", "OpenConcerns"} <= set(schema["components"]["schemas"])


def test_results_that_were_left_out_are_told_on_the_page_of_their_study(tmp_path: Path) -> None:
    site = PageSite(tmp_path)
    with site.engine.begin() as connection:
        row = connection.execute(select(jobs).where(jobs.c.study_instance_uid == study_uid(3))).one()
        told = {**row.summary, "left_out": ["No parametric map: <the map> is empty."]}
        connection.execute(update(jobs).where(jobs.c.id == row.id).values(summary=told))
    with site.browser(Scope.READ) as browser:
        page = browser.get(f"/studies/{study_key(3)}").text
    assert "Left out No parametric map: &lt;the map&gt; is empty." in plain(page)

"""The page of one study: what is painted and what is not, and the order of what happened."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from node.web.studies import timeline
from node.web.study_records import Contents, Study, StudyJob
from reports.audit.ledger import Entry, Event
from tests.node.audit.hospital_day import WITHHELD
from tests.node.web.web import WebServer
from tests.node.web.web_site import Site
from tests.patience import patient

BEGAN = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One study with four overlays, one of each verdict."""
    site = Site(tmp_path_factory.mktemp("home"))
    with WebServer(site.application) as server:
        bearer = {"Authorization": f"Bearer {site.token}"}
        return httpx.get(
            f"{server.url}/studies/{site.ledger.pseudonym(WITHHELD)}", headers=bearer, timeout=patient(30)
        ).text


def article(page: str, verdict: str) -> str:
    return next(one for one in page.split("<article")[1:] if f'class="verdict {verdict}"' in one)


def test_a_withheld_map_is_never_painted_and_its_page_says_why(page: str) -> None:
    withheld = article(page, "withheld")
    assert withheld.count("<image ") == 1, "the plane alone"
    assert 'type="radio"' not in withheld
    assert "<b>Map withheld</b> The bundle has no passport" in withheld
    assert "peak at row" not in withheld


@pytest.mark.parametrize("verdict", ["caution", "trusted", "out-of-envelope"])
def test_the_opacity_of_a_map_has_eleven_stops_and_begins_as_it_was_sent(page: str, verdict: str) -> None:
    shown = article(page, verdict)
    layers = re.findall(r'<image (class="painted" )?href="([^"]+)"', shown)
    assert [painted != "" for painted, _ in layers] == [False, True]
    assert len({source for _, source in layers}) == 1, "both panels are of one picture"
    assert [int(one) for one in re.findall(r'type="radio"[^>]+value="(\d+)"', shown)] == list(range(0, 101, 10))
    assert re.findall(r'value="(\d+)"[^>]* checked', shown) == ["100"]
    names = {re.search(r'name="(opacity-[^"]+)"', one)[1] for one in page.split("<article")[1:] if "opacity-" in one}  # type: ignore[index]
    assert len(names) == 3, "each overlay has a slider of its own"


def test_every_stop_of_the_slider_has_its_opacity_and_no_page_has_a_script(page: str) -> None:
    css = Path("node/web/templates/console.css").read_text()
    stops = re.findall(r'\[value="(\d+)"\]:checked\) \.painted \{ opacity: ([\d.]+);', css)
    assert {int(stop): float(opacity) for stop, opacity in stops} == {stop: stop / 100 for stop in range(0, 100, 10)}
    assert "<script" not in page
    assert " style=" not in page


def test_the_timeline_tells_what_happened_in_the_order_in_which_it_did() -> None:
    def at(seconds: float) -> datetime:
        return BEGAN + timedelta(seconds=seconds)

    steps = {"read": at(17), "classify": at(18)}
    job = StudyJob("j", "glioma_flair", "done", "deliver", None, None, at(16), at(30), (), steps)
    contents = (Contents("MR Image", "ORTHANC", 24),)
    study = Study("k", "routed", at(0), at(5), at(15), "quiet for 10 s", "flair", None, None, contents, (job,))
    told = [(15.5, Event.ROUTED), (29, Event.ANALYSED), (31, Event.DELIVERED), (40, Event.DELIVERY_PROVEN)]
    events = tuple(Entry(seq, at(when), event, "k", {}, "", "") for seq, (when, event) in enumerate(told))
    assert [entry.what for entry in timeline(replace(study, events=events))] == [
        "first image received",
        "last image received",
        "complete",
        "routed",
        "decided and queued",
        "step finished: read",
        "step finished: classify",
        "analysed",
        "job ended: done",
        "delivered",
        "stored at the destination",
    ]
    assert timeline(study)[2].details == {"proof": "quiet for 10 s"}

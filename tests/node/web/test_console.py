"""The console and the API over a real store, a real server and real sockets."""

import json
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete, update

from inference.errors import SettingsInvalid
from node.jobs.summary import line_of
from node.settings.http import HttpSettings
from node.store import METADATA, deliveries, instances, jobs, now, results, sessions, studies
from node.web.access.security import Authenticator, open_token
from node.web.app import create_app
from tests.node.audit.hospital_day import CHEST, FOUND, NEWEST_FIRST
from tests.node.web.web import WebServer, calling, logged_in
from tests.node.web.web_site import Site
from tests.patience import patient


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("home"))


@pytest.fixture
def machine(address: str, site: Site) -> Iterator[httpx.Client]:
    with calling(address, site.token) as client:
        yield client


@pytest.fixture
def browser(address: str, site: Site) -> Iterator[httpx.Client]:
    with logged_in(address, site.token) as client:
        yield client


def test_a_wrong_token_at_the_door_says_so_and_opens_nothing(stranger: httpx.Client, address: str) -> None:
    answer = stranger.post("/login", data={"token": "guess"}, headers={"Origin": address})
    assert answer.status_code == 401
    assert "not the token" in answer.text
    assert "set-cookie" not in answer.headers


def test_a_login_from_a_page_of_another_site_is_refused(stranger: httpx.Client, site: Site) -> None:
    for origin in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
        assert stranger.post("/login", data={"token": site.token}, headers=origin).status_code == 403


def test_the_cookie_is_not_the_token_and_no_script_can_read_it(
    stranger: httpx.Client, site: Site, address: str
) -> None:
    cookie = stranger.post("/login", data={"token": site.token}, headers={"Origin": address}).headers["set-cookie"]
    assert site.token not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_a_session_ends_by_itself_and_with_the_first_token(site: Site, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    http = HttpSettings(token_file=tmp_path / "token")
    door = Authenticator(http, site.engine)
    session = door.log_in("secret") or ""
    assert door.by_session(session)
    (tmp_path / "token").write_text("other")
    assert not Authenticator(http, site.engine).by_session(session)
    with site.engine.begin() as connection:
        connection.execute(update(sessions).values(ends_at=now()))
    assert not door.by_session(session)


def test_after_logging_out_the_door_is_shut_and_a_copy_of_the_cookie_opens_nothing(
    browser: httpx.Client, stranger: httpx.Client
) -> None:
    cookie = {"Cookie": f"heatproof={browser.cookies['heatproof']}"}
    assert stranger.get("/", headers=cookie).status_code == 200
    browser.post("/logout")
    assert browser.get("/").url.path == "/login"
    assert stranger.get("/", headers=cookie).status_code == 303


def test_a_login_form_longer_than_a_token_needs_is_not_read(stranger: httpx.Client, address: str) -> None:
    assert stranger.post("/login", content=b"x" * 70_000, headers={"Origin": address}).status_code == 413


def test_the_token_file_is_made_for_its_owner_only(site: Site) -> None:
    assert stat.S_IMODE((site.home / "token").stat().st_mode) == 0o600
    assert len(site.token) >= 43


def test_beyond_loopback_nobody_starts_without_a_chosen_token(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="token_file"):
        open_token(HttpSettings(host="0.0.0.0", token_file=tmp_path / "token"))  # noqa: S104
    (tmp_path / "token").write_text("\n")
    with pytest.raises(SettingsInvalid, match="empty"):
        open_token(HttpSettings(host="0.0.0.0", token_file=tmp_path / "token"))  # noqa: S104


def test_every_answer_keeps_the_page_to_itself(stranger: httpx.Client, browser: httpx.Client) -> None:
    for answer in (stranger.get("/livez"), stranger.get("/nowhere"), stranger.get("/login"), browser.get("/")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_probes_of_this_machine_need_no_token(stranger: httpx.Client) -> None:
    assert stranger.get("/livez").json() == {"alive": True}
    assert stranger.get("/readyz").json() == {"ready": True, "reasons": [], "analysing": True}
    assert "heatproof_studies" in stranger.get("/metrics").text


def test_probes_of_other_machines_need_the_token(site: Site, address: str, machine: httpx.Client) -> None:
    forwarded = {"X-Forwarded-For": "127.0.0.1"}  # a proxy handed it on, whatever it says
    assert httpx.get(f"{address}/metrics", headers=forwarded, timeout=patient(30)).status_code == 401
    assert machine.get("/metrics", headers=forwarded).status_code == 200


def test_a_node_that_does_not_listen_is_not_ready(site: Site, stranger: httpx.Client, browser: httpx.Client) -> None:
    assert "Studies are refused now." not in browser.get("/").text
    site.listening = False
    answer, page = stranger.get("/readyz"), browser.get("/")
    site.listening = True
    assert "Studies are refused now. The listener does not accept associations." in page.text
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["The listener does not accept associations."]


def test_a_node_without_room_or_database_is_not_ready(tmp_path: Path) -> None:
    poor = Site(tmp_path, spare_bytes=shutil.disk_usage(tmp_path).total * 2)
    with WebServer(poor.application) as server:
        assert "minimum_free_bytes" in httpx.get(f"{server.url}/readyz", timeout=patient(30)).json()["reasons"][0]
        poor.engine.dispose()
        for file in tmp_path.glob("heatproof.sqlite*"):
            file.unlink()
        (tmp_path / "heatproof.sqlite").mkdir()
        answer = httpx.get(f"{server.url}/readyz", timeout=patient(30))
    assert answer.status_code == 503
    assert "The database does not answer." in answer.json()["reasons"]


def test_the_api_lists_the_newest_first_and_no_more_than_asked(machine: httpx.Client, site: Site) -> None:
    listed = [study["key"] for study in machine.get("/api/studies").json()]
    assert listed == [site.ledger.pseudonym(uid) for uid in NEWEST_FIRST]
    assert len(machine.get("/api/studies", params={"limit": 2}).json()) == 2
    assert machine.get("/api/studies", params={"limit": 100_000}).status_code == 422


def test_the_api_tells_all_of_one_study(machine: httpx.Client, site: Site) -> None:
    study = machine.get(f"/api/studies/{site.ledger.pseudonym(FOUND)}").json()
    assert (study["state"], study["route"], study["proof"]) == ("routed", "brain FLAIR", "quiet for 10 s")
    assert study["contents"] == [{"kind": "MR Image", "calling_ae_title": "ORTHANC", "count": 24}]
    (job,) = study["jobs"]
    assert job["summary"]["explanations"][0]["probability"] == 0.983
    states = {(sent["destination"], sent["state"]) for result in job["results"] for sent in result["deliveries"]}
    assert states == {("pacs", "stored"), ("research archive", "sent")}
    assert [event["event"] for event in study["events"]] == ["routed", "analysed", "delivered"]


def test_results_can_be_fetched_as_picture_and_as_dicom(machine: httpx.Client, site: Site) -> None:
    (job,) = machine.get(f"/api/studies/{site.ledger.pseudonym(FOUND)}").json()["jobs"]
    capture = next(result for result in job["results"] if result["has_preview"])
    report = next(result for result in job["results"] if not result["has_preview"])
    picture = machine.get(f"/api/results/{capture['id']}/preview.png")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert machine.get(f"/api/results/{report['id']}/result.dcm").content[128:132] == b"DICM"
    assert machine.get(f"/api/results/{report['id']}/preview.png").status_code == 404


def test_no_address_holds_a_uid(machine: httpx.Client, browser: httpx.Client, site: Site) -> None:
    pages = [browser.get("/studies").text, browser.get(f"/studies/{site.ledger.pseudonym(FOUND)}").text]
    addresses = [found for page in pages for found in re.findall(r'(?:href|src|action|id)="(.*?)"', page)]
    assert any("/preview.png" in found for found in addresses)
    assert not any(uid in found for uid in NEWEST_FIRST for found in addresses)
    assert not any(uid in page for uid in NEWEST_FIRST for page in pages)


def test_an_unknown_study_gets_a_sentence_and_a_cure(machine: httpx.Client, browser: httpx.Client) -> None:
    answer = machine.get("/api/studies/nothing")
    assert answer.status_code == 404
    assert set(answer.json()) == {"status", "message", "cure"}
    page = browser.get("/studies/nothing", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "<h1>There is no such study.</h1>" in page.text


def test_a_fault_of_the_node_shows_no_stack_and_no_value(tmp_path: Path) -> None:
    site = Site(tmp_path)

    def fail() -> None:
        raise RuntimeError("MUSTERMANN")

    site.application.add_api_route("/api/fault", fail)
    with WebServer(site.application) as server:
        answer = httpx.get(
            f"{server.url}/api/fault", headers={"Authorization": f"Bearer {site.token}"}, timeout=patient(30)
        )
    assert answer.status_code == 500
    assert answer.json()["message"] == "The node failed to answer."
    assert "MUSTERMANN" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_store_that_fails_is_said_to_without_its_words(tmp_path: Path) -> None:
    broken = Site(tmp_path)
    with broken.engine.begin() as connection:
        for table in (deliveries, results, jobs, instances):
            connection.execute(delete(table))
    METADATA.drop_all(broken.engine, tables=[studies])
    with WebServer(broken.application) as server:
        answer = httpx.get(
            f"{server.url}/api/studies", headers={"Authorization": f"Bearer {broken.token}"}, timeout=patient(30)
        )
    assert answer.status_code == 503
    assert answer.json()["message"] == "The store does not answer."
    assert "sqlite" not in answer.text.lower()
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_list_has_one_line_a_study_with_state_finding_verdict_and_delivery(browser: httpx.Client) -> None:
    page = browser.get("/studies").text
    assert page.count("<tr>") == 1 + len(NEWEST_FIRST)
    text = _plain(page)
    for shown in (
        "24 MR from ORTHANC",
        "glioma 0.98 ? UNCOMMISSIONED",
        "nothing found",
        "running",
        "not routed",
        "\N{MULTIPLICATION SIGN} WITHHELD ↗ OUT OF ENVELOPE ! CAUTION ✓ TRUSTED",
        "The explain step failed inside the node",
    ):
        assert shown in text, shown
    assert "Spearman" not in text


def test_sent_is_never_shown_as_stored(browser: httpx.Client, site: Site) -> None:
    page = browser.get("/studies").text
    line = _plain(page.split(site.ledger.pseudonym(FOUND))[1].split("</tr>")[0])
    assert "sent research archive" in line
    assert "stored" not in line


def test_the_study_page_says_why_this_route_and_what_happened(browser: httpx.Client, site: Site) -> None:
    page = _plain(browser.get(f"/studies/{site.ledger.pseudonym(FOUND)}").text)
    for shown in (
        "brain FLAIR: Modality is MR; SeriesDescription matches FLAIR",
        "quiet for 10 s",
        "0.22 [0.16, 0.29] 40 0.63 [0.59, 0.65]",
        "distance from the weight-randomised twin (1 - Spearman) 0.94 \u2013 \u2013",
        "No trust score: the bundle is not commissioned here.",
        "delivered destination pacs objects 4",
    ):
        assert shown in page, shown


def test_what_the_network_said_is_text_and_not_markup(browser: httpx.Client, site: Site) -> None:
    for path in ("/studies", f"/studies/{site.ledger.pseudonym(CHEST)}"):
        page = browser.get(path).text
        assert "&lt;b&gt;CT &amp; MR&lt;/b&gt;" in page
        assert "<b>CT" not in page


def test_the_pages_need_no_other_host_and_no_script(browser: httpx.Client, site: Site) -> None:
    for path in ("/studies", f"/studies/{site.ledger.pseudonym(FOUND)}", "/login"):
        page = browser.get(path).text
        assert "http://" not in page.replace(str(browser.base_url), "")
        assert "https://" not in page
        assert "<script" not in page
        assert " style=" not in page


@pytest.mark.parametrize("path", ["/", "/studies", "/studies?verdict=TRUSTED"])
def test_a_page_renews_itself_only_where_its_reader_asks_and_until_they_stop_it(
    browser: httpx.Client, path: str
) -> None:
    page = browser.get(path).text
    assert 'http-equiv="refresh"' not in page
    asking = f"{path}{'&' if '?' in path else '?'}refresh=on"
    assert f'<a href="{asking.replace("&", "&amp;")}">' in page
    renewed = browser.get(asking).text
    assert 'http-equiv="refresh"' in renewed
    assert f'(<a href="{path}">stop</a>)' in renewed


def test_a_calibrated_probability_of_the_class_stands_beside_the_raw_one(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.engine.begin() as connection:
        summary = json.loads(json.dumps(connection.execute(jobs.select()).first().summary))  # type: ignore[union-attr]
        first, second = summary["explanations"][0], {**summary["explanations"][0], "class_probability": None}
        summary["explanations"] = [{**first, "class_probability": 0.969}, second]
        values = {"summary": summary, **line_of(summary)}
        connection.execute(update(jobs).where(jobs.c.study_instance_uid == FOUND).values(values))
    bearer = {"Authorization": f"Bearer {site.token}"}
    with WebServer(site.application) as server:
        pages = [
            _plain(httpx.get(f"{server.url}{path}", headers=bearer, timeout=patient(30)).text)
            for path in (f"/studies/{site.ledger.pseudonym(FOUND)}", "/studies")
        ]
    calibrated = "97 %, calibrated at this site (probability that the class is right; raw 0.98, threshold 0.50)"
    assert calibrated in pages[0]
    assert "glioma 97 %" in pages[1]
    assert "Probability 0.98 (threshold 0.50, not calibrated)" in pages[0]


def test_a_job_whose_capture_is_gone_is_still_shown(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.engine.begin() as connection:
        summary = json.loads(json.dumps(connection.execute(jobs.select()).first().summary))  # type: ignore[union-attr]
        summary["explanations"][0]["capture"] = "1.2.3"
        connection.execute(update(jobs).where(jobs.c.study_instance_uid == FOUND).values(summary=summary))
    with WebServer(site.application) as server:
        answer = httpx.get(
            f"{server.url}/studies", headers={"Authorization": f"Bearer {site.token}"}, timeout=patient(30)
        )
    assert answer.status_code == 200


def _plain(page: str) -> str:
    """The page as read aloud: no markup, single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_every_text_colour_can_be_read_on_every_background_in_light_and_dark() -> None:
    """Contrast of 4.5 to 1 and more (WCAG 2.2, 1.4.3)."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        pairs = [(ink, page) for ink in TEXTS for page in ("page", "card")] + [("warn-ink", "warn-page")]
        for ink, page in pairs:
            assert _contrast(colours[ink], colours[page]) >= 4.5, (ink, page)


def test_no_two_verdicts_differ_by_colour_alone(browser: httpx.Client) -> None:
    chips = re.findall(
        r'<span class="verdict .*?<span aria-hidden="true">(.)</span>\s*([A-Z ]+)</span>',
        browser.get("/studies").text,
        flags=re.DOTALL,
    )
    assert len({sign for sign, _ in chips}) == len({word.strip() for _, word in chips}) == 5


TEXTS = ("ink", "quiet", "link", "good", "wait", "bad", "idle")
STYLE = (Path(create_app.__code__.co_filename).parent / "templates" / "console.css").read_text()


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted(_luminance(colour) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

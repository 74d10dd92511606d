"""Row 41: what a planted cookie, an old session or another site can make a browser do."""

import httpx
from fastapi import Depends, FastAPI
from sqlalchemy import update

from node.store import studies
from node.web.access.caller import Scope
from node.web.access.security import Authenticator
from node.web.access.tokens import Tokens
from node.web.guard import Guard
from tests.node.audit.hospital_day import CHEST
from tests.node.web.page_site import form_token
from tests.node.web.web import WebServer, calling
from tests.node.web.web_site import Site
from tests.patience import patient

IMAGE = "<img src=x onerror=alert(1)>"


def test_a_cookie_planted_before_the_login_opens_nothing_after_it(
    site: Site, stranger: httpx.Client, address: str
) -> None:
    planted = "A" * 43
    answer = stranger.post(
        "/login", data={"token": site.token}, headers={"Origin": address, "Cookie": f"heatproof={planted}"}
    )
    assert answer.cookies["heatproof"] != planted
    for cookie in (planted, "", "9999999999.00", "é"):
        headers = {"Cookie": f"heatproof={cookie}".encode()}
        assert httpx.get(f"{address}/", headers=headers, timeout=patient(30)).status_code == 303


def test_every_login_is_another_session_and_the_store_holds_neither_session_nor_token(
    site: Site, stranger: httpx.Client, address: str
) -> None:
    token = site.add_token("two browsers", Scope.READ)
    cookies = {
        stranger.post("/login", data={"token": token}, headers={"Origin": address}).cookies["heatproof"]
        for _ in range(2)
    }
    assert len(cookies) == 2
    stored = b"".join(path.read_bytes() for path in site.home.glob("heatproof.sqlite*"))
    for secret in (token, site.token, *cookies):
        assert secret.encode() not in stored


def test_a_session_ends_with_its_token(site: Site, stranger: httpx.Client, address: str) -> None:
    token = site.add_token("leaving", Scope.READ)
    stranger.post("/login", data={"token": token}, headers={"Origin": address})
    assert stranger.get("/").status_code == 200
    Tokens(site.engine).remove("leaving")
    assert stranger.get("/").status_code == 303


def test_a_post_of_another_site_is_refused_whatever_it_knows(browser: httpx.Client, address: str) -> None:
    guard_only = {"Origin": "https://evil.example"}
    for origin in (guard_only, {"Origin": "null"}, {"Origin": address + ".evil.example"}, {"Origin": ""}):
        for path in ("/login", "/logout"):
            assert browser.post(path, headers=origin).status_code == 403, (origin, path)
    assert browser.get("/").status_code == 200


def test_a_form_of_a_browser_needs_the_token_of_its_page_and_a_script_none(site: Site) -> None:
    """On a route of the test's own, so that it holds for all that ask for `operate`."""
    with Form(site) as form:
        token = form_token(form.browser.get("/").text)
        assert len(token) == 64
        assert form.post({}) == 403
        assert form.post({"form_token": "0" * 64}) == 403
        assert form.post({"form_token": token}, origin="https://evil.example") == 403
        assert form.post({"form_token": token}) == 200
        assert form.post({}, headers={"X-Form-Token": token}) == 200
        assert form.stranger.post("/change", headers={"Authorization": f"Bearer {site.token}"}).status_code == 200


class Form:
    """A site with a route that changes something."""

    def __init__(self, site: Site) -> None:
        guard = Guard(Authenticator(site.settings.http, site.engine))
        application = FastAPI()

        @application.post("/change", dependencies=[Depends(guard.operate)])
        def change() -> str:
            return "changed"

        application.mount("/", site.application)
        self._server = WebServer(application)
        self._site = site

    def __enter__(self) -> "Form":
        self._server.__enter__()
        self.stranger, self.browser = calling(self._server.url), calling(self._server.url)
        self.browser.post("/login", data={"token": self._site.token}, headers={"Origin": self._server.url})
        return self

    def __exit__(self, *error: object) -> None:
        self.browser.close()
        self.stranger.close()
        self._server.__exit__(*error)

    def post(self, fields: dict[str, str], *, origin: str | None = None, headers: dict[str, str] | None = None) -> int:
        sent = {"Origin": self._server.url if origin is None else origin} | (headers or {})
        return self.browser.post("/change", data=fields, headers=sent).status_code


def test_what_the_network_called_a_patient_is_shown_as_text(site: Site, browser: httpx.Client) -> None:
    with site.engine.begin() as connection:
        connection.execute(update(studies).where(studies.c.study_instance_uid == CHEST).values(reason=IMAGE))
    key = site.ledger.pseudonym(CHEST)
    for path in (f"/studies/{key}", f"/studies/{IMAGE}", f"/?refresh={IMAGE}"):
        answer = browser.get(path, headers={"Accept": "text/html"})
        assert "<img src=x" not in answer.text, path
        assert "script-src" not in answer.headers["content-security-policy"]  # none but default-src 'none'
    assert "&lt;img src=x onerror=alert(1)&gt;" in browser.get(f"/studies/{key}").text


def test_no_page_can_be_framed_sniffed_or_kept(browser: httpx.Client) -> None:
    for path in ("/", "/login", "/nowhere", "/api/studies", "/console.css"):
        headers = browser.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"

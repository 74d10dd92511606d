"""Rows 40 to 42: who gets in, what other sites can make a browser do, and how much may be sent.

The table of routes is read from the application, so that a new route is asked too.
"""

import importlib
import inspect
import pkgutil
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from sqlalchemy import update

import node.web
from node.settings.http import ProxySettings
from node.store import now, studies
from node.web import limits
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from node.web.guard import Guard, RequiredScope
from node.web.pages import Pages
from tests.node.audit.hospital_day import CHEST
from tests.node.web.web import WebServer
from tests.node.web.web_site import Site
from tests.patience import patient, wait_until

OPEN = {"/login", "/logout", "/console.css"}
"""Routes for everyone: the door itself, and what it looks like."""
PROBES = {"/livez", "/readyz", "/metrics"}
"""Routes for every program of this machine."""
IMAGE = "<img src=x onerror=alert(1)>"


class Way(NamedTuple):
    """One method of one route, and what it asks for."""

    method: str
    path: str
    needs: RequiredScope | None


def makers() -> dict[str, Callable[..., APIRouter]]:
    """Every public function of the room that makes routes behind the guard."""
    found = {}
    for name in [module.name for module in pkgutil.iter_modules(node.web.__path__)]:
        module = importlib.import_module(f"{node.web.__name__}.{name}")
        for maker, value in inspect.getmembers(module, inspect.isfunction):
            own = value.__module__ == module.__name__ and not maker.startswith("_")
            if own and any(one.annotation is Guard for one in inspect.signature(value).parameters.values()):
                found[maker] = value
    return found


def made(maker: Callable[..., APIRouter], guard: Guard) -> APIRouter:
    """Routes with nothing behind them: here it is asked who gets in."""
    stands_for = {Guard: guard, Pages: Pages("HEATPROOF")}
    wanted = {name: one for name, one in inspect.signature(maker).parameters.items() if one.default is one.empty}
    return maker(**{name: stands_for.get(one.annotation, MagicMock()) for name, one in wanted.items()})


ALWAYS = {
    "login_routes",
    "overview_routes",
    "study_routes",
    "refusal_routes",
    "rule_routes",
    "dry_run_routes",
    "ledger_routes",
}
"""What every application has; the service adds the others."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    further = [partial(made, maker) for name, maker in makers().items() if name not in ALWAYS]
    return Site(tmp_path_factory.mktemp("home"), extra_routers=further)


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    with WebServer(site.application) as server:
        yield server.url


@pytest.fixture
def stranger(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=patient(30)) as client:
        yield client


@pytest.fixture
def browser(address: str, site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, headers={"Origin": address}, timeout=patient(30)) as client:
        assert client.post("/login", data={"token": site.token}).status_code == 303
        yield client


def ways(site: Site) -> list[Way]:
    return [
        Way(method, route.path, _asks(route))
        for route in _routes(site.application.routes)
        for method in sorted(route.methods or ())
    ]


def _routes(routes: Any) -> Iterator[APIRoute]:
    for route in routes:
        nested = getattr(route, "original_router", None) or getattr(route, "routes", None)
        if nested:
            yield from _routes(getattr(nested, "routes", nested))
        elif isinstance(route, APIRoute):
            yield route


def _asks(route: APIRoute) -> RequiredScope | None:
    calls = [dependency.call for dependency in route.dependant.dependencies]
    return next((call for call in calls if isinstance(call, RequiredScope)), None)


def test_the_table_has_the_routes_that_the_service_adds_too(site: Site) -> None:
    assert makers().keys() >= ALWAYS | {"delivery_routes", "stow_routes", "audit_routes"}
    paths = {way.path for way in ways(site)}
    assert paths >= {"/api/studies", "/doctor", "/dicomweb/studies", "/api/deliveries", "/audit/{route}"}


def test_every_route_asks_for_a_scope_but_the_door_and_the_probes(site: Site) -> None:
    found = ways(site)
    assert len(found) > 10
    assert {way.path for way in found if way.needs is None} == OPEN | PROBES
    for way in found:
        if way.method not in ("GET", "HEAD") and way.needs is not None:
            assert way.needs.scope is not Scope.READ, f"{way.method} {way.path} changes something with read alone"


def test_every_route_refuses_no_token_a_wrong_an_expired_and_a_removed_one(site: Site, stranger: httpx.Client) -> None:
    expired = site.add_token("expired", *Scope, expires_at=now() - timedelta(seconds=1))
    removed = site.add_token("removed", *Scope)
    Tokens(site.engine).remove("removed")
    for way in ways(site):
        if way.needs is None:
            continue
        for given in ("", "wrong", expired, removed):
            headers = {"Authorization": f"Bearer {given}"} if given else {}
            answer = stranger.request(way.method, way.path, headers=headers)
            expected = (303, "/login") if way.needs.page else (401, None)
            assert (answer.status_code, answer.headers.get("location")) == expected, (way, given)
            assert way.method == "HEAD" or way.needs.page or set(answer.json()) == {"status", "message", "cure"}


@pytest.mark.parametrize("scope", Scope)
def test_a_token_of_one_scope_opens_what_needs_it_and_gets_403_elsewhere(
    site: Site, stranger: httpx.Client, scope: Scope
) -> None:
    token = site.add_token(f"only {scope}", scope)
    for way in ways(site):
        if way.needs is not None:
            answer = stranger.request(way.method, way.path, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code == 403) == (way.needs.scope is not scope), (way, answer.status_code)
            assert answer.status_code != 401, way
            assert answer.headers.get("location") != "/login", way


def test_probes_are_for_this_machine_and_whoever_may_read(site: Site, stranger: httpx.Client) -> None:
    forwarded = {"X-Forwarded-For": "192.0.2.7"}
    reader = {"Authorization": f"Bearer {site.add_token('prometheus', Scope.READ)}"}
    for path in PROBES:
        assert stranger.get(path).status_code == 200
        assert stranger.get(path, headers=forwarded).status_code == 401
        assert stranger.get(path, headers=forwarded | reader).status_code == 200


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
        page = form.browser.get("/").text
        token = page.partition('name="form_token" value="')[2].partition('"')[0]
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
        from fastapi import Depends, FastAPI

        from node.web.access.security import Authenticator

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
        self.stranger = httpx.Client(base_url=self._server.url, timeout=patient(30))
        self.browser = httpx.Client(base_url=self._server.url, timeout=patient(30))
        self.browser.post("/login", data={"token": self._site.token}, headers={"Origin": self._server.url})
        return self

    def __exit__(self, *error: Any) -> None:
        self.browser.close()
        self.stranger.close()
        self._server.__exit__(*error)

    def post(self, fields: dict[str, str], *, origin: str | None = None, headers: dict[str, str] | None = None) -> int:
        told = {"Origin": self._server.url if origin is None else origin} | (headers or {})
        return self.browser.post("/change", data=fields, headers=told).status_code


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


PROXY = ProxySettings(addresses=("127.0.0.1",), read_groups=("radiology", "physics"), operate_groups=("pacs",))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with WebServer(Site(tmp_path_factory.mktemp("proxied"), proxy=PROXY).application) as server:
        yield server.url


def test_a_user_of_the_reverse_proxy_may_what_the_groups_may(proxied: str) -> None:
    def ask(groups: str, path: str = "/api/studies") -> int:
        headers = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": groups}
        return httpx.get(f"{proxied}{path}", headers=headers, timeout=patient(30)).status_code

    assert ask("staff, radiology") == ask("physics", "/") == 200
    assert ask("pacs") == ask("") == ask("radiologyx") == 403
    assert ask("radiology", "/api/ledger") == 403
    assert (
        httpx.get(
            f"{proxied}/api/studies", headers={"X-Forwarded-Groups": "radiology"}, timeout=patient(30)
        ).status_code
        == 401
    )


def test_two_names_at_once_are_no_user(proxied: str) -> None:
    headers = [("X-Forwarded-User", "ada"), ("X-Forwarded-User", "eve"), ("X-Forwarded-Groups", "radiology")]
    assert httpx.get(f"{proxied}/api/studies", headers=headers, timeout=patient(30)).status_code == 403


def test_forms_of_a_user_of_the_proxy_are_checked_like_any_browsers(proxied: str) -> None:
    user = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "radiology"}
    assert httpx.post(f"{proxied}/logout", headers=user, timeout=patient(30)).status_code == 403
    assert "Log out" not in httpx.get(f"{proxied}/", headers=user, timeout=patient(30)).text


def test_a_user_named_by_anyone_but_the_proxy_is_refused_even_with_a_token(tmp_path: Path) -> None:
    elsewhere = Site(tmp_path, proxy=PROXY.model_copy(update={"addresses": ("10.9.8.0/24", "::2")}))
    with WebServer(elsewhere.application) as server:
        for extra in ({}, {"Authorization": f"Bearer {elsewhere.token}"}, {"X-Forwarded-For": "10.9.8.7"}):
            headers = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "radiology"} | extra
            assert httpx.get(f"{server.url}/api/studies", headers=headers, timeout=patient(30)).status_code == 403


def test_without_a_proxy_in_the_settings_its_headers_name_nobody(stranger: httpx.Client) -> None:
    headers = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "radiology"}
    assert stranger.get("/api/studies", headers=headers).status_code == 401


def test_four_gigabytes_announced_are_refused_before_a_byte_is_read(address: str) -> None:
    tracemalloc.start()
    started = time.monotonic()
    answer = raw(address, b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 4294967296\r\n\r\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert peak < 4 << 20
    assert time.monotonic() - started < patient(5)


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"0x10", b"99999999999999999999999999"])
def test_a_length_that_is_none_is_refused(address: str, length: bytes) -> None:
    answer = raw(address, b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n")
    assert answer[9:12] in (b"400", b"413")


def test_a_chunked_body_without_end_is_cut(address: str) -> None:
    head = f"POST /login HTTP/1.1\r\nHost: x\r\nOrigin: {address}\r\nTransfer-Encoding: chunked\r\n".encode()
    form = b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    host = head.replace(b"Host: x", b"Host: " + address.removeprefix("http://").encode())
    answer = raw(address, host + form, more=b"400\r\n" + b"a" * 0x400 + b"\r\n", times=200)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_packed_body_is_not_unpacked(stranger: httpx.Client, address: str) -> None:
    for packing in ("gzip", "deflate", "br", "GZIP, identity"):
        headers = {"Content-Encoding": packing, "Origin": address}
        assert stranger.post("/login", content=b"\x1f\x8b" + bytes(100), headers=headers).status_code == 415


def test_a_hundred_thousand_parts_or_fields_are_not_parsed(stranger: httpx.Client, address: str) -> None:
    parts = b"".join(b"--b\r\nContent-Disposition: form-data; name=t\r\n\r\n\r\n" for _ in range(100_000)) + b"--b--"
    headers = {"Origin": address, "Content-Type": "multipart/form-data; boundary=b"}
    assert stranger.post("/login", content=parts, headers=headers).status_code == 413
    fields = {"Origin": address, "Content-Type": "application/x-www-form-urlencoded"}
    assert stranger.post("/login", content=b"a&" * 20_000, headers=fields).status_code == 413


def test_headers_without_end_are_refused(address: str) -> None:
    answer = raw(address, b"GET /login HTTP/1.1\r\nHost: x\r\n", more=b"X-A: " + b"a" * 1000 + b"\r\n", times=64)
    assert answer.startswith(b"HTTP/1.1 4")


def test_a_silent_connection_and_one_that_drips_are_closed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", patient(0.5))
    for dripped in (b"", b"G"):
        with connect(address) as connection:
            started = time.monotonic()
            while time.monotonic() - started < patient(5):
                try:
                    connection.sendall(dripped)
                    if connection.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            assert time.monotonic() - started < patient(3)


def test_a_body_that_drips_gets_408(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", patient(0.3))
    host = address.removeprefix("http://")
    head = f"POST /login HTTP/1.1\r\nHost: {host}\r\nOrigin: {address}\r\nContent-Length: 100\r\n"
    answer = raw(address, head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken=")
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_flood_of_connections_leaves_the_console_answering(
    address: str, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_CONNECTIONS", 20)
    flood = [connect(address) for _ in range(60)]
    wait_until(lambda: sum(map(_is_closed, flood)) >= 35, 5, "the end of most connections")
    for connection in flood:
        connection.close()
    wait_until(lambda: _answers(stranger), 5, "an answer of the console")


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def connect(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=patient(0.2))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def raw(address: str, head: bytes, *, more: bytes = b"", times: int = 0) -> bytes:
    """Send bytes as they are; give what is answered until the connection ends or is silent."""
    answer = b""
    with connect(address) as connection:
        connection.settimeout(patient(5))
        try:
            connection.sendall(head)
            for _ in range(times):
                connection.sendall(more)
        except OSError:  # it has answered and closed
            pass
        try:
            while b"\r\n\r\n" not in answer and (received := connection.recv(65536)):
                answer += received
        except OSError:
            pass
    return answer

"""Rows 40 to 42, on: by which names the console answers, what no column can hold, and who gives way in a flood."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from node.settings.http import HttpSettings, ProxySettings
from node.web import limits
from node.web.access import server
from node.web.access.sessions import Sessions
from tests.hostile.http.test_bounds import connect, raw
from tests.node.web.web import WebServer
from tests.node.web.web_site import Site
from tests.patience import patient, wait_until

SECRET = "a secret of the proxy"  # noqa: S105 - of this test
USER = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "radiology"}
LARGEST = 10**30


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", "x/", "[::1", ""]
)
def test_a_name_that_is_not_ours_is_refused_whatever_the_browser_brings(address: str, site: Site, host: str) -> None:
    for path in ("/login", "/api/studies", "/metrics"):
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {site.token}\r\n\r\n"
        assert raw(address, head.encode())[9:12] in (b"421", b"400")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080", "10.1.2.3", "localhost."])
def test_an_address_and_a_listed_name_are_ours(address: str, host: str) -> None:
    assert raw(address, f"GET /login HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")


def test_listed_names_are_held_without_regard_to_case() -> None:
    assert "pacs.example" in HttpSettings(token_file=Path("token"), hosts=("PACS.example",)).names
    with pytest.raises(ValueError, match="hosts"):
        HttpSettings(token_file=Path("token"), hosts=("*",))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("proxied")
    (folder / "secret").write_text(f"{SECRET}\n")
    proxy = ProxySettings(addresses=("127.0.0.1",), secret_file=folder / "secret", read_groups=("radiology",))
    with WebServer(Site(folder, proxy=proxy).application) as server:
        yield server.url


def test_only_who_knows_the_secret_is_the_proxy(proxied: str) -> None:
    def ask(*further: tuple[str, str]) -> int:
        headers = [*USER.items(), *further]
        return httpx.get(f"{proxied}/api/studies", headers=headers, timeout=patient(30)).status_code

    assert ask(("X-Heatproof-Proxy", SECRET)) == 200
    assert ask() == ask(("X-Heatproof-Proxy", "guess")) == 403
    assert ask(("X-Heatproof-Proxy", SECRET), ("X-Heatproof-Proxy", SECRET)) == 403


def test_two_headers_of_groups_at_once_are_refused(proxied: str) -> None:
    headers = [*USER.items(), ("X-Forwarded-Groups", "physics"), ("X-Heatproof-Proxy", SECRET)]
    assert httpx.get(f"{proxied}/api/studies", headers=headers, timeout=patient(30)).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        f"/api/ledger?below={LARGEST}", "/api/ledger?day=0001-01-01", "/api/ledger?day=9999-12-31",
        "/ledger?day=0001-01-01", f"/ledger?below={2**63}", f"/api/studies?limit={LARGEST}",
        f"/api/studies?after={LARGEST}",
        f"/api/rules/dry-run?last={LARGEST}",
    ],
)  # fmt: skip
def test_what_no_column_can_hold_is_refused_and_never_a_failure_of_the_node(
    address: str, site: Site, path: str
) -> None:
    answer = httpx.get(f"{address}{path}", headers={"Authorization": f"Bearer {site.token}"}, timeout=patient(30))
    assert answer.status_code in (200, 404, 405, 422), answer.text


def test_a_login_while_the_disk_is_full_is_answered_503(
    address: str, stranger: httpx.Client, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OperationalError("INSERT", {}, OSError("database or disk is full"))

    monkeypatch.setattr(Sessions, "open", full)
    answer = stranger.post("/login", data={"token": site.token}, headers={"Origin": address})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")


def test_headers_that_arrive_at_once_are_held_to_the_bound_too(address: str) -> None:
    head = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n"
    assert raw(address, head).startswith(b"HTTP/1.1 431 ")


def test_idle_connections_of_one_address_give_way_to_another(
    address: str, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 20)
    idle = [connect(address) for _ in range(60)]
    for _ in range(5):
        assert stranger.get("/livez").status_code == 200
    assert sum(map(_is_open, idle)) <= 20
    for connection in idle:
        connection.close()


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_a_long_body_that_drips_is_cut_though_each_piece_is_in_time(
    address: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", patient(0.3))
    head = (
        "POST /dicomweb/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {site.token}\r\n"
        'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n\r\n--b\r\n'
    )
    with connect(address) as connection:
        connection.sendall(head.encode())
        answer: list[bytes] = []

        def is_cut() -> bool:
            try:
                connection.sendall(b"X")
                answer.append(connection.recv(65536))
            except TimeoutError:
                return False
            except OSError:
                return True
            return True

        wait_until(is_cut, 3, "the end of the request")

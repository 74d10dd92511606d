"""Row 42: how much may be sent, how slowly, and by how many at once."""

import socket
import time
import tracemalloc

import httpx
import pytest

from node.web import limits
from node.web.access import server
from tests.hostile.raw_peer import is_closed
from tests.patience import patient, wait_until


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
    monkeypatch.setattr(server, "HEAD_SECONDS", patient(0.5))
    for dripped in (b"", b"G"):
        with connect(address) as connection:
            started = time.monotonic()
            while time.monotonic() - started < patient(10):
                try:
                    connection.sendall(dripped)
                    if connection.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            else:
                pytest.fail("it stayed open")


def test_a_body_that_drips_gets_408(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", patient(0.3))
    host = address.removeprefix("http://")
    head = f"POST /login HTTP/1.1\r\nHost: {host}\r\nOrigin: {address}\r\nContent-Length: 100\r\n"
    answer = raw(address, head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken=")
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_flood_of_connections_leaves_the_console_answering(
    address: str, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 20)
    flood = [connect(address) for _ in range(60)]
    wait_until(lambda: sum(map(is_closed, flood)) >= 35, 5, "the end of most connections")
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

"""Limits on requests: names they are sent to, size and time of bodies and headers, and the number of connections."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import h11
from fastapi import FastAPI, HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from node.web.pages import ErrorAnswers

BODY_BYTES = 64 * 1024
"""Of an ordinary request; routes that receive studies have a limit of their own."""
BODY_SECONDS = 20.0
"""For an ordinary body from its first to its last byte; of a long one, for each piece of it."""
HEAD_BYTES = 16 * 1024
"""Of the request line and the headers together."""
HEAD_SECONDS = 15.0
"""From the connection, or from the first byte of the next request, to the end of its headers."""
LEAST_BYTES_A_SECOND = 8192
"""Of a long body, once ``BODY_SECONDS`` have passed: drips do not hold a place for ever."""
MOST_CONNECTIONS = 200
"""For one more, the oldest idle one of the busiest address is closed: a flood leaves room for others, and the file
descriptors that DICOM needs."""


class BodyCap:
    """The middleware that refuses bodies that are too long (413), compressed (415), or too slow (408)."""

    def __init__(self, app: ASGIApp, *, answers: ErrorAnswers, long_bodies: Mapping[str, int]) -> None:
        self._app = app
        self._answers = answers
        self._long_bodies = long_bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with a bound on the size and time of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        most = next((most for path, most in self._long_bodies.items() if request.url.path.startswith(path)), None)
        refusal = _refusal(request, BODY_BYTES if most is None else most)
        if refusal is not None:
            await self._answers.http(request, refusal)(scope, receive, send)
            return
        bounded = _Bounded(receive, most_bytes=BODY_BYTES if most is None else most, whole=most is None)
        await self._app(scope, bounded, send)


class NamedHosts:
    """The middleware that refuses names that are not this node's (421); addresses always work.

    A page of a stranger's domain that comes to resolve to this machine (DNS rebinding) is of one origin with it for a
    browser, whose requests come from where those of a proxy come.
    """

    def __init__(self, app: ASGIApp, *, answers: ErrorAnswers, names: Collection[str]) -> None:
        self._app = app
        self._answers = answers
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on whose Host header names this node."""
        if scope["type"] == "http":
            request = Request(scope)
            hosts = request.headers.getlist("host")
            if len(hosts) != 1 or not _is_ours(hosts[0], self._names):
                await self._answers.http(request, HTTPException(421))(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Bounded:
    """``receive`` with a limit on bytes and a deadline."""

    def __init__(self, receive: Receive, *, most_bytes: int, whole: bool) -> None:
        self._receive = receive
        self._most = self._left = most_bytes
        self._whole = whole
        self._deadline = time.monotonic() + BODY_SECONDS
        self._more = True

    async def __call__(self) -> Message:
        if not self._more:  # the body is here: what is waited for now is the end of the connection
            return await self._receive()
        earned = 0.0 if self._whole else (self._most - self._left) / LEAST_BYTES_A_SECOND
        limit = min(self._deadline + earned - time.monotonic(), BODY_SECONDS)
        try:
            message = await asyncio.wait_for(self._receive(), max(limit, 0.0))
        except TimeoutError as error:
            raise HTTPException(408, headers={"Connection": "close"}) from error
        self._left -= len(message.get("body", b""))
        self._more = bool(message.get("more_body", False))
        if self._left < 0:
            raise HTTPException(413, headers={"Connection": "close"})
        return message


def _is_ours(host: str, names: Collection[str]) -> bool:
    """Say whether a Host header (RFC 9110 7.2) holds an address or one of these names."""
    if not host.isascii() or set(host) & set("/?#@\\ "):
        return False
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ip_address(name)
    except ValueError:
        return name.removesuffix(".") in names
    return True


def _refusal(request: Request, most_bytes: int) -> HTTPException | None:
    """Refuse a body by its headers alone; None where they are acceptable."""
    close = {"Connection": "close"}
    head = len(request.scope["raw_path"]) + len(request.scope["query_string"])
    if head + sum(len(name) + len(value) for name, value in request.scope["headers"]) > HEAD_BYTES:
        return HTTPException(431, headers=close)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        return HTTPException(415, headers=close)
    announced = request.headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()) or int(announced) > most_bytes:
        return HTTPException(413, headers=close)
    return None


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a deadline for the headers and a bound on connections."""

    _deadline: asyncio.TimerHandle | None = None
    address = ""
    since_seconds = 0.0

    def connection_made(self, transport: Any) -> None:
        """Accept a connection; where there are too many, close an idle one of the busiest address, or this one."""
        super().connection_made(transport)
        self.address, self.since_seconds = self.client[0] if self.client else "", time.monotonic()
        others = [other for other in self.connections if isinstance(other, BoundedProtocol)]
        alive = [other for other in others if not other.transport.is_closing()]
        if len(alive) > MOST_CONNECTIONS:
            _busiest([other for other in alive if other.is_idle] or [self]).transport.abort()
        if not transport.is_closing():
            self._watch()

    @property
    def is_idle(self) -> bool:
        """Whether no request is on its way on it, nor an answer."""
        return self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        """Receive bytes; the deadline runs until the headers are complete."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline with the connection."""
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _busiest(connections: Sequence[BoundedProtocol]) -> BoundedProtocol:
    """Return the oldest connection of the address that has most of them."""
    addresses = Counter(connection.address for connection in connections)
    ((greedy, _),) = addresses.most_common(1)
    of_greedy = (connection for connection in connections if connection.address == greedy)
    return min(of_greedy, key=lambda connection: connection.since_seconds)


def bounded_server(application: FastAPI, host: str, port: int) -> Server:
    """Make the uvicorn server of the application; it trusts no header about where a request comes from."""
    return Server(
        Config(
            application,
            host,
            port,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=HEAD_BYTES,
        )
    )

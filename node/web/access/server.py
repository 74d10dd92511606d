"""The HTTP server: a bound on headers and connections, and the doorway that answers probes while the node starts."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import h11
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_BYTES = 16 * 1024
"""Of the request line and the headers together."""
HEAD_SECONDS = 15.0
"""From the connection, or from the first byte of the next request, to the end of its headers."""
MOST_CONNECTIONS = 200
"""For one more, the oldest idle one of the busiest address is closed: a flood leaves room for others, and the file
descriptors that DICOM needs."""
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""Addresses that are answered while the node starts."""
STARTING_SECONDS = 120.0
"""How long any other request waits for the console."""


class Doorway:
    """The node's web application from the first second: probes are answered, other requests wait for the console."""

    def __init__(self, probes: ASGIApp, names: Collection[str]) -> None:
        """Begin with the probes alone.

        Args:
            probes: answers ``PROBES``.
            names: that the node is called by, as ``http.hosts`` has them.
        """
        self._probes = probes
        self._names = names
        self._application: ASGIApp | None = None

    def open(self, application: ASGIApp) -> None:
        """Give every request to the whole application from now on, also those that wait."""
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it wait."""
        if self._application is None and scope["type"] == "http":
            hosts = Request(scope).headers.getlist("host")
            if len(hosts) != 1 or not is_our_name(hosts[0], self._names):
                await JSONResponse({"error": "This node is not called so."}, 421)(scope, receive, send)
                return
            if scope["path"] in PROBES:
                await self._probes(scope, receive, send)
                return
        deadline = time.monotonic() + STARTING_SECONDS
        while self._application is None and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        answer = JSONResponse({"error": "The node is starting."}, 503, headers={"Retry-After": "10"})
        await (self._application or answer)(scope, receive, send)


def is_our_name(host: str, names: Collection[str]) -> bool:
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


def bounded_server(application: ASGIApp, host: str, port: int) -> Server:
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

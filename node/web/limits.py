"""Limits on requests: size and time of bodies and headers, and the number of connections."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

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
MOST_CONNECTIONS = 200
"""Further ones are closed at once, so that a flood of them leaves the file descriptors that DICOM needs."""


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


class _Bounded:
    """``receive`` with a limit on bytes and a deadline."""

    def __init__(self, receive: Receive, *, most_bytes: int, whole: bool) -> None:
        self._receive = receive
        self._left = most_bytes
        self._whole = whole
        self._deadline = time.monotonic() + BODY_SECONDS
        self._more = True

    async def __call__(self) -> Message:
        if not self._more:  # the body is here: what is waited for now is the end of the connection
            return await self._receive()
        limit = self._deadline - time.monotonic() if self._whole else BODY_SECONDS
        try:
            message = await asyncio.wait_for(self._receive(), max(limit, 0.0))
        except TimeoutError as error:
            raise HTTPException(408, headers={"Connection": "close"}) from error
        self._left -= len(message.get("body", b""))
        self._more = bool(message.get("more_body", False))
        if self._left < 0:
            raise HTTPException(413, headers={"Connection": "close"})
        return message


def _refusal(request: Request, most_bytes: int) -> HTTPException | None:
    """Refuse a body by its headers alone; None where they are acceptable."""
    close = {"Connection": "close"}
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        return HTTPException(415, headers=close)
    announced = request.headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()) or int(announced) > most_bytes:
        return HTTPException(413, headers=close)
    return None


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a deadline for the headers and a bound on connections."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Accept a connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._watch()

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

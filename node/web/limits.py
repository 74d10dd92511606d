"""Limits on requests: names they are sent to, size and time of bodies."""

import asyncio
import time
from collections.abc import Collection, Mapping

from fastapi import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.web.access.server import HEAD_BYTES, is_our_name
from node.web.pages import ErrorAnswers

BODY_BYTES = 64 * 1024
"""Of an ordinary request; routes that receive studies have a limit of their own."""
BODY_SECONDS = 20.0
"""For an ordinary body from its first to its last byte; of a long one, for each piece of it."""
LEAST_BYTES_A_SECOND = 8192
"""Of a long body, once ``BODY_SECONDS`` have passed: drips do not hold a place for ever."""


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
            if len(hosts) != 1 or not is_our_name(hosts[0], self._names):
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

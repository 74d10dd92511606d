"""The real web application behind a real server on loopback, and who calls it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import httpx
from fastapi import FastAPI

from node.web.access.server import bounded_server
from tests.connections import ONCE
from tests.patience import patient, wait_until


class WebServer:
    """Serves an application on a free port until the block ends; ``url`` is where."""

    def __init__(self, application: FastAPI) -> None:
        self._server = bounded_server(application, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started or not self._thread.is_alive(), 30, "the start of the server")
        assert self._thread.is_alive(), "the server ended before it started"
        host, port = self._server.servers[0].sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=patient(10))


def calling(address: str, token: str = "") -> httpx.Client:
    """A program that calls with a token, or with none; it follows no redirect."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=address, headers=headers, timeout=patient(30), limits=ONCE)


@contextmanager
def logged_in(address: str, token: str) -> Iterator[httpx.Client]:
    """A browser after the login; it follows redirects."""
    with httpx.Client(
        base_url=address, headers={"Origin": address}, follow_redirects=True, timeout=patient(30), limits=ONCE
    ) as client:
        assert client.post("/login", data={"token": token}).status_code == 200
        yield client

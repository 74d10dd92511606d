"""The web side `site` of a module behind a server, and somebody who calls it without a token: fixtures."""

from collections.abc import Iterator

import httpx
import pytest

from tests.node.web.web import WebServer, calling
from tests.node.web.web_site import Site


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    with WebServer(site.application) as server:
        yield server.url


@pytest.fixture
def stranger(address: str) -> Iterator[httpx.Client]:
    with calling(address) as client:
        yield client

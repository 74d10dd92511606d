"""A web side with every route that the service has, and who calls it."""

from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from tests.hostile.http.routes import ALWAYS, made, makers
from tests.node.web.served import address, stranger
from tests.node.web.web import logged_in
from tests.node.web.web_site import Site

__all__ = ["address", "stranger"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    further = [partial(made, maker) for name, maker in makers().items() if name not in ALWAYS]
    return Site(tmp_path_factory.mktemp("home"), extra_routers=further)


@pytest.fixture
def browser(address: str, site: Site) -> Iterator[httpx.Client]:
    with logged_in(address, site.token) as client:
        yield client

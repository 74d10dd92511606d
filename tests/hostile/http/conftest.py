"""A web side with every route that the service has, and who calls it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.hostile.http.routes import whole_site
from tests.node.web.served import address, stranger
from tests.node.web.web import logged_in
from tests.node.web.web_site import Site

__all__ = ["address", "stranger"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return whole_site(tmp_path_factory.mktemp("home"))


@pytest.fixture
def browser(address: str, site: Site) -> Iterator[httpx.Client]:
    with logged_in(address, site.token) as client:
        yield client

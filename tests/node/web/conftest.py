"""A node's pages, and a browser that may do everything there; a module with another site says so itself."""

from collections.abc import Iterator

import httpx
import pytest

from tests.node.web.page_site import PageSite
from tests.node.web.served import address, stranger

__all__ = ["address", "stranger"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> PageSite:
    return PageSite(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser(site: PageSite) -> Iterator[httpx.Client]:
    with site.browser() as client:
        yield client

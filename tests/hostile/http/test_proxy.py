"""Row 40: whom a reverse proxy may name, and whom nobody else may."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from node.settings.http import ProxySettings
from tests.node.web.web import WebServer
from tests.node.web.web_site import Site
from tests.patience import patient

PROXY = ProxySettings(addresses=("127.0.0.1",), read_groups=("radiology", "physics"), operate_groups=("pacs",))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with WebServer(Site(tmp_path_factory.mktemp("proxied"), proxy=PROXY).application) as server:
        yield server.url


def test_a_user_of_the_reverse_proxy_may_what_the_groups_may(proxied: str) -> None:
    def ask(groups: str, path: str = "/api/studies") -> int:
        headers = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": groups}
        return httpx.get(f"{proxied}{path}", headers=headers, timeout=patient(30)).status_code

    assert ask("staff, radiology") == ask("physics", "/") == 200
    assert ask("pacs") == ask("") == ask("radiologyx") == 403
    assert ask("radiology", "/api/ledger") == 403
    assert (
        httpx.get(
            f"{proxied}/api/studies", headers={"X-Forwarded-Groups": "radiology"}, timeout=patient(30)
        ).status_code
        == 401
    )


def test_two_names_at_once_are_no_user(proxied: str) -> None:
    headers = [("X-Forwarded-User", "ada"), ("X-Forwarded-User", "eve"), ("X-Forwarded-Groups", "radiology")]
    assert httpx.get(f"{proxied}/api/studies", headers=headers, timeout=patient(30)).status_code == 403


def test_forms_of_a_user_of_the_proxy_are_checked_like_any_browsers(proxied: str) -> None:
    user = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "radiology"}
    assert httpx.post(f"{proxied}/logout", headers=user, timeout=patient(30)).status_code == 403
    assert "Log out" not in httpx.get(f"{proxied}/", headers=user, timeout=patient(30)).text


def test_a_user_named_by_anyone_but_the_proxy_is_refused_even_with_a_token(tmp_path: Path) -> None:
    elsewhere = Site(tmp_path, proxy=PROXY.model_copy(update={"addresses": ("10.9.8.0/24", "::2")}))
    with WebServer(elsewhere.application) as server:
        for extra in ({}, {"Authorization": f"Bearer {elsewhere.token}"}, {"X-Forwarded-For": "10.9.8.7"}):
            headers = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "radiology"} | extra
            assert httpx.get(f"{server.url}/api/studies", headers=headers, timeout=patient(30)).status_code == 403


def test_without_a_proxy_in_the_settings_its_headers_name_nobody(stranger: httpx.Client) -> None:
    headers = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "radiology"}
    assert stranger.get("/api/studies", headers=headers).status_code == 401

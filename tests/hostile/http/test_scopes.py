"""Row 40: who gets in. Every route of the table is asked with every kind of token."""

from datetime import timedelta

import httpx
import pytest

from node.store import now
from node.web.access.caller import Scope
from node.web.access.tokens import Tokens
from tests.hostile.http.routes import ALWAYS, makers, ways
from tests.node.web.web_site import Site

OPEN = {"/login", "/logout", "/console.css"}
"""Routes for everyone: the door itself, and what it looks like."""
PROBES = {"/livez", "/readyz", "/metrics"}
"""Routes for every program of this machine."""

LOOK_UPS = {"/studies/find"}
"""Asked by POST so that what is typed stands in no address; they change nothing."""


def test_the_table_has_the_routes_that_the_service_adds_too(site: Site) -> None:
    assert makers().keys() >= ALWAYS | {"delivery_routes", "stow_routes", "audit_routes"}
    paths = {way.path for way in ways(site)}
    assert paths >= {"/api/studies", "/doctor", "/dicomweb/studies", "/api/deliveries", "/audit/{route}"}


def test_every_route_asks_for_a_scope_but_the_door_and_the_probes(site: Site) -> None:
    found = ways(site)
    assert len(found) > 10
    assert {way.path for way in found if way.needs is None} == OPEN | PROBES
    for way in found:
        if way.method not in ("GET", "HEAD") and way.needs is not None and way.path not in LOOK_UPS:
            assert way.needs.scope is not Scope.READ, f"{way.method} {way.path} changes something with read alone"


def test_every_route_refuses_no_token_a_wrong_an_expired_and_a_removed_one(site: Site, stranger: httpx.Client) -> None:
    expired = site.add_token("expired", *Scope, expires_at=now() - timedelta(seconds=1))
    removed = site.add_token("removed", *Scope)
    Tokens(site.engine).remove("removed")
    for way in ways(site):
        if way.needs is None:
            continue
        for given in ("", "wrong", expired, removed):
            headers = {"Authorization": f"Bearer {given}"} if given else {}
            answer = stranger.request(way.method, way.path, headers=headers)
            expected = (303, "/login") if way.needs.page else (401, None)
            assert (answer.status_code, answer.headers.get("location")) == expected, (way, given)
            assert way.method == "HEAD" or way.needs.page or set(answer.json()) == {"status", "message", "cure"}


@pytest.mark.parametrize("scope", Scope)
def test_a_token_of_one_scope_opens_what_needs_it_and_gets_403_elsewhere(
    site: Site, stranger: httpx.Client, scope: Scope
) -> None:
    token = site.add_token(f"only {scope}", scope)
    for way in ways(site):
        if way.needs is not None:
            answer = stranger.request(way.method, way.path, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code == 403) == (way.needs.scope is not scope), (way, answer.status_code)
            assert answer.status_code != 401, way
            assert answer.headers.get("location") != "/login", way


def test_probes_are_for_this_machine_and_whoever_may_read(site: Site, stranger: httpx.Client) -> None:
    forwarded = {"X-Forwarded-For": "192.0.2.7"}
    reader = {"Authorization": f"Bearer {site.add_token('prometheus', Scope.READ)}"}
    for path in PROBES:
        assert stranger.get(path).status_code == 200
        assert stranger.get(path, headers=forwarded).status_code == 401
        assert stranger.get(path, headers=forwarded | reader).status_code == 200

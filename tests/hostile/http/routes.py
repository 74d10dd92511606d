"""Every route of the web side, read from the application, so that a new route is asked too."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

from fastapi import APIRouter
from fastapi.routing import APIRoute

import node.web
from node.web.guard import Guard, RequiredScope
from node.web.pages import Pages
from tests.node.web.web_site import Site


class Way(NamedTuple):
    """One method of one route, and what it asks for."""

    method: str
    path: str
    needs: RequiredScope | None


def makers() -> dict[str, Callable[..., APIRouter]]:
    """Every public function of the room that makes routes behind the guard."""
    found = {}
    for name in [module.name for module in pkgutil.iter_modules(node.web.__path__)]:
        module = importlib.import_module(f"{node.web.__name__}.{name}")
        for maker, value in inspect.getmembers(module, inspect.isfunction):
            own = value.__module__ == module.__name__ and not maker.startswith("_")
            signature = inspect.signature(value) if own else None
            if signature is None or signature.return_annotation is not APIRouter:
                continue
            if any(one.annotation is Guard for one in signature.parameters.values()):
                found[maker] = value
    return found


def made(maker: Callable[..., APIRouter], guard: Guard) -> APIRouter:
    """Routes with nothing behind them: here it is asked who gets in."""
    stands_for = {Guard: guard, Pages: Pages("HEATPROOF")}
    wanted = {name: one for name, one in inspect.signature(maker).parameters.items() if one.default is one.empty}
    return maker(**{name: stands_for.get(one.annotation, MagicMock()) for name, one in wanted.items()})


ALWAYS = {
    "login_routes",
    "overview_routes",
    "study_routes",
    "refusal_routes",
    "rule_routes",
    "dry_run_routes",
    "ledger_routes",
}
"""What every application has; the service adds the others."""


def whole_site(home: Path) -> Site:
    """Make a web side with every route that the service has."""
    return Site(home, extra_routers=[partial(made, maker) for name, maker in makers().items() if name not in ALWAYS])


def ways(site: Site) -> list[Way]:
    return [
        Way(method, route.path, _asks(route))
        for route in _routes(site.application.routes)
        for method in sorted(route.methods or ())
    ]


def _routes(routes: Any) -> Iterator[APIRoute]:
    for route in routes:
        nested = getattr(route, "original_router", None) or getattr(route, "routes", None)
        if nested:
            yield from _routes(getattr(nested, "routes", nested))
        elif isinstance(route, APIRoute):
            yield route


def _asks(route: APIRoute) -> RequiredScope | None:
    calls = [dependency.call for dependency in route.dependant.dependencies]
    return next((call for call in calls if isinstance(call, RequiredScope)), None)

"""The audit of routes: charts, findings by scanner, class or month, stopping and arming; page and JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from inference.errors import Refused
from node.audit.audit import Audit
from node.audit.opinions import Opinions
from node.audit.view import View
from node.settings.audit import RouteState
from node.web.access.caller import Principal, Scope
from node.web.guard import Guard, read_form
from node.web.pages import Pages
from reports.audit.charts.monitor import Figure
from reports.audit.month.groups import Group
from reports.audit.month.month import Proportion
from reports.audit.observation import FIGURES
from reports.audit.repeatability.statistics import Estimate

Grouping = Literal["month", "scanner", "protocol", "label", "method", "model"]
Value = Annotated[str, Field(max_length=400)]
MOVED = 308
"""Permanent Redirect (RFC 9110 15.4.9)."""
_NO_ROUTE: Mapping[str, object] = {"absent": (), "repeatability": None}
"""What the page of a node without rules shows of a route."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CaseFilter(BaseModel):
    """Which cases of a route are looked at, as parameters of an address; empty: all."""

    model_config = ConfigDict(frozen=True)

    scanner: Value = ""
    protocol: Value = ""
    label: Value = ""
    """The class."""
    method: Value = ""
    model: Value = ""
    month: Annotated[str, Field(pattern=r"^(\d{4}-\d{2})?$")] = ""
    by: Grouping = "month"

    def view(self, audit: Audit, route: str) -> View:
        """Make the view of a route that this asks for."""
        named = {name: str(getattr(self, name)) for name in ("scanner", "protocol", "label", "method", "model")}
        return View(audit, route, tuple((name, value) for name, value in named.items() if value), self.month, self.by)


class PageFilter(CaseFilter):
    """What the page's form asks for."""

    route: Annotated[str, Field(max_length=64)] = ""
    """Empty: the first."""


@dataclass(frozen=True)
class DailySeries:
    """One figure as columns, a point for each day that has a case; the state inside its control charts is left out."""

    figure: str
    meaning: str
    absent: str
    """Why there is no chart; empty where there is one."""
    baseline_cases: int
    baseline_mean: float | None
    days: tuple[str, ...]
    """Dates in UTC, as 2026-01-31."""
    cases: tuple[int, ...]
    means: tuple[float, ...]


@dataclass(frozen=True)
class ShareWithInterval:
    """``part`` of ``of`` cases; its 95 % interval is None where there are too few."""

    part: int
    of: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class GroupFigures:
    """The findings of one scanner, say, or one month."""

    name: str
    cases: int
    shares: dict[str, ShareWithInterval]
    means: Mapping[str, Estimate | None]
    """With 95 % intervals; None: too few cases."""


@dataclass(frozen=True)
class RouteAudit:
    """One view of a route."""

    route: str
    state: RouteState
    reason: str
    filter: CaseFilter
    false_alarms_every_days: float | None
    """Days with a case between two false alarms of one chart; None: no baseline is locked."""
    alarms: tuple[str, ...]
    charts: tuple[DailySeries, ...]
    groups: tuple[GroupFigures, ...]
    choices: Mapping[str, tuple[str, ...]]
    """Values that the view can be narrowed by."""


def audit_routes(audit: Audit, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/audit`` with the forms that stop and arm a route, ``/api/audit``, and redirects from ``quality``."""
    routes = APIRouter()
    routes.include_router(_api(audit, guard))
    opinions = Opinions(audit.engine, audit.ledger)

    @routes.get("/audit")
    def show(caller: Annotated[Principal, Depends(guard.page)], asked: Annotated[PageFilter, Query()]) -> Response:
        content = _page(audit, opinions, asked)
        return pages.show("audit.html", caller=caller, here="/audit", may_act=caller.may(Scope.AUDIT), **content)

    @routes.post("/audit/{route}")
    async def act(route: str, request: Request, caller: Annotated[Principal, Depends(guard.audit)]) -> Response:
        form = await read_form(request)
        await run_in_threadpool(change, audit, route, form.get("do", ""), form.get("reason", ""), caller.name)
        return RedirectResponse(f"/audit?{urlencode({'route': route})}", status_code=303)

    @routes.get("/quality", dependencies=[Depends(guard.page)], include_in_schema=False)
    def old_page(request: Request) -> Response:
        return _moved("/audit", request)

    return routes


def _page(audit: Audit, opinions: Opinions, asked: PageFilter) -> dict[str, Any]:
    """Return what the page shows: of the route asked for, or the first; and of the whole audit.

    Raises:
        UnknownName: no rule has this name.
    """
    names = [rule.name for rule in audit.rules()]
    chosen = asked.route or (names[0] if names else "")
    return {
        "names": names,
        "route": chosen,
        "asked": asked,
        **(_of_route(audit, chosen, asked) if chosen else _NO_ROUTE),
        "false_alarms": audit.settings.audit.false_alarms_per_year,
        "replays": audit.replays(),
        "opinions": opinions.counts(),
        "proposal": opinions.proposal(audit.settings.inference.alpha),
        "head": str(audit.ledger.head()),
    }


def _of_route(audit: Audit, route: str, asked: PageFilter) -> dict[str, Any]:
    audit.known(route)
    view = asked.view(audit, route)
    control = view.control
    return {
        "is_narrowed": bool(view.where),
        "choices": view.choices(),
        "groups": view.groups(),
        "standing": audit.arming.standing(route),
        "control": control,
        "charts": [(figure, Markup(drawn)) for figure, drawn in view.pictures()],  # noqa: S704 - every word escaped
        "absent": [figure for figure in (control.figures if control else ()) if not figure.points],
        "repeatability": view.repeatability(),
    }


def _api(audit: Audit, guard: Guard) -> APIRouter:
    routes = APIRouter(prefix="/api", dependencies=[Depends(guard.read)])

    @routes.get("/audit")
    def all_routes() -> dict[str, object]:
        return audit.told()

    @routes.get("/audit/{route}")
    def one_route(route: str, asked: Annotated[CaseFilter, Query()]) -> RouteAudit:
        audit.known(route)
        view, standing = asked.view(audit, route), audit.arming.standing(route)
        control = view.control
        return RouteAudit(
            route=route,
            state=standing.state,
            reason=standing.reason,
            filter=asked,
            false_alarms_every_days=control.run_length if control else None,
            alarms=tuple(alarm.sentence for alarm in control.alarms) if control else (),
            charts=tuple(_series(figure) for figure in control.figures) if control else (),
            groups=tuple(_group(group) for group in view.groups()),
            choices=view.choices(),
        )

    @routes.get("/quality", include_in_schema=False)
    def old_routes(request: Request) -> Response:
        return _moved("/api/audit", request)

    @routes.get("/quality/{route}", include_in_schema=False)
    def old_route(route: str, request: Request) -> Response:
        return _moved(f"/api/audit/{quote(route, safe='')}", request)

    return routes


def change(audit: Audit, route: str, action: str, reason: str, by_whom: str) -> None:
    """Arm or stop a route, as a form asks.

    Raises:
        Refused, UnknownName: the action is unknown, no reason is given, or the route may not be armed.
    """
    audit.known(route)
    if action == "arm":
        audit.arm(route, reason, by_whom=by_whom)
        return
    stops = [state.value for state in RouteState if state is not RouteState.ARMED]
    if action not in stops or not reason.strip():
        raise Refused("Stopping a route needs an action and a reason.", cure=f"Actions are {', '.join(stops)}.")
    audit.arming.stop(route, RouteState(action), reason, by_whom=by_whom)


def _moved(path: str, request: Request) -> RedirectResponse:
    query = request.url.query
    return RedirectResponse(f"{path}?{query}" if query else path, MOVED)


def _series(figure: Figure) -> DailySeries:
    return DailySeries(
        figure=figure.name,
        meaning=FIGURES[figure.name],
        absent=figure.absent,
        baseline_cases=figure.baseline_cases,
        baseline_mean=figure.baseline_mean if math.isfinite(figure.baseline_mean) else None,
        days=tuple((_EPOCH + timedelta(days=int(point.period))).date().isoformat() for point in figure.points),
        cases=tuple(point.cases for point in figure.points),
        means=tuple(point.mean for point in figure.points),
    )


def _share(share: Proportion) -> ShareWithInterval:
    return ShareWithInterval(share.part, share.whole, share.interval if share.is_finding else None)


def _group(group: Group) -> GroupFigures:
    shares = {share.name: _share(share) for share in group.shares}
    return GroupFigures(group.name, group.cases, shares, group.means)

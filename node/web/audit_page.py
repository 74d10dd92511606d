"""The page of quality assurance: what each route may do, its charts, its golden set; stopping and arming."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from inference.errors import Refused
from node.audit.audit import Quality
from node.audit.opinions import Opinions
from node.settings.audit import RouteState
from node.web.access.caller import Caller, Scope
from node.web.audit import Filter, route_quality
from node.web.form import read_form
from node.web.guard import Guard
from node.web.pages import Pages


class Asked(Filter):
    """What the page's form asks for."""

    route: Annotated[str, Field(max_length=64)] = ""
    """Empty: the first."""


def quality_page(quality: Quality, pages: Pages, guard: Guard) -> APIRouter:
    """Give ``/quality``, its JSON under ``/api/quality``, and the forms that stop and arm a route."""
    routes = APIRouter()
    routes.include_router(route_quality(quality, guard))
    said = Opinions(quality.engine, quality.ledger)

    @routes.get("/api/quality", dependencies=[Depends(guard.read)])
    def told() -> dict[str, object]:
        return quality.told()

    @routes.get("/quality")
    def show(
        caller: Annotated[Caller, Depends(guard.page)],
        asked: Annotated[Asked, Query()],
    ) -> Response:
        names = [rule.name for rule in quality.rules()]
        chosen = asked.route or (names[0] if names else "")
        if chosen:
            quality.known(chosen)
        view = asked.view(quality, chosen)
        control = view.control if chosen else None
        charts = [
            (figure, Markup(drawn))  # noqa: S704 - drawn here, every word escaped
            for figure, drawn in (view.pictures() if chosen else ())
        ]
        return pages.show(
            "quality.html",
            caller=caller,
            here="/quality",
            names=names,
            route=chosen,
            asked=asked,
            is_narrowed=bool(view.where),
            choices=view.choices() if chosen else {},
            groups=view.groups() if chosen else (),
            standing=quality.arming.standing(chosen) if chosen else None,
            control=control,
            false_alarms=quality.settings.audit.false_alarms_per_year,
            charts=charts,
            absent=[figure for figure in (control.figures if control else ()) if not figure.points],
            replays=quality.replays(),
            repeatability=view.repeatability() if chosen else None,
            opinions=said.counts(),
            proposal=said.proposal(quality.settings.inference.alpha),
            head=str(quality.ledger.head()),
            may_act=caller.may(Scope.AUDIT),
        )

    @routes.post("/quality/{route}")
    async def act(route: str, request: Request, caller: Annotated[Caller, Depends(guard.audit)]) -> Response:
        form = await read_form(request)
        await run_in_threadpool(change, quality, route, form.get("do", ""), form.get("reason", ""), caller.name)
        return RedirectResponse(f"/quality?route={route}", status_code=303)

    return routes


def change(quality: Quality, route: str, what: str, reason: str, by_whom: str) -> None:
    """Arm or stop a route, as a form asks.

    Raises:
        Refused, UnknownName: it asks for something else, gives no reason, or the route may not be armed.
    """
    quality.known(route)
    if what == "arm":
        quality.arm(route, reason, by_whom=by_whom)
        return
    stops = [state.value for state in RouteState if state is not RouteState.ARMED]
    if what not in stops or not reason.strip():
        raise Refused(
            "A route is stopped by a form that says how and why.", cure=f"Give a reason, and one of {', '.join(stops)}."
        )
    quality.arming.stop(route, RouteState(what), reason, by_whom=by_whom)

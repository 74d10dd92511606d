"""The page of the ledger: its rows by event, route and day, its head, its check and its download."""

from contextlib import suppress
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from inference.errors import Unavailable, UnknownName
from node.routing.rulebook import Rulebook
from node.web.access.caller import Caller, Scope
from node.web.guard import Guard, Needs
from node.web.ledger import LedgerDesk, filter_of, ledger_routes
from node.web.pages import Pages
from reports.audit.ledger import Event

ROWS_SHOWN = 100
CHECKING_SECONDS = 2
"""How often the page shows itself anew while the chain is recomputed."""


def ledger_page(desk: LedgerDesk, rulebook: Rulebook, pages: Pages, guard: Guard) -> APIRouter:
    """Give ``/ledger``, its form, and the JSON under ``/api/ledger``."""
    routes = APIRouter()
    routes.include_router(ledger_routes(desk, guard))

    @routes.get("/ledger")
    def show(
        caller: Annotated[Caller, Depends(Needs(guard, Scope.AUDIT, page=True))],
        event: Annotated[str, Query(max_length=32)] = "",
        route: Annotated[str, Query(max_length=64)] = "",
        day: Annotated[str, Query(max_length=10)] = "",
        below: Annotated[int | None, Query(ge=1)] = None,
    ) -> Response:
        chosen = filter_of([_event(event)] if event else (), route, _day(day))
        verification = desk.verification
        return pages.show(
            "ledger.html",
            caller=caller,
            here="/ledger",
            page=desk.page(chosen, below=below, limit=ROWS_SHOWN),
            verification=verification,
            events=sorted(Event),
            names=[rule.name for rule in rulebook.rules],
            chosen={"event": event, "route": route, "day": day},
            below=below,
            refresh_seconds=CHECKING_SECONDS if verification.state == "running" else 0,
        )

    @routes.post("/ledger/verify")
    async def check(caller: Annotated[Caller, Depends(guard.audit)]) -> Response:
        with suppress(Unavailable):  # one is under way: the page shows it
            await run_in_threadpool(desk.verify, caller.name)
        return RedirectResponse("/ledger", status_code=303)

    return routes


def _event(name: str) -> Event:
    if name not in list(Event):
        raise UnknownName("There is no such event.", cure="Choose one on the page of the ledger.")
    return Event(name)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise UnknownName("This is no day.", cure="Write it as 2026-01-31.") from error

"""The ledger: its rows a page at a time, the check of its hash chain, and its download; page and JSON."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from inference.errors import Unavailable, UnknownName
from node.routing.rulebook import Rulebook
from node.web.access.caller import Principal, Scope
from node.web.background import BackgroundTask, Progress, ReportProgress
from node.web.guard import Guard, RequiredScope
from node.web.pages import Freshness, Pages
from reports.audit.export import TextFormat
from reports.audit.ledger import Entry, Event, Ledger
from reports.audit.ledger_page import Filter, anchor_of, lines, newest

MOST_ROWS = 1000
ROWS_SHOWN = 100
CHECKING_SECONDS = 2
"""How often the page can refresh while the chain is recomputed."""
MEDIA_TYPES = {"csv": "text/csv", "jsonl": "application/jsonl"}


@dataclass(frozen=True)
class LedgerPage:
    """Some rows, newest first."""

    entries: tuple[Entry, ...]
    below: int | None
    """What the next page is asked for with; None: there is none."""
    head: str
    """Number and digest of the last row of all."""
    anchor: str | None
    """Number and digest of the last row that retention removed; None: no row was removed."""


@dataclass(frozen=True)
class ChainCheck:
    """What recomputing the hash chain found."""

    intact: bool
    first_broken: int | None
    """First row that is changed, missing or out of place; None: the chain is intact."""
    head: str
    """Number and digest of the last row that was checked."""


class LedgerDesk:
    """What page and API ask of the ledger."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine = engine
        self._ledger = ledger
        self._verification: BackgroundTask[ChainCheck] = BackgroundTask("verify")

    def page(self, which: Filter, *, below: int | None, limit: int) -> LedgerPage:
        """List some rows, newest first."""
        rows = newest(self._engine, which, below=below, limit=limit + 1)
        shown, anchor = rows[:limit], anchor_of(self._engine)
        next_below = shown[-1].seq if len(rows) > limit else None
        return LedgerPage(shown, next_below, str(self._ledger.head()), str(anchor) if anchor else None)

    def verify(self, by_whom: str) -> Progress[ChainCheck]:
        """Begin to recompute the chain, in the background; progress is counted in rows.

        Raises:
            Unavailable: a check is in progress.
        """
        head = self._ledger.head()

        def work(report: ReportProgress) -> ChainCheck:
            first_broken = self._ledger.verify(say=report)
            report(head.seq)
            return ChainCheck(first_broken is None, first_broken, str(head))

        return self._verification.start(work, of=head.seq, by_whom=by_whom)

    @property
    def verification(self) -> Progress[ChainCheck]:
        """How far the check is, or its result."""
        return self._verification.progress

    def download(self, kind: TextFormat) -> StreamingResponse:
        """Stream every row there is now."""
        head = self._ledger.head()
        headers = {"Content-Disposition": f'attachment; filename="ledger-{head.seq}.{kind}"'}
        return StreamingResponse(lines(self._engine, head.seq, kind), media_type=MEDIA_TYPES[kind], headers=headers)


def ledger_routes(desk: LedgerDesk, rulebook: Rulebook, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/ledger`` with its form, and ``/api/ledger``."""
    routes = APIRouter()
    routes.include_router(_api(desk, guard))

    @routes.get("/ledger")
    def show(
        request: Request,
        caller: Annotated[Principal, Depends(RequiredScope(guard, Scope.AUDIT, page=True))],
        event: Annotated[str, Query(max_length=32)] = "",
        route: Annotated[str, Query(max_length=64)] = "",
        day: Annotated[str, Query(max_length=10)] = "",
        below: Annotated[int | None, Query(ge=1)] = None,
    ) -> Response:
        chosen = _filter((_event(event),) if event else (), route, _day(day))
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
            fresh=Freshness.of(request, CHECKING_SECONDS if verification.state == "running" else 0),
        )

    @routes.post("/ledger/verify")
    async def check(caller: Annotated[Principal, Depends(guard.audit)]) -> Response:
        with suppress(Unavailable):  # a check is in progress: the page shows it
            await run_in_threadpool(desk.verify, caller.name)
        return RedirectResponse("/ledger?refresh=on", status_code=303)

    return routes


def _api(desk: LedgerDesk, guard: Guard) -> APIRouter:
    routes = APIRouter(prefix="/api/ledger", dependencies=[Depends(guard.audit)])

    @routes.get("")
    def some_rows(
        event: Annotated[list[Event] | None, Query()] = None,
        route: Annotated[str, Query(max_length=64)] = "",
        day: date | None = None,
        below: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
    ) -> LedgerPage:
        return desk.page(_filter(tuple(event or ()), route, day), below=below, limit=limit)

    @routes.get("/verify")
    def last_check() -> Progress[ChainCheck]:
        return desk.verification

    @routes.post("/verify", status_code=202)
    def check(caller: Annotated[Principal, Depends(guard.audit)]) -> Progress[ChainCheck]:
        return desk.verify(caller.name)

    @routes.get("/export", response_class=StreamingResponse)
    def export(format: TextFormat = "csv") -> StreamingResponse:  # noqa: A002 - the name of the query parameter
        return desk.download(format)

    return routes


def _filter(events: tuple[Event, ...], route: str, day: date | None) -> Filter:
    """Make the filter for a day on the node's clock."""
    try:
        since = datetime(day.year, day.month, day.day).astimezone() if day else None
        return Filter(events, route, since, since + timedelta(days=1) if since else None)
    except ValueError as error:  # OverflowError elsewhere on the calendar
        raise OverflowError(day) from error


def _event(name: str) -> Event:
    if name not in list(Event):
        raise UnknownName("There is no such event.", cure="Choose one on the page of the ledger.")
    return Event(name)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise UnknownName("This is not a date.", cure="Write it as 2026-01-31.") from error

"""The ledger as JSON, a page at a time; its check, and its download."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from sqlalchemy import Engine

from node.web.access.caller import Caller
from node.web.chore import Chore, Progress, Say
from node.web.guard import Guard
from reports.audit.export import TextFormat
from reports.audit.ledger import Entry, Event, Ledger
from reports.audit.ledger_page import Filter, anchor_of, lines, newest

MOST_ROWS = 1000
MEDIA = {"csv": "text/csv", "jsonl": "application/jsonl"}


@dataclass(frozen=True)
class LedgerPage:
    """Some rows, newest first."""

    entries: tuple[Entry, ...]
    below: int | None
    """What the next page is asked for with; None: there is none."""
    head: str
    """Number and digest of the last row of all."""
    anchor: str | None
    """Of the last row that retention let go; None: all are here."""


@dataclass(frozen=True)
class Check:
    """What recomputing the chain found."""

    first_broken: int | None
    """First row that is changed, missing or out of place; None: all is as it was written."""
    head: str
    """Up to where."""


@dataclass(frozen=True)
class Verification:
    """How far a check of the chain is, or what the last one found since the node started."""

    state: Literal["never asked for", "running", "done", "failed"]
    checked: int
    rows: int
    by_whom: str
    started_at: datetime | None
    finished_at: datetime | None
    intact: bool | None
    """None: it has not ended, or was never asked for."""
    first_broken: int | None
    head: str | None


class LedgerDesk:
    """What page and API ask of the ledger."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine = engine
        self._ledger = ledger
        self._chore: Chore[Check] = Chore("verify")

    def page(self, wanted: Filter, *, below: int | None, limit: int) -> LedgerPage:
        """Give some rows, newest first."""
        found = newest(self._engine, wanted, below=below, limit=limit + 1)
        shown, anchor = found[:limit], anchor_of(self._engine)
        going_on = shown[-1].seq if len(found) > limit else None
        return LedgerPage(shown, going_on, str(self._ledger.head()), str(anchor) if anchor else None)

    def verify(self, by_whom: str) -> Verification:
        """Begin to recompute the chain, in the background.

        Raises:
            Unavailable: a check is under way.
        """
        head = self._ledger.head()

        def work(say: Say) -> Check:
            return Check(self._ledger.verify(say=say), str(head))

        return _told(self._chore.start(work, of=head.seq, by_whom=by_whom))

    @property
    def verification(self) -> Verification:
        """How far the check is."""
        return _told(self._chore.standing)

    def download(self, kind: TextFormat) -> StreamingResponse:
        """Give every row there is now, as a stream."""
        head = self._ledger.head()
        named = {"Content-Disposition": f'attachment; filename="ledger-{head.seq}.{kind}"'}
        return StreamingResponse(lines(self._engine, head.seq, kind), media_type=MEDIA[kind], headers=named)


def ledger_routes(desk: LedgerDesk, guard: Guard) -> APIRouter:
    """Give ``/api/ledger`` and what is below it."""
    routes = APIRouter(prefix="/api/ledger", dependencies=[Depends(guard.audit)])

    @routes.get("")
    def some_rows(
        event: Annotated[list[Event] | None, Query()] = None,
        route: Annotated[str, Query(max_length=64)] = "",
        day: date | None = None,
        below: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
    ) -> LedgerPage:
        return desk.page(filter_of(event or (), route, day), below=below, limit=limit)

    @routes.get("/verify")
    def last_check() -> Verification:
        return desk.verification

    @routes.post("/verify", status_code=202)
    def check(caller: Annotated[Caller, Depends(guard.audit)]) -> Verification:
        return desk.verify(caller.name)

    @routes.get("/export", response_class=StreamingResponse)
    def export(format: TextFormat = "csv") -> StreamingResponse:  # noqa: A002 - what the address calls it
        return desk.download(format)

    return routes


def filter_of(events: list[Event] | tuple[Event, ...], route: str, day: date | None) -> Filter:
    """Give the filter for a day on the node's clock."""
    since = datetime(day.year, day.month, day.day).astimezone() if day else None
    return Filter(tuple(events), route, since, since + timedelta(days=1) if since else None)


def _told(standing: Progress[Check]) -> Verification:
    found = standing.result
    return Verification(
        state=standing.state,
        checked=standing.of if found else standing.done,
        rows=standing.of,
        by_whom=standing.by_whom,
        started_at=standing.started_at,
        finished_at=standing.finished_at,
        intact=found.first_broken is None if found else None,
        first_broken=found.first_broken if found else None,
        head=found.head if found else None,
    )

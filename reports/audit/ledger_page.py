"""The ledger a page at a time, the newest rows first: each walks along an index, however long the ledger is."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import ColumnElement, Connection, Engine, Row, false, select, true

from reports.audit.export import ROWS_AT_ONCE, TextFormat, as_text, heading
from reports.audit.ledger import Entry, Event, LedgerHead, anchor, entries, entry_of

ROUTED_EVENTS = (
    Event.ROUTED, Event.NOT_ROUTED, Event.RULES_LOADED, Event.BASELINE_LOCKED, Event.ALARM, Event.ROUTE_STOPPED,
    Event.ROUTE_ARMED,
)  # fmt: skip
"""Those whose rows name a route."""


@dataclass(frozen=True)
class Filter:
    """Which rows."""

    events: Sequence[Event] = ()
    """Of these only; all where empty."""
    route: str = ""
    """Only those that name this route, of ``ROUTED_EVENTS``."""
    since: datetime | None = None
    """Written then or later."""
    before: datetime | None = None
    """Written earlier than that."""


def newest(engine: Engine, selected: Filter, *, below: int | None = None, limit: int = 100) -> tuple[Entry, ...]:
    """Return some rows, newest first.

    Args:
        engine: of the store.
        selected: which rows.
        below: with a smaller number only: where the page before ended.
        limit: how many at most.
    """
    query = select(entries).order_by(entries.c.seq.desc())
    if below is not None:
        query = query.where(entries.c.seq < below)
    events = selected.events or (ROUTED_EVENTS if selected.route else ())
    matching: list[Row[tuple[object, ...]]] = []
    with engine.connect() as connection:
        for at, is_first in ((selected.since, True), (selected.before, False)):
            if at is not None:
                query = query.where(_side(connection, at, is_first=is_first))
        for of_event in [query.where(entries.c.event == event) for event in events] or [query]:
            if selected.route:  # case is told apart below: some databases do not
                of_event = of_event.where(
                    entries.c.details.contains(f'"route": {json.dumps(selected.route)}', autoescape=True)
                )
            with connection.execution_options(yield_per=limit).execute(of_event) as rows:
                matching += islice((row for row in rows if not selected.route or _route(row) == selected.route), limit)
    return tuple(entry_of(row) for row in sorted(matching, key=lambda row: -int(row.seq))[:limit])


def anchor_of(engine: Engine) -> LedgerHead | None:
    """Return the last row that retention deleted, from which the chain is verified; None: none was."""
    with engine.connect() as connection:
        row = connection.execute(select(anchor.c.seq, anchor.c.digest)).one_or_none()
    return LedgerHead(row.seq, row.digest) if row else None


def _route(row: Row[tuple[object, ...]]) -> object:
    return entry_of(row).details.get("route")


def _side(connection: Connection, at: datetime, *, is_first: bool) -> ColumnElement[bool]:
    """Say by their numbers which rows lie from, or before, a time: numbers have the order of times, and an index."""
    text = at.astimezone(UTC).isoformat(timespec="microseconds")
    first = select(entries.c.seq).where(entries.c.at >= text).order_by(entries.c.at, entries.c.seq).limit(1)
    edge = connection.execute(first).scalar()
    if edge is None:
        return false() if is_first else true()
    return entries.c.seq >= edge if is_first else entries.c.seq < edge


def lines(engine: Engine, upto: int, kind: TextFormat) -> Iterator[str]:
    """Yield all rows up to a number as text, oldest first; between two pieces no connection is held."""
    columns = [column.name for column in entries.columns]
    yield heading(columns, kind)
    last = 0
    while True:
        query = select(entries).where(entries.c.seq > last, entries.c.seq <= upto).order_by(entries.c.seq)
        with engine.connect() as connection:
            rows = connection.execute(query.limit(ROWS_AT_ONCE)).all()
        if not rows:
            return
        last = rows[-1].seq
        yield as_text((tuple(row) for row in rows), columns, kind)

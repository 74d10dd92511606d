"""The record of associations that were refused, or accepted without some presentation contexts, for the doctor.

Against a hostile peer, repeated refusals are one row with a count, rows are limited for each address and in all, and a
background thread writes them in batches.
"""

import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, replace
from hashlib import sha256

import structlog
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    String,
    Table,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError

from node.associations.request import Offer, Refusal, printable
from node.store import METADATA, Moment, insert_into
from reports.audit.counted import CountedEvents
from reports.audit.ledger import Event

MAXIMUM_ROWS = 2000
MAXIMUM_ROWS_OF_ADDRESS = 100
MAXIMUM_OFFERS = 16
"""Contexts of one refusal that are kept; the rest is counted."""
_MAXIMUM_WAITING = 256
_WRITE_SECONDS = 0.2

refusals = Table(
    "refusals",
    METADATA,
    Column("id", String(64), primary_key=True),  # digest of who was refused what: the same again is counted
    Column("at", Moment(), nullable=False, index=True),  # the last time
    Column("times", Integer, nullable=False),
    Column("peer_address", String(64), nullable=False, index=True),
    Column("calling_ae_title", String(64), nullable=False),  # as sent, escaped and cut
    Column("called_ae_title", String(64), nullable=False),
    Column("offers", JSON, nullable=False),  # presentation contexts: context_id, abstract_syntax, transfer_syntaxes
    Column("accepted", Boolean, nullable=False),  # whether the association was accepted without these contexts
    Column("result", Integer),  # of the A-ASSOCIATE-RJ; none where it was aborted or accepted
    Column("source", Integer),
    Column("reason", Integer),
    Column("problem", Text, nullable=False),
    Column("cure", Text, nullable=False),
)


class Refusals:
    """The table ``refusals``; also recorded in the ledger, counted by address and hour."""

    def __init__(self, engine: Engine, counted: CountedEvents | None = None) -> None:
        """Read and write; the ledger may be left out where only ``latest`` is asked."""
        self._engine = engine
        self._counted = counted
        self._waiting: deque[Refusal] = deque(maxlen=_MAXIMUM_WAITING)
        self._writing = threading.Lock()
        self._something = threading.Event()
        self._writer: threading.Thread | None = None
        self._closed = threading.Event()
        self._log = structlog.get_logger("refusals")

    def record(self, refusal: Refusal) -> None:
        """Queue one refusal; it is written within a second. Does not block."""
        self._waiting.append(_bounded(refusal))
        self._something.set()
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_on, name="refusals", daemon=True)
            self._writer.start()

    def latest(self, limit: int = 50) -> tuple[Refusal, ...]:
        """Return the last ones, the newest first."""
        self.flush()
        query = select(refusals).order_by(refusals.c.at.desc()).limit(limit)
        with self._engine.connect() as connection:
            return tuple(_refusal(row._asdict()) for row in connection.execute(query))

    def flush(self) -> None:
        """Write the queued refusals."""
        with self._writing:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if not waiting:
                return
            for address, times in Counter(refusal.peer_address for refusal in waiting).items():
                of_address = Counter((r.problem, r.cure) for r in waiting if r.peer_address == address)
                ((problem, cure), _), *_ = of_address.most_common(1)  # one line, however many kinds
                self._log.warning(
                    "association_refused", peer_address=address, attempts=times, problem=problem, cure=cure
                )
            try:
                with self._engine.begin() as connection:
                    _write(connection, waiting)
                for refusal in waiting:
                    self._tell(refusal)
            except DBAPIError as error:
                self._log.warning("refusals_not_written", instances=len(waiting), error=type(error).__name__)

    def close(self) -> None:
        """Write what waits, and write nothing behind anybody's back any more."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._closed.set()
            self._something.set()
            writer.join()
            self._closed.clear()
        self.flush()

    def _tell(self, refusal: Refusal) -> None:
        if self._counted is not None and not refusal.accepted:
            details = {"calling_ae_title": refusal.calling_ae_title, "problem": refusal.problem}
            self._counted.tell(Event.ASSOCIATION_REFUSED, refusal.peer_address, details=details)

    def _write_on(self) -> None:
        while not self._closed.is_set():
            self._something.wait()
            self._something.clear()
            self.flush()
            self._closed.wait(_WRITE_SECONDS)


def _bounded(refusal: Refusal) -> Refusal:
    offers = tuple(
        Offer(offer.context_id, printable(offer.abstract_syntax, 64), tuple(offer.transfer_syntaxes[:32]))
        for offer in refusal.offers[:MAXIMUM_OFFERS]
    )
    return replace(
        refusal,
        problem=printable(refusal.problem, 500),
        cure=printable(refusal.cure, 500),
        peer_address=refusal.peer_address[:64],
        calling_ae_title=printable(refusal.calling_ae_title, 64),
        called_ae_title=printable(refusal.called_ae_title, 64),
        offers=offers,
    )


def _write(connection: Connection, waiting: Sequence[Refusal]) -> None:
    for refusal in waiting:
        insert = insert_into(connection, refusals).values(**_row(refusal))
        connection.execute(
            insert.on_conflict_do_update(
                index_elements=[refusals.c.id], set_={"at": refusal.at, "times": refusals.c.times + 1}
            )
        )
    for address in {refusal.peer_address for refusal in waiting}:
        _trim(connection, MAXIMUM_ROWS_OF_ADDRESS, address)
    _trim(connection, MAXIMUM_ROWS, None)


def _trim(connection: Connection, most: int, address: str | None) -> None:
    of_address = () if address is None else (refusals.c.peer_address == address,)
    if connection.execute(select(func.count()).select_from(refusals).where(*of_address)).scalar_one() > most:
        kept = select(refusals.c.id).where(*of_address).order_by(refusals.c.at.desc()).limit(most)
        connection.execute(delete(refusals).where(*of_address, refusals.c.id.not_in(kept.scalar_subquery())))


def _row(refusal: Refusal) -> dict[str, object]:
    row = asdict(replace(refusal, id=""))
    same = (refusal.peer_address, refusal.calling_ae_title, refusal.called_ae_title, refusal.problem, refusal.offers)
    return {**row, "id": sha256(repr(same).encode()).hexdigest(), "offers": row["offers"]}


def _refusal(row: dict[str, object]) -> Refusal:
    offers = tuple(
        Offer(offer["context_id"], offer["abstract_syntax"], tuple(offer["transfer_syntaxes"]))
        for offer in row.pop("offers")  # type: ignore[attr-defined]
    )
    return Refusal(offers=offers, **row)  # type: ignore[arg-type]

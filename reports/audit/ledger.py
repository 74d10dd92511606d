"""The ledger: an append-only, hash-chained log of what happened to every study.

Each row carries the digest of the row before it and its own, so that a changed, inserted or missing row breaks the
chain and ``verify`` names it; the head is kept apart, so that a cut tail is seen too. Digests need no key: a copy of
the table can be verified offline. Studies appear as a keyed hash (HMAC-SHA-256 under the site's key), and details are
limited to listed names: no patient is in it.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)

from inference.errors import Refused, UnknownName

METADATA = MetaData()

entries = Table(
    "ledger",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False, index=True),  # ISO 8601 in UTC: the digest covers these very characters
    Column("event", String(32), nullable=False),
    Column("study", String(64), index=True),  # keyed hash of the Study Instance UID
    Column("details", Text, nullable=False),  # JSON, keys sorted
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Index("ix_ledger_event", "event", "seq"),
)

head = Table(
    "ledger_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1: its row is the lock of ``append``
    Column("seq", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
)

anchor = Table(
    "ledger_anchor",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1; no row: nothing was ever deleted
    Column("seq", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
)
"""The last row that retention deleted: the chain is verified from there."""

ROWS_AT_ONCE = 10_000
GENESIS = "0" * 64
"""What the first row names as the one before it."""

DETAIL_NAMES = frozenset(
    {
        "before", "bundle", "bundles", "by_whom", "calling_ae_title", "capture", "content", "destination", "device",
        "error", "false_alarms_per_year", "fingerprint", "job", "level", "libraries", "maps", "month", "objects",
        "peer_address", "place", "problem", "proof", "quarantine", "route", "run_length", "scopes", "settings",
        "since", "source", "state", "status", "token", "trust", "verdicts", "version", "weights", "word", "worker",
    }
)  # fmt: skip
"""Names of the details that a row may hold; none of them can name a patient."""

Detail = str | int | float | bool | None


class Event(StrEnum):
    """What can happen, as stored."""

    STARTED = "started"
    STOPPED = "stopped"
    REFUSED = "refused"
    ASSOCIATION_REFUSED = "association refused"
    QUARANTINED = "quarantined"
    CORRECTED = "patient corrected"
    OWN_RESULT = "own result came back"
    ROUTED = "routed"
    NOT_ROUTED = "not routed"
    SET_ASIDE = "set aside, could not be decided"
    DECIDED_AGAIN = "asked to decide again"
    RULES_LOADED = "rules loaded"
    RULES_REFUSED = "rules refused"
    EXPLAINED = "explained"
    ANALYSED = "analysed"
    NOT_ANALYSED = "not analysed"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery failed"
    DELIVERY_ABANDONED = "delivery abandoned"
    DELIVERY_PROVEN = "stored at the destination"
    DELIVERY_UNCOMMITTED = "not kept by the destination"
    DELIVERY_RESENT = "delivery asked for again"
    TAKEN_OVER = "work taken over"
    PRIORS = "priors looked for"
    ACCESS_ADDED = "access token added"
    ACCESS_REMOVED = "access token removed"
    REPLAY_PASSED = "golden set repeats"
    REPLAY_FAILED = "golden set has changed"
    ACCEPTED = "installation accepted"
    BASELINE_LOCKED = "baseline locked"
    ALARM = "alarm"
    ROUTE_STOPPED = "route stopped"
    ROUTE_ARMED = "route armed"
    OPINION = "radiologist's word"
    UNREAD = "returned object not read"
    REPORTED = "monthly report made"
    LET_GO = "old rows let go"
    REMOVED = "removed by retention"
    FORGOTTEN = "taken out on request"
    RESTORED = "restored from a backup"
    PASSPORT_ACCEPTED = "passport accepted"


@dataclass(frozen=True)
class LedgerHead:
    """The end of the chain."""

    seq: int
    digest: str

    def __str__(self) -> str:
        """Write it as reports print it and ``audit verify --head`` reads it."""
        return f"{self.seq}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> "LedgerHead":
        """Read what a report printed.

        Raises:
            Refused: it is not a number, a colon and 64 hexadecimal digits.
        """
        seq, _, digest = text.strip().partition(":")
        if not seq.isdigit() or re.fullmatch("[0-9a-f]{64}", digest) is None:
            raise Refused(
                f"{text!r} is not a head of the ledger.", cure="Give it as a report prints it: NUMBER:DIGEST."
            )
        return cls(int(seq), digest)


@dataclass(frozen=True)
class Entry:
    """One row of the ledger."""

    seq: int
    at: datetime
    event: str
    study: str | None
    """Keyed hash of the Study Instance UID; none for events of the node itself."""
    details: Mapping[str, Detail]
    previous: str
    digest: str


def pseudonym_of(study_instance_uid: str, key: bytes) -> str:
    """Return HMAC-SHA-256 under the site's key: 64 hexadecimal digits."""
    return hmac.new(key, study_instance_uid.encode(), hashlib.sha256).hexdigest()


class Ledger:
    """Append-only rows in the store; safe to use from any thread, and from several nodes on one store."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        self._engine = engine
        self._key = key

    def append(
        self,
        event: Event,
        *,
        study_instance_uid: str | None = None,
        details: Mapping[str, Detail] | None = None,
        connection: Connection | None = None,
    ) -> int:
        """Add one row, and give its number.

        Args:
            event: what happened.
            study_instance_uid: of which study; stored as a keyed hash only.
            details: simple values under ``DETAIL_NAMES``.
            connection: to add it within a transaction that is under way; else it is a transaction of its own.

        Raises:
            UnknownName: a detail that is not listed.
        """
        unknown = sorted(set(details or {}) - DETAIL_NAMES)
        if unknown:
            raise UnknownName(f"The ledger takes no detail {unknown[0]!r}.", cure="Add it to DETAIL_NAMES.")
        with self._transaction(connection) as within:
            seq, previous = _next(within)
            row: dict[str, str | int | None] = {
                "seq": seq,
                "at": datetime.now(UTC).isoformat(timespec="microseconds"),
                "event": event.value,
                "study": self.pseudonym(study_instance_uid) if study_instance_uid else None,
                "details": json.dumps(dict(details or {}), sort_keys=True),
                "previous": previous,
            }
            digest = _digest(row)
            within.execute(insert(entries).values(**row, digest=digest))
            within.execute(update(head).where(head.c.id == 1).values(digest=digest))
        return seq

    def events(self, study_instance_uid: str | None = None) -> tuple[Entry, ...]:
        """Return all rows, or those of one study, oldest first."""
        query = select(entries).order_by(entries.c.seq)
        if study_instance_uid is not None:
            query = query.where(entries.c.study == self.pseudonym(study_instance_uid))
        with self._engine.connect() as connection:
            return tuple(entry_of(row) for row in connection.execute(query))

    def between(self, since: datetime, before: datetime, events: Collection[Event]) -> tuple[Entry, ...]:
        """Return the rows of some events from and before a time, oldest first."""
        first, last = (at.astimezone(UTC).isoformat(timespec="microseconds") for at in (since, before))
        query = select(entries).where(entries.c.at >= first, entries.c.at < last, entries.c.event.in_(events))
        with self._engine.connect() as connection:
            return tuple(entry_of(row) for row in connection.execute(query.order_by(entries.c.seq)))

    def head(self) -> "LedgerHead":
        """Return number and digest of the last row; printed in reports, it shows later that no earlier row changed."""
        with self._engine.connect() as connection:
            last = connection.execute(select(head.c.seq, head.c.digest)).one_or_none()
        return LedgerHead(last.seq, last.digest) if last else LedgerHead(0, GENESIS)

    def verify(self, printed: "LedgerHead | None" = None, *, say: Callable[[int], object] | None = None) -> int | None:
        """Recompute the chain, a piece at a time.

        Args:
            printed: a head from a report: a chain that was rewritten whole since then does not lead to it.
            say: is told the number of a row after each piece that is as it was written.

        Returns:
            the number of the first row that is changed, missing or out of place; None when all is as it was written.
        """
        with self._engine.connect() as connection:
            last = connection.execute(select(head.c.seq, head.c.digest)).one_or_none()
            let_go = connection.execute(select(anchor.c.seq, anchor.c.digest)).one_or_none()
            previous = let_go.digest if let_go else GENESIS
            expected = let_go.seq + 1 if let_go else 1
            upto = last.seq if last else 0
            query = select(entries).where(entries.c.seq <= upto).order_by(entries.c.seq)
            for row in connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)):
                if say is not None and expected % ROWS_AT_ONCE == 0:
                    say(expected)
                if row.seq != expected or row.previous != previous or row.digest != _digest(dict(row._mapping)):
                    return min(row.seq, expected)
                if printed is not None and row.seq == printed.seq and row.digest != printed.digest:
                    return row.seq
                expected, previous = row.seq + 1, row.digest
        if printed is not None and printed.seq >= expected:
            return expected
        return None if last is None or (upto, last.digest) == (expected - 1, previous) else expected

    def pseudonym(self, study_instance_uid: str) -> str:
        """Return the keyed hash under which a study appears: 64 hexadecimal digits."""
        return pseudonym_of(study_instance_uid, self._key)

    def _transaction(self, connection: Connection | None) -> AbstractContextManager[Connection]:
        return self._engine.begin() if connection is None else nullcontext(connection)


def _next(connection: Connection) -> tuple[int, str]:
    """Lock the head until the transaction ends; give the next number and the digest it follows."""
    advance = update(head).where(head.c.id == 1).values(seq=head.c.seq + 1).returning(head.c.seq, head.c.digest)
    row = connection.execute(advance).one_or_none()
    if row is not None:
        return row.seq, row.digest
    connection.execute(insert(head).values(id=1, seq=1, digest=GENESIS))
    return 1, GENESIS


def _digest(row: Mapping[str, object]) -> str:
    covered = [row[name] for name in ("seq", "at", "event", "study", "details", "previous")]
    return hashlib.sha256(json.dumps(covered).encode()).hexdigest()


def entry_of(row: Row[tuple[object, ...]]) -> Entry:
    """Read one row of the table."""
    values = dict(row._mapping)
    details = json.loads(values.pop("details"))
    return Entry(**{**values, "at": datetime.fromisoformat(values["at"]), "details": details})

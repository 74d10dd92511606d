"""Consignments: the rows of ``deliveries`` of one job for one destination."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, case, exists, func, or_, select, true, tuple_, update

from inference.errors import UnknownName
from node.delivery.transport import Parcel
from node.store import DeliveryState, deliveries, jobs, now, results

SHORT = 16
"""Digits of the job's id in the id of a consignment."""
UNPROVEN = "no proof asked for"
"""Shown instead of a proof where "sent" is the final state."""
_OBJECTS = deliveries.join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
_KEY = (results.c.job_id, deliveries.c.destination)


@dataclass(frozen=True)
class Consignment:
    """The results of one job for one destination, and how far they are."""

    id: str
    """The ID shown to users: the start of the job's id, and the destination."""
    job_id: str
    destination: str
    states: dict[str, int]
    """Number of objects by state."""
    attempts: int
    """Since it was last queued by hand: the largest number of any object."""
    last_error: str | None
    proof: str | None
    updated_at: datetime


class Consignments:
    """Reads and changes consignments; every change is one transaction."""

    def __init__(self, engine: Engine, outbox: Path) -> None:
        self._engine = engine
        self._outbox = outbox

    def all(self, *states: DeliveryState) -> tuple[Consignment, ...]:
        """Return all consignments, or those with an object in one of the states, the latest change first."""
        keys = select(*_KEY).select_from(_OBJECTS).where(deliveries.c.state.in_(states))
        return self._read(tuple_(*_KEY).in_(keys) if states else true())

    def page(
        self,
        states: Collection[DeliveryState] = tuple(DeliveryState),
        destination: str = "",
        *,
        after: str = "",
        limit: int = 50,
    ) -> tuple[tuple[Consignment, ...], str]:
        """Return some consignments, the latest change of an object in one of the states first, however many there are.

        Args:
            states: a consignment is given where an object of it is in one of them.
            destination: of one only; all where empty.
            after: the cursor given with the previous page; empty for the first.
            limit: how many at most.

        Returns:
            the consignments, and the cursor of the next page: empty on the last one.

        Raises:
            UnknownName: ``after`` is not a valid cursor.
        """
        marks: list[tuple[datetime, str, str, str]] = []
        with self._engine.connect() as connection:
            for state in states:  # each walks along its own index
                query = _newest(state, states, destination, _mark(after)).limit(limit + 1)
                marks += [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]
        marks.sort(reverse=True)
        shown = marks[:limit]
        keys = [(job_id, name) for _, _, name, job_id in shown]
        of_jobs = self._read(results.c.job_id.in_({job_id for job_id, _ in keys}))
        by_key = {(consignment.job_id, consignment.destination): consignment for consignment in of_jobs}
        going_on = "/".join((shown[-1][0].isoformat(), *shown[-1][1:3])) if len(marks) > limit else ""
        return tuple(by_key[key] for key in keys if key in by_key), going_on

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the objects by destination and state."""
        columns = (deliveries.c.destination, deliveries.c.state)
        counts: dict[str, dict[str, int]] = {}
        with self._engine.connect() as connection:
            for destination, state, count in connection.execute(select(*columns, func.count()).group_by(*columns)):
                counts.setdefault(destination, {})[state] = int(count)
        return counts

    def named(self, consignment_id: str) -> Consignment:
        """Find one by its id.

        Raises:
            UnknownName: there is none.
        """
        short, _, destination = consignment_id.partition(":")
        of_job = results.c.job_id.between(short, f"{short}g")  # digits are 0 to f
        for consignment in self._read(of_job) if len(short) == SHORT else ():
            if consignment.destination == destination:
                return consignment
        raise UnknownName(f"There is no delivery {consignment_id!r}.", cure="`heatproof deliveries` lists all.")

    def unsettled(self, awaiting_proof: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return job and destination of every consignment for which something is left to do.

        Args:
            awaiting_proof: destinations for which "sent" is not the end.
        """
        left = _left(awaiting_proof=deliveries.c.destination.in_(awaiting_proof))
        query = select(*_KEY).select_from(_OBJECTS).where(left).distinct()
        with self._engine.connect() as connection:
            return tuple((row[0], row[1]) for row in connection.execute(query))

    def parcels(self, job_id: str, destination: str, state: DeliveryState) -> tuple[Parcel, ...]:
        """Return the objects in one state, in the order of their files."""
        query = (
            select(
                results.c.sop_instance_uid,
                results.c.sop_class_uid,
                results.c.series_instance_uid,
                jobs.c.study_instance_uid,
                results.c.path,
            )
            .select_from(_OBJECTS.join(jobs, jobs.c.id == results.c.job_id))
            .where(results.c.job_id == job_id, deliveries.c.destination == destination, deliveries.c.state == state)
            .order_by(results.c.path)
        )
        with self._engine.connect() as connection:
            return tuple(Parcel(*row[:4], self._outbox / row[4]) for row in connection.execute(query))

    def study(self, job_id: str) -> str:
        """Return the Study Instance UID of a job."""
        with self._engine.connect() as connection:
            query = select(jobs.c.study_instance_uid).where(jobs.c.id == job_id)
            return str(connection.execute(query).scalar_one())

    def left(self, job_id: str, destination: str, *, proven: bool) -> int:
        """Count the objects that are not delivered: not stored where storage is ``proven``, else not sent."""
        query = select(func.count()).where(_of(job_id, destination), _left(awaiting_proof=proven))
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def sent(self, sop_instance_uid: str, destination: str, problem: str, *, awaits_proof: bool) -> None:
        """Record one attempt for one object: sent where there is no problem, else still queued."""
        proof = None if problem or awaits_proof else UNPROVEN
        row = and_(deliveries.c.sop_instance_uid == sop_instance_uid, deliveries.c.destination == destination)
        state = {"state": DeliveryState.QUEUED} if problem else {"state": DeliveryState.SENT, "sent_at": now()}
        with self._engine.begin() as connection:
            connection.execute(
                update(deliveries)
                .where(row, deliveries.c.state == DeliveryState.QUEUED)
                .values(
                    **state,
                    attempts=deliveries.c.attempts + 1,
                    last_error=problem or None,
                    proof=proof,
                    updated_at=now(),
                )
            )

    def complain(self, parcels: Sequence[Parcel], destination: str, problem: str) -> None:
        """Record why sent objects are not proven to be stored."""
        uids = [parcel.sop_instance_uid for parcel in parcels]
        these = and_(deliveries.c.destination == destination, deliveries.c.sop_instance_uid.in_(uids))
        with self._engine.begin() as connection:
            connection.execute(
                update(deliveries)
                .where(these, deliveries.c.state == DeliveryState.SENT)
                .values(last_error=problem, updated_at=now())
            )

    def expire(self, job_id: str, destination: str, *, older_than_seconds: float) -> int:
        """Queue again what was sent so long ago and is not proven; give how many objects."""
        late = and_(
            deliveries.c.state == DeliveryState.SENT,
            deliveries.c.sent_at < now() - timedelta(seconds=older_than_seconds),
        )
        return self._move(job_id, destination, late, DeliveryState.QUEUED)

    def requeue(self, job_id: str, destination: str) -> int:
        """Queue again what is not proven to be stored, with its attempts to come; give how many objects."""
        unproven = deliveries.c.state != DeliveryState.STORED
        return self._move(job_id, destination, unproven, DeliveryState.QUEUED, attempts=0)

    def abandon(self, job_id: str, destination: str, *, proven: bool) -> int:
        """Mark as failed what was tried and is left, not what was queued again meanwhile; give how many objects."""
        left = and_(_left(awaiting_proof=proven), deliveries.c.attempts > 0)
        return self._move(job_id, destination, left, DeliveryState.FAILED)

    def _read(self, which: ColumnElement[bool]) -> tuple[Consignment, ...]:
        counts = {state: func.sum(case((deliveries.c.state == state, 1), else_=0)) for state in DeliveryState}
        figures = (deliveries.c.attempts, deliveries.c.last_error, deliveries.c.proof, deliveries.c.updated_at)
        query = select(*_KEY, *map(func.max, figures), *counts.values()).select_from(_OBJECTS).where(which)
        with self._engine.connect() as connection:
            rows = connection.execute(
                query.group_by(*_KEY).order_by(func.max(deliveries.c.updated_at).desc(), *_KEY)
            ).all()
        return tuple(
            Consignment(
                f"{job_id[:SHORT]}:{destination}",
                job_id,
                destination,
                {state.value: int(count) for state, count in zip(counts, per_state, strict=True) if count},
                attempts,
                last_error,
                proof,
                updated_at,
            )
            for job_id, destination, attempts, last_error, proof, updated_at, *per_state in rows
        )

    def _move(
        self, job_id: str, destination: str, which: ColumnElement[bool], state: DeliveryState, **values: int
    ) -> int:
        change = update(deliveries).where(_of(job_id, destination), which)
        change = change.values(state=state, updated_at=now(), **values)
        with self._engine.begin() as connection:
            return connection.execute(change).rowcount


def _newest(
    state: DeliveryState, states: Collection[DeliveryState], destination: str, before: tuple[datetime, str, str] | None
) -> Select[Any]:
    """Select the objects in a state, the latest change first, each of which is the latest of its consignment."""
    moved = (deliveries.c.updated_at, deliveries.c.sop_instance_uid, deliveries.c.destination)
    other, others = deliveries.alias(), results.alias()
    destination_of, state_of = (func.coalesce(column, "") for column in (other.c.destination, other.c.state))
    later = exists().where(
        others.c.job_id == results.c.job_id,
        other.c.sop_instance_uid == others.c.sop_instance_uid,
        destination_of == deliveries.c.destination,  # not by its index: a job has fewer objects than a destination
        state_of.in_(states),
        tuple_(other.c.updated_at, other.c.sop_instance_uid) > tuple_(*moved[:2]),
    )
    query = select(*moved, results.c.job_id).select_from(_OBJECTS).where(deliveries.c.state == state, ~later)
    if destination:
        query = query.where(deliveries.c.destination == destination)
    if before is not None:
        query = query.where(deliveries.c.updated_at <= before[0], tuple_(*moved) < tuple_(*before))
    return query.order_by(*(column.desc() for column in moved))


def _mark(text: str) -> tuple[datetime, str, str] | None:
    if not text:
        return None
    at, _, which = text.partition("/")
    sop_instance_uid, _, destination = which.partition("/")
    try:
        return datetime.fromisoformat(at), sop_instance_uid, destination
    except ValueError as error:
        raise UnknownName("There is no such page of deliveries.", cure="Begin with the first.") from error


def _of(job_id: str, destination: str) -> ColumnElement[bool]:
    of_job = select(results.c.sop_instance_uid).where(results.c.job_id == job_id, results.c.removed_at.is_(None))
    return and_(deliveries.c.destination == destination, deliveries.c.sop_instance_uid.in_(of_job))


def _left(*, awaiting_proof: bool | ColumnElement[bool]) -> ColumnElement[bool]:
    queued, sent = (deliveries.c.state == state for state in (DeliveryState.QUEUED, DeliveryState.SENT))
    if awaiting_proof is False:
        return queued
    return or_(queued, sent if awaiting_proof is True else and_(sent, awaiting_proof))

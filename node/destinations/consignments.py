"""What one job has for one destination, as the store knows it: the rows of ``deliveries``, taken together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, Engine, and_, case, func, or_, select, tuple_, update

from inference.errors import UnknownName
from node.destinations.storing import Parcel
from node.store import DeliveryState, deliveries, jobs, now, results

SHORT = 16
"""Digits of the job's id in the id of a consignment."""
UNPROVEN = "no proof asked for"
"""What stands in the place of a proof where "sent" is the end."""
_OBJECTS = deliveries.join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
_KEY = (results.c.job_id, deliveries.c.destination)


@dataclass(frozen=True)
class Consignment:
    """The results of one job for one destination, and how far they are."""

    id: str
    """What a person calls it by: the start of the job's id, and the destination."""
    job_id: str
    destination: str
    states: dict[str, int]
    """Number of objects by state."""
    attempts: int
    """The most of any object."""
    last_error: str | None
    proof: str | None
    updated_at: datetime


class Consignments:
    """Reads and changes consignments; every change is one transaction."""

    def __init__(self, engine: Engine, outbox: Path) -> None:
        self._engine = engine
        self._outbox = outbox

    def all(self, *states: DeliveryState) -> tuple[Consignment, ...]:
        """Give all consignments, or those with an object in one of the states, the latest change first."""
        counts = {state: func.sum(case((deliveries.c.state == state, 1), else_=0)) for state in DeliveryState}
        figures = (deliveries.c.attempts, deliveries.c.last_error, deliveries.c.proof, deliveries.c.updated_at)
        query = select(*_KEY, *map(func.max, figures), *counts.values()).select_from(_OBJECTS).group_by(*_KEY)
        if states:
            wanted = select(*_KEY).select_from(_OBJECTS).where(deliveries.c.state.in_(states))
            query = query.where(tuple_(*_KEY).in_(wanted))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(func.max(deliveries.c.updated_at).desc(), *_KEY)).all()
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

    def named(self, consignment_id: str) -> Consignment:
        """Find one by its id.

        Raises:
            UnknownName: there is none.
        """
        for consignment in self.all():
            if consignment.id == consignment_id:
                return consignment
        raise UnknownName(f"There is no delivery {consignment_id!r}.", cure="`heatproof deliveries` lists all.")

    def unsettled(self, awaiting_proof: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Give job and destination of every consignment for which something is left to do.

        Args:
            awaiting_proof: destinations for which "sent" is not the end.
        """
        left = _left(awaiting_proof=deliveries.c.destination.in_(awaiting_proof))
        query = select(*_KEY).select_from(_OBJECTS).where(left).distinct()
        with self._engine.connect() as connection:
            return tuple((row[0], row[1]) for row in connection.execute(query))

    def parcels(self, job_id: str, destination: str, state: DeliveryState) -> tuple[Parcel, ...]:
        """Give the objects in one state, in the order of their files."""
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
        """Give the Study Instance UID of a job."""
        with self._engine.connect() as connection:
            query = select(jobs.c.study_instance_uid).where(jobs.c.id == job_id)
            return str(connection.execute(query).scalar_one())

    def left(self, job_id: str, destination: str, *, proven: bool) -> int:
        """Count the objects that are not where they shall be: stored where that is ``proven``, else sent."""
        query = select(func.count()).where(_of(job_id, destination), _left(awaiting_proof=proven))
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def sent(self, sop_instance_uid: str, destination: str, problem: str, *, awaits_proof: bool) -> None:
        """Write down one attempt for one object: taken where there is no problem, else still queued."""
        proof = None if problem or awaits_proof else UNPROVEN
        one = and_(deliveries.c.sop_instance_uid == sop_instance_uid, deliveries.c.destination == destination)
        state = {"state": DeliveryState.QUEUED} if problem else {"state": DeliveryState.SENT, "sent_at": now()}
        with self._engine.begin() as connection:
            connection.execute(
                update(deliveries)
                .where(one, deliveries.c.state == DeliveryState.QUEUED)
                .values(
                    **state,
                    attempts=deliveries.c.attempts + 1,
                    last_error=problem or None,
                    proof=proof,
                    updated_at=now(),
                )
            )

    def complain(self, parcels: Sequence[Parcel], destination: str, problem: str) -> None:
        """Write down why objects that were sent are not proven."""
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
        """Queue again what is not proven to be stored; give how many objects."""
        return self._move(job_id, destination, deliveries.c.state != DeliveryState.STORED, DeliveryState.QUEUED)

    def abandon(self, job_id: str, destination: str, *, proven: bool) -> int:
        """Mark as failed what is left; give how many objects."""
        return self._move(job_id, destination, _left(awaiting_proof=proven), DeliveryState.FAILED)

    def _move(self, job_id: str, destination: str, which: ColumnElement[bool], state: DeliveryState) -> int:
        change = update(deliveries).where(_of(job_id, destination), which).values(state=state, updated_at=now())
        with self._engine.begin() as connection:
            return connection.execute(change).rowcount


def _of(job_id: str, destination: str) -> ColumnElement[bool]:
    of_job = select(results.c.sop_instance_uid).where(results.c.job_id == job_id)
    return and_(deliveries.c.destination == destination, deliveries.c.sop_instance_uid.in_(of_job))


def _left(*, awaiting_proof: bool | ColumnElement[bool]) -> ColumnElement[bool]:
    queued, sent = (deliveries.c.state == state for state in (DeliveryState.QUEUED, DeliveryState.SENT))
    if awaiting_proof is False:
        return queued
    return or_(queued, sent if awaiting_proof is True else and_(sent, awaiting_proof))

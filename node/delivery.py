"""Results on their way to a destination, by C-STORE (PS3.4 annex B), with back-off for days."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from dbos import DBOS, DBOSConfiguredInstance
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from sqlalchemy import Engine, select, update

from inference.errors import DeliveryFailed, UnknownName
from node.destination import Destination
from node.settings import Settings
from node.store import DeliveryState, deliveries, jobs, now, results
from reports.audit.ledger import Event, Ledger

QUEUE = "delivery"
FIRST_DELAY_SECONDS = 5.0
LONGEST_DELAY_SECONDS = 3600.0
MOST_ATTEMPTS = 120
"""With an hour between the later ones: about five days."""


@dataclass(frozen=True)
class Parcel:
    """One object that a destination is to have."""

    sop_instance_uid: str
    sop_class_uid: str
    path: Path


def delay_seconds(attempt: int, *, seed: str) -> float:
    """Give the pause after a failed attempt: 5 s doubled each time up to an hour, less up to a quarter of it.

    Args:
        attempt: 1 after the first failure.
        seed: what the jitter is drawn from, so that a resumed workflow waits as long as it would have.
    """
    full = min(FIRST_DELAY_SECONDS * 2.0 ** (attempt - 1), LONGEST_DELAY_SECONDS)
    return full * (1.0 - 0.25 * Random(f"{seed}:{attempt}").random())


@DBOS.dbos_class()
class Deliveries(DBOSConfiguredInstance):
    """The durable sender: one workflow for one job and one destination."""

    def __init__(self, settings: Settings, engine: Engine, ledger: Ledger, outbox: Path) -> None:
        super().__init__("node")
        self._own_title = settings.node.ae_title
        self._destinations = {destination.name: destination for destination in settings.destinations}
        self._engine = engine
        self._ledger = ledger
        self._outbox = outbox

    @DBOS.workflow(name="delivery")
    def run(self, job_id: str, destination: str) -> int:
        """Send until everything is there or the attempts are used up; give the number of attempts."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            left = DBOS.run_step({"name": "send"}, self.send, job_id, destination)
            if not left:
                return attempt
            DBOS.sleep(delay_seconds(attempt, seed=f"{job_id}:{destination}"))
        DBOS.run_step({"name": "give up"}, self.give_up, job_id, destination)
        return MOST_ATTEMPTS

    def send(self, job_id: str, destination: str) -> int:
        """Send what the destination does not have yet, over one association; give how many are left."""
        parcels = self._waiting(job_id, destination)
        if not parcels:
            return 0
        try:
            outcomes = store(self._named(destination), parcels, calling_ae_title=self._own_title)
        except (DeliveryFailed, UnknownName) as error:
            outcomes = {parcel.sop_instance_uid: str(error) for parcel in parcels}
        for sop_instance_uid, problem in outcomes.items():
            self._record(sop_instance_uid, destination, problem)
        problems = sorted({problem for problem in outcomes.values() if problem})
        self._ledger.append(
            Event.DELIVERY_FAILED if problems else Event.DELIVERED,
            study_instance_uid=self._study(job_id),
            details={"destination": destination, "objects": len(parcels), "problem": "; ".join(problems)},
        )
        return sum(1 for problem in outcomes.values() if problem)

    def give_up(self, job_id: str, destination: str) -> None:
        """Mark what never arrived as failed; it stays in the outbox for a resend."""
        waiting = [parcel.sop_instance_uid for parcel in self._waiting(job_id, destination)]
        with self._engine.begin() as connection:
            connection.execute(
                update(deliveries)
                .where(deliveries.c.destination == destination, deliveries.c.sop_instance_uid.in_(waiting))
                .values(state=DeliveryState.FAILED, updated_at=now())
            )
        self._ledger.append(
            Event.DELIVERY_ABANDONED,
            study_instance_uid=self._study(job_id),
            details={"destination": destination, "objects": len(waiting)},
        )

    def _named(self, name: str) -> Destination:
        if name not in self._destinations:
            raise UnknownName(
                f"There is no destination {name!r} in the settings any more.",
                cure="Add it again, or the results stay in the outbox.",
            )
        return self._destinations[name]

    def _study(self, job_id: str) -> str:
        with self._engine.connect() as connection:
            query = select(jobs.c.study_instance_uid).where(jobs.c.id == job_id)
            return str(connection.execute(query).scalar_one())

    def _waiting(self, job_id: str, destination: str) -> tuple[Parcel, ...]:
        query = (
            select(results.c.sop_instance_uid, results.c.sop_class_uid, results.c.path)
            .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
            .where(
                results.c.job_id == job_id,
                deliveries.c.destination == destination,
                deliveries.c.state == DeliveryState.QUEUED,
            )
            .order_by(results.c.path)
        )
        with self._engine.connect() as connection:
            return tuple(Parcel(row[0], row[1], self._outbox / row[2]) for row in connection.execute(query))

    def _record(self, sop_instance_uid: str, destination: str, problem: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                update(deliveries)
                .where(deliveries.c.sop_instance_uid == sop_instance_uid, deliveries.c.destination == destination)
                .values(
                    state=DeliveryState.QUEUED if problem else DeliveryState.SENT,
                    attempts=deliveries.c.attempts + 1,
                    last_error=problem or None,
                    updated_at=now(),
                )
            )


def store(destination: Destination, parcels: Sequence[Parcel], *, calling_ae_title: str) -> dict[str, str]:
    """C-STORE every parcel over one association.

    Returns:
        For each SOP Instance UID an empty string, or what the destination said. A warning (0xB000, 0xB006, 0xB007;
        PS3.4 table B.2-1) means that the object is stored.

    Raises:
        DeliveryFailed: there was no association.
    """
    association = _associate(destination, parcels, calling_ae_title)
    try:
        return {parcel.sop_instance_uid: _send(association, parcel, destination) for parcel in parcels}
    finally:
        if association.is_established:
            association.release()


def _associate(destination: Destination, parcels: Sequence[Parcel], calling_ae_title: str) -> Association:
    entity = AE(ae_title=calling_ae_title)
    entity.connection_timeout = entity.acse_timeout = entity.network_timeout = 15
    entity.dimse_timeout = 60
    for sop_class in sorted({parcel.sop_class_uid for parcel in parcels}):
        entity.add_requested_context(sop_class, [ExplicitVRLittleEndian])
        entity.add_requested_context(sop_class, [ImplicitVRLittleEndian])
    association = entity.associate(
        destination.host, destination.port, ae_title=destination.ae_title, max_pdu=128 * 1024
    )
    if association.is_established:
        return association
    place = f"{destination.name} ({destination.ae_title} at {destination.host}:{destination.port})"
    if association.is_rejected:
        primitive = association.acceptor.primitive
        why = getattr(primitive, "reason_str", "no reason given")
        raise DeliveryFailed(
            f"{place} rejected the association: {why}.",
            cure=f"Check that it knows the calling AE title {calling_ae_title} and is itself {destination.ae_title}.",
        )
    raise DeliveryFailed(f"No association with {place}.", cure="Check that it runs, and the address and the port.")


def _send(association: Association, parcel: Parcel, destination: Destination) -> str:
    if not association.is_established:
        return f"{destination.name} ended the association before this object was sent."
    try:
        status = association.send_c_store(parcel.path)
    except ValueError:
        return f"{destination.name} accepts no presentation context for SOP class {parcel.sop_class_uid}."
    if not status:
        return f"{destination.name} gave no answer to the store request."
    code = int(status.Status)
    if code == 0x0000 or code & 0xF000 == 0xB000:
        return ""
    return f"{destination.name} refused the object with status 0x{code:04X}."

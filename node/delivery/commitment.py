"""Storage Commitment Push Model as a user (PS3.4 annex J): asked by N-ACTION, answered by N-EVENT-REPORT.

The answer comes on the same association, or later on one that the peer opens to our listener, with or without role
selection. An answer is accepted only with the transaction's UID, which is random.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from sqlalchemy import JSON, Column, Connection, Engine, String, Table, delete, insert, select, update

from inference.errors import DeliveryFailed
from node.associations.requestor import NothingAccepted, associate
from node.delivery.transport import Parcel
from node.settings.destination import Destination
from node.store import METADATA, DeliveryState, Moment, deliveries, now

REQUEST = 1
SUCCESS, PROCESSING_FAILURE = 0x0000, 0x0110
PATIENCE = 0.25
"""Share of ``proof_seconds`` after which an unanswered request is retried, before the object is sent again."""
REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "referenced SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
"""Failure Reason (0008,1197), PS3.3 C.14.1.1."""

commitments = Table(
    "commitments",
    METADATA,
    Column("transaction_uid", String(64), primary_key=True),
    Column("job_id", String(64), nullable=False, index=True),
    Column("destination", String(64), nullable=False),
    Column("objects", JSON, nullable=False),  # SOP Instance UIDs that were asked about
    Column("requested_at", Moment(), nullable=False),
    Column("answered_at", Moment()),
)


@dataclass(frozen=True)
class CommitmentReport:
    """What one N-EVENT-REPORT changed."""

    job_id: str
    destination: str
    stored: tuple[str, ...]
    failed: dict[str, str]
    """Reason of the failure by SOP Instance UID."""


class Commitments:
    """Requests storage commitment, and records the answers in the store.

    ``heard`` is called with every answer, within the transaction that records it.
    """

    name = "storage commitment"

    def __init__(
        self,
        engine: Engine,
        calling_ae_title: str,
        heard: Callable[[Connection, CommitmentReport], None],
        *,
        linger_seconds: float,
    ) -> None:
        """Bind to the store.

        Args:
            engine: the node's store.
            calling_ae_title: ours.
            heard: called with every answer.
            linger_seconds: how long an association is kept for a peer that answers on it.
        """
        self._engine = engine
        self._calling_ae_title = calling_ae_title
        self._heard = heard
        self._linger_seconds = linger_seconds

    def held(self, job_id: str, destination: Destination, parcels: Sequence[Parcel]) -> None:
        """Ask the destination to commit to all parcels, unless a request is pending.

        The answer comes later, to ``reported``.

        Raises:
            DeliveryFailed: no association, or the destination offers no storage commitment, or refused.
        """
        if self._is_pending(job_id, destination):
            return
        transaction_uid = generate_uid(prefix=None)
        with self._engine.begin() as connection:
            row = {
                "transaction_uid": transaction_uid,
                "job_id": job_id,
                "destination": destination.name,
                "objects": [parcel.sop_instance_uid for parcel in parcels],
                "requested_at": now(),
            }
            connection.execute(insert(commitments).values(row))  # the answer may come before that to the request
        try:
            self._ask(destination, _action(transaction_uid, parcels), transaction_uid)
        except DeliveryFailed:
            with self._engine.begin() as connection:
                connection.execute(delete(commitments).where(commitments.c.transaction_uid == transaction_uid))
            raise

    def reported(self, event: Any) -> tuple[int, None]:
        """Answer an N-EVENT-REPORT (PS3.4 J.3.3); success only after its content is committed to the store."""
        try:
            answer = event.event_information
            transaction_uid = str(answer.TransactionUID)
            stored = list(_references(answer, "ReferencedSOPSequence"))
            failed = {uid: _reason(item) for uid, item in _references(answer, "FailedSOPSequence")}
        except (AttributeError, ValueError, TypeError):  # a peer may send anything
            return PROCESSING_FAILURE, None
        with self._engine.begin() as connection:
            known = self._close(connection, transaction_uid)
            if known is None:
                return PROCESSING_FAILURE, None
            asked = frozenset(known.objects)
            report = CommitmentReport(
                known.job_id,
                known.destination,
                tuple(uid for uid, _ in stored if uid in asked and uid not in failed),
                {uid: why for uid, why in failed.items() if uid in asked},
            )
            if known.answered_at is None:
                self._note(connection, report)
                self._heard(connection, report)
        return SUCCESS, None

    def _is_pending(self, job_id: str, destination: Destination) -> bool:
        since = now() - timedelta(seconds=PATIENCE * destination.proof_seconds)
        query = select(commitments.c.transaction_uid).where(
            commitments.c.job_id == job_id,
            commitments.c.destination == destination.name,
            commitments.c.answered_at.is_(None),
            commitments.c.requested_at > since,
        )
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def _ask(self, destination: Destination, action: Dataset, transaction_uid: str) -> None:
        try:
            association = associate(
                destination,
                [(StorageCommitmentPushModel, ImplicitVRLittleEndian)],
                calling_ae_title=self._calling_ae_title,
                handlers=[(evt.EVT_N_EVENT_REPORT, self.reported)],
            )
        except NothingAccepted as error:
            raise DeliveryFailed(
                f"{destination.name} offers no storage commitment.",
                cure='Give the destination another proof: "find", "qido" or "none".',
            ) from error
        try:
            status, _ = association.send_n_action(
                action, REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            code = status.get("Status")
            if code is None:
                association.abort()
            if code != SUCCESS:
                said = "nothing" if code is None else f"status 0x{code:04X}"
                raise DeliveryFailed(f"{destination.name} answered the request for storage commitment with {said}.")
            self._linger(association, transaction_uid)
        finally:
            if association.is_established:
                association.release()

    def _linger(self, association: Association, transaction_uid: str) -> None:
        deadline = time.monotonic() + self._linger_seconds
        query = select(commitments.c.answered_at).where(commitments.c.transaction_uid == transaction_uid)
        while association.is_established and time.monotonic() < deadline:
            with self._engine.connect() as connection:
                if connection.execute(query).scalar_one() is not None:
                    return
            time.sleep(0.05)

    def _close(self, connection: Connection, transaction_uid: str) -> Any:
        """Mark a transaction as answered; give its row as it was before."""
        query = select(commitments).where(commitments.c.transaction_uid == transaction_uid).with_for_update()
        known = connection.execute(query).one_or_none()
        if known is not None and known.answered_at is None:
            connection.execute(
                update(commitments).where(commitments.c.transaction_uid == transaction_uid).values(answered_at=now())
            )
        return known

    def _note(self, connection: Connection, report: CommitmentReport) -> None:
        mark_stored(connection, report.destination, report.stored, proof=self.name)
        for uid, why in report.failed.items():
            connection.execute(
                update(deliveries)
                .where(
                    deliveries.c.destination == report.destination,
                    deliveries.c.sop_instance_uid == uid,
                    deliveries.c.state == DeliveryState.SENT,
                )
                .values(state=DeliveryState.QUEUED, last_error=why, updated_at=now())
            )


def mark_stored(connection: Connection, destination: str, uids: Sequence[str], *, proof: str) -> None:
    """Record that a destination is proven to store these objects."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.destination == destination, deliveries.c.sop_instance_uid.in_(uids))
        .values(state=DeliveryState.STORED, proof=proof, last_error=None, updated_at=now())
    )


def _action(transaction_uid: str, parcels: Sequence[Parcel]) -> Dataset:
    """Action Information of PS3.4 table J.3-1."""
    action = Dataset()
    action.TransactionUID = transaction_uid
    action.ReferencedSOPSequence = []
    for parcel in parcels:
        item = Dataset()
        item.ReferencedSOPClassUID = parcel.sop_class_uid
        item.ReferencedSOPInstanceUID = parcel.sop_instance_uid
        action.ReferencedSOPSequence.append(item)
    return action


def _references(answer: Dataset, keyword: str) -> Iterator[tuple[str, Dataset]]:
    for item in answer.get(keyword) or ():
        yield str(item.ReferencedSOPInstanceUID), item


def _reason(item: Dataset) -> str:
    code = int(item.get("FailureReason") or 0)
    return f"The destination does not commit to this object: {REASONS.get(code, 'no known reason')} (0x{code:04X})."

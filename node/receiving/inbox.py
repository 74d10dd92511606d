"""The inbox: one file and one row for each instance that was answered with success, both synced before the answer.

The order is the promise: file, fsync, fsync of the folder, commit of the row, and only then success. A crash in between
leaves a file without a row, whole or not, which was never acknowledged and is swept at the next start. Nobody knows a
file but by its row: there is no name to be kept from others meanwhile, and no rename that the disk would log once more.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import structlog
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from inference.errors import (
    ConflictingInstance,
    HeatproofError,
    MismatchedInstance,
    NotAsked,
    Refused,
    StorageFull,
    Unavailable,
    UnreadableInstance,
    UnsupportedClass,
)
from node.associations.storage_classes import is_unread_class
from node.receiving.awaited import is_awaited
from node.receiving.conflicts import Conflicts, Relation
from node.receiving.digest import Digest
from node.receiving.inspection import Arrival, Header, Purpose, inspect
from node.receiving.part10 import file_head
from node.receiving.quarantine import Quarantine
from node.receiving.register import Register, sync_folder
from node.settings.limits import STANDARD, Limits
from node.settings.node import NodeSettings
from node.settings.peer import Peer
from node.store import instances
from node.studies.instance import Instance
from node.studies.numbers import accession_key
from node.studies.studies import Studies
from reports.audit.counted import CountedEvents
from reports.audit.ledger import Event, Ledger

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ROOM_CURE = "Free some, or lower node.minimum_free_bytes; stores are accepted again by themselves."


_LOOK = "Report it with what the log says at this time."
_CURES: dict[type[Exception], str] = {
    UnreadableInstance: "Send it again; refused again, it is damaged at its sender or beyond [limits] of the settings.",
    MismatchedInstance: "Have its sender corrected: command set and data set have to name the same instance.",
}
"""What to do where the error itself does not say it."""


class Outcome(StrEnum):
    """What became of an instance that was answered with success."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    OWN_RESULT = "own result"
    CORRECTED = "corrected"


@dataclass(frozen=True)
class Receipt:
    """Proof that success may be answered."""

    outcome: Outcome
    instance: Instance | None
    """What is kept; None for a result of our own, which lies in the outbox already."""


class Inbox:
    """The folder ``inbox`` below the node's home, with its rows in the store and its ``quarantine`` beside it."""

    def __init__(
        self,
        settings: NodeSettings,
        engine: Engine,
        ledger: Ledger,
        studies: Studies,
        *,
        limits: Limits = STANDARD,
        peers: Sequence[Peer] = (),
        counted: CountedEvents | None = None,
    ) -> None:
        self.folder = settings.files / "inbox"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for above in (self.folder.parent, self.folder.parent.parent):
            sync_folder(above)
        self._prefix = settings.file_prefix
        self._minimum_free_bytes = settings.minimum_free_bytes
        self._quarantine = Quarantine(settings.home / "quarantine", minimum_free_bytes=settings.minimum_free_bytes)
        self._limits = limits
        self._conflicts = Conflicts(self.folder, peers, limits.decoding)
        self._keeps_unread = settings.keep_unknown_classes
        self._engine = engine
        self._ledger = ledger
        self._counted = counted or CountedEvents(ledger)
        self._studies = studies
        self._register = Register(engine, studies, self.folder)
        self._log = structlog.get_logger("inbox")

    def keep(self, arrival: Arrival) -> Receipt:
        """Keep what arrived, durably; once this returns, success may be answered.

        Returns:
            what is kept: the same instance again, with the same bytes or in another lossless transfer syntax, changes
            nothing; one whose Patient ID was corrected takes the place of the first, which is set aside; and what has
            the UID of a result of ours, which a PACS sends back, is only counted, whatever the PACS changed in it.

        Raises:
            UnreadableInstance, MismatchedInstance: it cannot be used; set aside in the quarantine.
            UnsupportedClass: its SOP class is private or unknown, and the settings do not keep these; set aside.
            ConflictingInstance: its UID is here with another content; the first is kept, this one set aside.
            NotAsked: it came as a prior, and belongs to no study that is awaited, or to another patient; not kept.
            StorageFull: no room; nothing is left behind.
            Unavailable: the store did not take the row; nothing was acknowledged.
        """
        try:
            header = inspect(arrival, self._limits)
            if not self._keeps_unread and is_unread_class(header.sop_class_uid):
                raise UnsupportedClass(
                    "Its SOP class is private, or no storage class that is known here.",
                    cure="Set node.keep_unknown_classes = true to have such objects kept unread.",
                )
            if arrival.purpose is Purpose.PRIOR:
                self._require_awaited(arrival, header)
            if self._register.is_own_result(header.sop_instance_uid):
                self._count(Event.OWN_RESULT, arrival)
                return Receipt(Outcome.OWN_RESULT, None)
            return self._admit(arrival, header)
        except NotAsked:
            raise
        except Refused as error:
            self.set_aside(arrival, error)
            raise
        except DBAPIError as error:
            raise Unavailable("The store did not take the instance.", cure="It may be sent again.") from error

    def set_aside(self, arrival: Arrival, error: Exception) -> str:
        """Put a refused arrival into the quarantine, and write it down; give the id it lies under."""
        known = isinstance(error, HeatproofError)
        problem = str(error.args[0]) if known else f"Unexpected {type(error).__name__}."
        name = self._quarantine.keep(arrival, problem, cure_of(error))
        event = Event.QUARANTINED if isinstance(error, ConflictingInstance) else Event.REFUSED
        try:
            self._count(event, arrival, type(error).__name__, quarantine=name)
        except DBAPIError as failure:
            self._log.error("ledger_not_written", quarantine=name, error=type(failure).__name__)
        return name

    def sweep(self) -> int:
        """Remove what a crash left, files without a row, and temporary ones of older releases; before anything arrives.

        Returns:
            how many files were removed.
        """
        with self._engine.connect() as connection:
            kept = set(connection.execute(select(instances.c.path)).scalars())
        ours = (path for path in self.folder.glob(f"{self._prefix}*") if path.suffix in {".dcm", ".part"})
        orphans = [path for path in ours if path.name not in kept]
        for path in orphans:
            path.unlink()
        return len(orphans)

    def _require_awaited(self, arrival: Arrival, header: Header) -> None:
        """Refuse what comes as a prior, unless its study is being fetched as a prior of this patient."""
        if is_awaited(
            self._engine,
            self._ledger.pseudonym,
            study_instance_uid=header.study_instance_uid,
            patient_id=header.patient_id,
            issuer=header.patient_id_issuer,
        ):
            return
        self._count(Event.REFUSED, arrival, NotAsked.__name__)
        raise NotAsked(
            "This instance belongs to no prior study that was requested.",
            cure="Send studies to the node's own AE title and port.",
        )

    def _count(self, event: Event, arrival: Arrival, error: str = "", **details: str) -> None:
        named = {"calling_ae_title": arrival.calling_ae_title, **({"error": error} if error else {}), **details}
        self._counted.tell(event, arrival.peer_address, error, named)

    def _admit(self, arrival: Arrival, header: Header) -> Receipt:
        digest = Digest(arrival.encoded)
        draft = Instance(
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            series_instance_uid=header.series_instance_uid,
            study_instance_uid=header.study_instance_uid,
            transfer_syntax_uid=arrival.transfer_syntax_uid,
            sha256="",
            size_bytes=len(arrival.encoded),
            path=f"{self._prefix}{uuid.uuid4().hex}.dcm",
            calling_ae_title=arrival.calling_ae_title,
            peer_address=arrival.peer_address,
            received_at=arrival.received_at,
            patient=self._ledger.pseudonym(header.patient_id),
            foreign_result=header.claims_to_be_ours,
            accession=accession_key(self._ledger.pseudonym, header.accession_number),
        )
        try:
            self._write(draft, arrival.encoded)
            winner = self._enter(replace(draft, sha256=digest.text()), arrival.purpose)
        except StorageFull:
            known = self._register.find(header.sop_instance_uid)
            if known is None:
                raise
            winner = known  # what is here already needs no room
        instance = replace(draft, sha256=digest.text())
        if winner.path == instance.path:
            return Receipt(Outcome.STORED, winner)
        if winner.sha256 != instance.sha256:
            relation = self._conflicts.relation(arrival, header, instance, winner)
            if relation is Relation.CORRECTION:
                return self._correct(arrival, instance, winner)
        if arrival.purpose is Purpose.STUDY:
            self._studies.sent_for_itself(winner.study_instance_uid)
        if self._register.find(header.sop_instance_uid) is None:
            raise Unavailable("The instance was removed by retention at this moment.", cure="It may be sent again.")
        return Receipt(Outcome.DUPLICATE, winner)

    def _correct(self, arrival: Arrival, instance: Instance, first: Instance) -> Receipt:
        """Keep an instance with a corrected Patient ID in the place of the first, and set that aside."""
        former_patients = {*first.former_patients.split(), first.patient} - {instance.patient, ""}
        corrected = replace(instance, former_patients=" ".join(sorted(former_patients)))
        content = (self.folder / first.path).read_bytes()[-first.size_bytes :]
        former = Arrival(
            sop_class_uid=first.sop_class_uid,
            sop_instance_uid=first.sop_instance_uid,
            transfer_syntax_uid=first.transfer_syntax_uid,
            encoded=content,
            calling_ae_title=first.calling_ae_title,
            peer_address=first.peer_address,
            received_at=first.received_at,
        )
        self._write(corrected, arrival.encoded)
        name = self._quarantine.keep(former, f"Its Patient ID was corrected by {arrival.calling_ae_title}.")
        tell = partial(
            self._ledger.append,
            Event.CORRECTED,
            study_instance_uid=first.study_instance_uid,
            details={"calling_ae_title": arrival.calling_ae_title, "quarantine": name},
        )
        try:
            replaced = self._register.replace(first, corrected, lambda connection: tell(connection=connection))
        except OSError as error:
            raise _unwritten(error) from error
        if not replaced:
            (self.folder / corrected.path).unlink()
            raise Unavailable("Another instance of this UID came at the same time.", cure="It may be sent again.")
        return Receipt(Outcome.CORRECTED, corrected)

    def _enter(self, instance: Instance, purpose: Purpose) -> Instance:
        try:
            return self._register.enter(instance, purpose)
        except OSError as error:
            raise _unwritten(error) from error

    def _write(self, instance: Instance, encoded: bytes) -> None:
        """Write the file, synced; nothing of it is left where that fails."""
        if shutil.disk_usage(self.folder).free - len(encoded) < self._minimum_free_bytes:
            raise StorageFull("There is too little free space to keep what was sent.", cure=_ROOM_CURE)
        path = self.folder / instance.path
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(file_head(instance))
                file.write(encoded)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _unwritten(error) from error


def cure_of(error: Exception) -> str:
    """Return the sentence on what to do about an arrival that was refused by an error."""
    return (error.cure if isinstance(error, HeatproofError) else "") or _CURES.get(type(error), _LOOK)


def _unwritten(error: OSError) -> Unavailable:
    if error.errno in _NO_ROOM:
        return StorageFull("The disk is full.", cure=_ROOM_CURE)
    return Unavailable("The instance could not be written.", cure="See the inbox's file system.")

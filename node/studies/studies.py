"""Studies: which instances belong together, and whether a study waits for images, for a decision, or for nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from sqlalchemy import Connection, Engine, func, null, select, update

from inference.errors import NotAnalysed
from node.associations.storage_classes import is_unread_class
from node.rules.series_header import SeriesHeader
from node.store import StudyState, insert_into, instances, studies
from node.studies.annotation_classes import is_annotation_class
from node.studies.corrections import Correction, corrections_of
from node.studies.instance import Instance
from node.waking import WORK

MOST_SERIES = 2000
"""Of one study, that the rules are held against."""


@dataclass(frozen=True)
class Snapshot:
    """A study as it stands after so many arrivals."""

    study_instance_uid: str
    arrivals: int
    """How many images came: it counts up with every new one, whatever the clock does."""


class Studies:
    """The studies of the store; their state is there and nowhere else, so a restart changes nothing."""

    def __init__(self, engine: Engine, inbox: Path) -> None:
        """Bind to a store.

        Args:
            engine: the migrated store.
            inbox: folder that the paths of instances are relative to.
        """
        self._engine = engine
        self._inbox = inbox
        opening = insert_into(engine, studies)
        undecided = (
            "complete_at", "proof", "missing", "route", "reason", "answers", "asked_route", "originals_removed_at",
        )  # fmt: skip
        again = {
            "state": opening.excluded.state,
            "last_received_at": opening.excluded.last_received_at,
            "arrivals": studies.c.arrivals + 1,
            "attempts": 0,
            **dict.fromkeys(undecided, null()),
        }
        self._opening = opening.on_conflict_do_update(index_elements=["study_instance_uid"], set_=again)
        corrected = {**again, "corrected_patient": opening.excluded.corrected_patient}
        self._correcting = opening.on_conflict_do_update(index_elements=["study_instance_uid"], set_=corrected)
        self._known = insert_into(engine, studies).on_conflict_do_nothing()

    def received(self, connection: Connection, arrived: Sequence[Instance]) -> None:
        """Open the studies of new instances, or open them again, in the transaction that keeps the instances.

        A late image takes back whatever was decided: completion and routing are done again, and because the content
        digest changed, they give another job. What is only said about images, cannot be read, or is a result of another
        node, changes nothing that was decided.
        """
        WORK.ring()
        for opening, about in ((self._opening, False), (self._known, True)):
            rows = [_opened_by(instance) for instance in arrived if _opens_nothing(instance) is about]
            if rows:
                connection.execute(opening, rows)

    def corrected(self, connection: Connection, instance: Instance) -> None:
        """Open a study again whose Patient ID is corrected, in the transaction that replaces one of its instances."""
        WORK.ring()
        connection.execute(self._correcting, [{**_opened_by(instance), "corrected_patient": instance.patient}])

    def correction(self, study_instance_uid: str) -> Correction | None:
        """Return how far the Patient ID of a study is corrected; None where it never was."""
        return corrections_of(self._engine, [study_instance_uid]).get(study_instance_uid)

    def received_as_priors(self, connection: Connection, arrived: Sequence[Instance]) -> None:
        """Open the studies of new instances as priors of others; what is known of a study already stays as it is.

        A prior waits for no completeness and is decided by nobody, unless it is sent for itself too.
        """
        rows = [{**_opened_by(instance), "state": StudyState.PRIOR} for instance in arrived]
        opening = insert_into(connection, studies)
        more = {"last_received_at": opening.excluded.last_received_at, "arrivals": studies.c.arrivals + 1}
        connection.execute(opening.on_conflict_do_update(index_elements=["study_instance_uid"], set_=more), rows)

    def sent_for_itself(self, study_instance_uid: str) -> None:
        """Take up a study that was here as a prior: from now on it is one to decide about."""
        is_prior = (studies.c.study_instance_uid == study_instance_uid) & (studies.c.state == StudyState.PRIOR)
        with self._engine.connect() as connection:
            if connection.execute(select(studies.c.state).where(is_prior)).first() is None:
                return
        with self._engine.begin() as connection:
            connection.execute(update(studies).where(is_prior).values(state=StudyState.RECEIVING))
        WORK.ring()

    def receiving(self) -> tuple[Snapshot, ...]:
        """Return the studies that are not complete yet."""
        query = select(studies.c.study_instance_uid, studies.c.arrivals).where(studies.c.state == StudyState.RECEIVING)
        with self._engine.connect() as connection:
            return tuple(Snapshot(*row) for row in connection.execute(query))

    def close(self, study: Snapshot, at: datetime, *, proof: str, missing: str | None = None) -> bool:
        """Write down by which proof a study is complete, and what is missing nevertheless.

        Returns:
            whether it was closed; not where another image has come since ``study`` was read.
        """
        closed = (
            update(studies)
            .where(
                studies.c.study_instance_uid == study.study_instance_uid,
                studies.c.state == StudyState.RECEIVING,
                studies.c.arrivals == study.arrivals,
            )
            .values(state=StudyState.COMPLETE, complete_at=at, proof=proof, missing=missing)
        )
        with self._engine.begin() as connection:
            return connection.execute(closed).rowcount == 1

    def waiting(self) -> tuple[Snapshot, ...]:
        """Return the complete studies that nobody has decided about yet, also those closed before a crash."""
        query = (
            select(studies.c.study_instance_uid, studies.c.arrivals)
            .where(studies.c.state == StudyState.COMPLETE)
            .order_by(studies.c.complete_at, studies.c.study_instance_uid)
        )
        with self._engine.connect() as connection:
            return tuple(Snapshot(*row) for row in connection.execute(query))

    def instances_of(self, study_instance_uid: str) -> tuple[Instance, ...]:
        """Return the instances of a study that can be read, by SOP Instance UID; others are kept and no more."""
        query = (
            select(instances)
            .where(instances.c.study_instance_uid == study_instance_uid)
            .order_by(instances.c.sop_instance_uid)
        )
        with self._engine.connect() as connection:
            kept = (Instance(**row._mapping) for row in connection.execute(query))
            return tuple(instance for instance in kept if not is_unread_class(instance.sop_class_uid))

    def images_by_series(self, study_instance_uid: str) -> dict[str, int]:
        """Count the kept instances of each series."""
        query = (
            select(instances.c.series_instance_uid, func.count())
            .where(instances.c.study_instance_uid == study_instance_uid)
            .group_by(instances.c.series_instance_uid)
        )
        with self._engine.connect() as connection:
            return {series: int(count) for series, count in connection.execute(query)}

    def senders_of(self, study_instance_uid: str) -> tuple[str, ...]:
        """Return the calling AE titles that images of a study came from."""
        query = (
            select(instances.c.calling_ae_title).where(instances.c.study_instance_uid == study_instance_uid).distinct()
        )
        with self._engine.connect() as connection:
            return tuple(sorted(connection.execute(query).scalars()))

    def content_digest(self, study_instance_uid: str) -> str:
        """Return the digest of all kept instances of a study: it changes with every new image, and only then."""
        return content_digest(self.instances_of(study_instance_uid))

    def route_of(self, study_instance_uid: str) -> str | None:
        """Return the name of the rule that decided about a study."""
        query = select(studies.c.route).where(studies.c.study_instance_uid == study_instance_uid)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def asked_route_of(self, study_instance_uid: str) -> str | None:
        """Return the name of the rule that a study is to be analysed by again, whatever the rule's conditions."""
        query = select(studies.c.asked_route).where(studies.c.study_instance_uid == study_instance_uid)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def series_headers(self, study_instance_uid: str) -> tuple[SeriesHeader, ...]:
        """Read the header of one instance of each series, without pixels, by Series Instance UID.

        A file that is gone or damaged gives an empty header: no rule matches it, and the study is answered.

        Raises:
            NotAnalysed: more series than are looked at.
        """
        first: dict[str, Instance] = {}
        for instance in sorted(self.instances_of(study_instance_uid), key=lambda instance: instance.foreign_result):
            first.setdefault(instance.series_instance_uid, instance)
        if len(first) > MOST_SERIES:
            raise NotAnalysed(f"The study has {len(first)} series, where {MOST_SERIES} are the limit.")
        return tuple(_header(self._inbox / first[uid].path, first[uid].foreign_result) for uid in sorted(first))


def content_digest(kept: Sequence[Instance]) -> str:
    """Return SHA-256 over sorted (SOP Instance UID, SHA-256 of the data set), 64 hexadecimal digits."""
    lines = sorted(f"{instance.sop_instance_uid} {instance.sha256}\n" for instance in kept)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _opens_nothing(instance: Instance) -> bool:
    sop_class = instance.sop_class_uid
    return instance.foreign_result or is_annotation_class(sop_class) or is_unread_class(sop_class)


def _header(path: Path, foreign_result: bool) -> SeriesHeader:
    try:
        return SeriesHeader.read(path, foreign_result=foreign_result)
    except (OSError, InvalidDicomError):
        return SeriesHeader(Dataset(), foreign_result)


def _opened_by(instance: Instance) -> dict[str, object]:
    return {
        "study_instance_uid": instance.study_instance_uid,
        "state": StudyState.RECEIVING,
        "first_received_at": instance.received_at,
        "last_received_at": instance.received_at,
        "arrivals": 1,
    }

"""Studies: which instances belong together, and when a study is complete."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, select, update

from node.instance import Instance
from node.rules import SeriesHeader
from node.store import StudyState, insert_into, instances, studies


class Studies:
    """The studies of the store; their state is there and nowhere else, so a restart changes nothing."""

    def __init__(self, engine: Engine, inbox: Path, *, quiet_seconds: float) -> None:
        """Bind to a store.

        Args:
            engine: the migrated store.
            inbox: folder that the paths of instances are relative to.
            quiet_seconds: a study is complete when no new image of it arrived for this long.
        """
        self._engine = engine
        self._inbox = inbox
        self._quiet = timedelta(seconds=quiet_seconds)

    def received(self, connection: Connection, instance: Instance) -> None:
        """Open the study of a new instance, or open it again, in the transaction that keeps the instance.

        A late image takes back whatever was decided: completion and routing are done again, and because the content
        digest changed, they give another job.
        """
        opened = {
            "state": StudyState.RECEIVING,
            "last_received_at": instance.received_at,
            "complete_at": None,
            "proof": None,
            "route": None,
            "reason": None,
        }
        row = insert_into(connection, studies).values(
            study_instance_uid=instance.study_instance_uid, first_received_at=instance.received_at, **opened
        )
        connection.execute(row.on_conflict_do_update(index_elements=["study_instance_uid"], set_=opened))

    def completed(self, now: datetime) -> tuple[str, ...]:
        """Close the studies that were quiet for long enough, and give all that wait for a decision.

        A study that was closed before a crash is given again until its state says that it was decided.

        Returns:
            Study Instance UIDs, longest complete first.
        """
        closed = (
            update(studies)
            .where(studies.c.state == StudyState.RECEIVING, studies.c.last_received_at <= now - self._quiet)
            .values(
                state=StudyState.COMPLETE,
                complete_at=now,
                proof=f"no image for {self._quiet.total_seconds():g} s (quiet time)",
            )
        )
        waiting = (
            select(studies.c.study_instance_uid)
            .where(studies.c.state == StudyState.COMPLETE)
            .order_by(studies.c.complete_at, studies.c.study_instance_uid)
        )
        with self._engine.begin() as connection:
            connection.execute(closed)
            return tuple(connection.execute(waiting).scalars())

    def instances_of(self, study_instance_uid: str) -> tuple[Instance, ...]:
        """Give the kept instances of a study, by SOP Instance UID."""
        query = (
            select(instances)
            .where(instances.c.study_instance_uid == study_instance_uid)
            .order_by(instances.c.sop_instance_uid)
        )
        with self._engine.connect() as connection:
            return tuple(Instance(**row._mapping) for row in connection.execute(query))

    def content_digest(self, study_instance_uid: str) -> str:
        """Give the digest of all kept instances of a study: it changes with every new image, and only then."""
        return content_digest(self.instances_of(study_instance_uid))

    def series_headers(self, study_instance_uid: str) -> tuple[SeriesHeader, ...]:
        """Read the header of one instance of each series, without pixels, by Series Instance UID."""
        first: dict[str, Instance] = {}
        for instance in self.instances_of(study_instance_uid):
            first.setdefault(instance.series_instance_uid, instance)
        return tuple(SeriesHeader.read(self._inbox / first[uid].path) for uid in sorted(first))


def content_digest(kept: Sequence[Instance]) -> str:
    """Give SHA-256 over sorted (SOP Instance UID, SHA-256 of the data set), 64 hexadecimal digits."""
    lines = sorted(f"{instance.sop_instance_uid} {instance.sha256}\n" for instance in kept)
    return hashlib.sha256("".join(lines).encode()).hexdigest()

"""Removing: first the rows in one transaction, which looks again whether all is delivered, and then their files.

A crash in between leaves files without rows, or of rows that are marked as removed: :mod:`node.retention.leftovers`
removes those at the next start. No file is ever removed before its row says so.
"""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, exists, or_, select, update

from node.audit.tables import opinions, returned
from node.delivery.commitment import commitments
from node.jobs.contents import contents
from node.receiving.awaited import priors
from node.retention.conditions import has_undelivered, is_settled, is_unfinished
from node.settings.settings import Settings
from node.store import (
    deliveries,
    instances,
    jobs,
    now,
    performed_steps,
    results,
    studies,
)
from node.workflow_store import delete_workflows
from reports.audit.ledger import Detail, Event, Ledger


class StudyRemoval:
    """Removes originals, results and rows of one store; each call is one study or job, and one row of the ledger."""

    def __init__(self, settings: Settings, engine: Engine, ledger: Ledger, awaiting: Sequence[str]) -> None:
        """Bind to a store; ``awaiting`` are the destinations for which "sent" is not the final state."""
        self._settings = settings
        self._engine = engine
        self._ledger = ledger
        self._awaiting = awaiting
        self.inbox, self.outbox = settings.node.files / "inbox", settings.node.files / "outbox"

    def originals(self, study_instance_uid: str, arrivals: int) -> int | None:
        """Remove the images of a study; give how many, or None where it may not be removed any more.

        Args:
            study_instance_uid: of the study.
            arrivals: as it was when it was chosen: with another image since, it stays.
        """
        settled = and_(
            studies.c.study_instance_uid == study_instance_uid,
            studies.c.arrivals == arrivals,
            is_settled(self._awaiting),
        )
        with self._engine.begin() as connection:
            if not connection.execute(update(studies).where(settled).values(originals_removed_at=now())).rowcount:
                return None
            of_study = instances.c.study_instance_uid == study_instance_uid
            gone = delete(instances).where(of_study).returning(instances.c.path)
            paths = list(connection.execute(gone).scalars())
            self._tell(connection, study_instance_uid, "originals", len(paths))
        unlink(self.inbox, paths)
        return len(paths)

    def results(self, job_id: str) -> int | None:
        """Remove the files of a job's results, whose rows stay; give how many, or None where one is not delivered."""
        of_job = select(results.c.sop_instance_uid).where(results.c.job_id == job_id)
        done = and_(jobs.c.id == job_id, ~is_unfinished(), ~has_undelivered(self._awaiting))
        is_delivered = exists().where(done).correlate(None)
        with self._engine.begin() as connection:
            connection.execute(  # nobody has it sent again meanwhile
                select(deliveries.c.state).where(deliveries.c.sop_instance_uid.in_(of_job)).with_for_update()
            ).all()
            marked = (
                update(results)
                .where(results.c.job_id == job_id, results.c.removed_at.is_(None), is_delivered)
                .values(removed_at=now())
                .returning(results.c.path, results.c.preview_path)
            )
            paths = [path for row in connection.execute(marked) for path in row if path]
            if not paths:
                return None
            study = connection.execute(select(jobs.c.study_instance_uid).where(jobs.c.id == job_id)).scalar_one()
            self._tell(connection, str(study), "results", len(paths))
        unlink(self.outbox, paths)
        return len(paths)

    def rows(self, study_instance_uid: str, arrivals: int) -> int | None:
        """Remove what the database says of a study whose files are gone; give how many jobs, or None where it may not.

        Its workflows go first: a study that is sent again would else join one that has ended.
        """
        of_study = jobs.c.study_instance_uid == study_instance_uid
        with self._engine.connect() as connection:
            job_ids = list(connection.execute(select(jobs.c.id).where(of_study)).scalars())
        settled = and_(
            studies.c.study_instance_uid == study_instance_uid,
            studies.c.arrivals == arrivals,
            is_settled(self._awaiting),
            ~has_files(),
        )
        with self._engine.connect() as connection:
            if connection.execute(select(studies.c.state).where(settled)).first() is None:
                return None
        delete_workflows(self._settings.node, job_ids)
        with self._engine.begin() as connection:
            if not connection.execute(update(studies).where(settled).values(attempts=0)).rowcount:
                return None
            delete_rows(connection, study_instance_uid)
            self._tell(connection, study_instance_uid, "rows", len(job_ids))
        return len(job_ids)

    def _tell(self, connection: Connection, study_instance_uid: str, kind: str, objects: int) -> None:
        details: dict[str, Detail] = {"content": kind, "objects": objects}
        self._ledger.append(
            Event.REMOVED, study_instance_uid=study_instance_uid, details=details, connection=connection
        )


def has_files() -> ColumnElement[bool]:
    """Hold for a study of which an image or a result's file is here."""
    image = exists().where(instances.c.study_instance_uid == studies.c.study_instance_uid).correlate(studies)
    of_study = and_(jobs.c.study_instance_uid == studies.c.study_instance_uid, results.c.job_id == jobs.c.id)
    return or_(image, exists().where(of_study, results.c.removed_at.is_(None)).correlate(studies))


def delete_rows(connection: Connection, study_instance_uid: str) -> None:
    """Delete all rows of a study, but for those of the ledger and the figures of the audit, which are keyed."""
    job_ids = select(jobs.c.id).where(jobs.c.study_instance_uid == study_instance_uid)
    made = select(results.c.sop_instance_uid).where(results.c.job_id.in_(job_ids))
    images = select(instances.c.sop_instance_uid).where(instances.c.study_instance_uid == study_instance_uid)
    for table, condition in (
        (commitments, commitments.c.job_id.in_(job_ids)),
        (deliveries, deliveries.c.sop_instance_uid.in_(made)),
        (opinions, opinions.c.capture.in_(made)),
        (results, results.c.job_id.in_(job_ids)),
        (jobs, jobs.c.study_instance_uid == study_instance_uid),
        (contents, contents.c.study_instance_uid == study_instance_uid),
        (performed_steps, performed_steps.c.study_instance_uid == study_instance_uid),
        (priors, priors.c.study_instance_uid == study_instance_uid),
        (priors, priors.c.prior_study_uid == study_instance_uid),
        (returned, returned.c.sop_instance_uid.in_(images)),
        (instances, instances.c.study_instance_uid == study_instance_uid),
        (studies, studies.c.study_instance_uid == study_instance_uid),
    ):  # fmt: skip
        connection.execute(delete(table).where(condition))


def unlink(folder: Path, paths: Sequence[str]) -> None:
    """Remove files below a folder, and the folders of jobs that are empty then."""
    for path in paths:
        (folder / path).unlink(missing_ok=True)
    for parent in {(folder / path).parent for path in paths} - {folder}:
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()

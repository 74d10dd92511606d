"""What takes the place of what: a study that late images opened again gets new results, and the old ones stay.

A result is never changed, deleted or rejected by a key object (IHE IOCM): somebody may have read it already, and an
archive would hide or delete what such an object names. Instead the new report names the old one as its predecessor
(PS3.3 C.17.2, purpose "Replaced report"), whose evidence in turn names its captures; a new capture says in its
derivation that it replaces an earlier one; and the store marks what was superseded, for console and API.

Later means a later decision (``jobs.generation``), whatever the clock said. What was made of the very same images, with
the same model and settings, has the same UIDs: it is the same result, and passes to the later decision.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select, true, update

from node.jobs.job_row import Job
from node.store import jobs, results
from reports.objects.library import InstanceReference
from reports.objects.results import ResultObject


def predecessors(connection: Connection, job: Job, source_series_uid: str | None) -> tuple[InstanceReference, ...]:
    """Return the reports that a new one replaces, by SOP Instance UID.

    Args:
        connection: to the store.
        job: the later decision.
        source_series_uid: the series that is reported on; None: the whole study.

    Returns:
        those that nothing but this job supersedes: run again after a crash, it finds the same.
    """
    own = select(results.c.sop_instance_uid).where(results.c.job_id == job.id).scalar_subquery()
    current = or_(results.c.superseded_by.is_(None), results.c.superseded_by.in_(own))
    query = (
        select(results.c.series_instance_uid, results.c.sop_class_uid, results.c.sop_instance_uid)
        .join(jobs, jobs.c.id == results.c.job_id)
        .where(
            _same_reading(job, source_series_uid),
            jobs.c.generation < job.generation,
            results.c.role == "report",
            current,
        )
        .order_by(results.c.sop_instance_uid)
    )
    return tuple(InstanceReference(job.study_instance_uid, *row) for row in connection.execute(query))


def succeed(connection: Connection, job: Job, source_series_uid: str | None, made: Sequence[ResultObject]) -> int:
    """Mark what new results supersede; call it in the transaction that records them.

    Args:
        connection: to the store, within that transaction.
        job: the later decision.
        source_series_uid: the series that is reported on; None: the whole study.
        made: all that was written for it, the report among them.

    Returns:
        how many results were superseded.
    """
    written = {item.sop_instance_uid for item in made}
    (report,) = (item.sop_instance_uid for item in made if item.role == "report")
    earlier = select(jobs.c.id).where(
        jobs.c.study_instance_uid == job.study_instance_uid, jobs.c.generation < job.generation
    )
    connection.execute(
        update(results)
        .where(results.c.sop_instance_uid.in_(written), results.c.job_id.in_(earlier))
        .values(job_id=job.id)
    )
    newer = connection.execute(
        _matching(job, source_series_uid, jobs.c.generation > job.generation, results.c.role == "report")
    ).scalars()
    for successor in list(newer)[:1]:  # this decision was overtaken while it was worked on
        _mark(connection, written, successor)
    old = connection.execute(
        _matching(job, source_series_uid, jobs.c.generation < job.generation, results.c.superseded_by.is_(None))
    ).scalars()
    superseded = set(old).difference(written)
    _mark(connection, superseded, report)
    return len(superseded)


def _matching(job: Job, source_series_uid: str | None, *conditions: ColumnElement[bool]) -> Any:
    return (
        select(results.c.sop_instance_uid)
        .join(jobs, jobs.c.id == results.c.job_id)
        .where(_same_reading(job, source_series_uid), *conditions)
        .order_by(results.c.sop_instance_uid)
    )


def _same_reading(job: Job, source_series_uid: str | None) -> ColumnElement[bool]:
    """Hold for results of the same model on the same series; "not analysed" speaks for all series, or all models."""
    same_model = or_(jobs.c.bundle == job.bundle, jobs.c.bundle == "") if job.bundle else true()
    same_series = or_(results.c.source_series_uid == source_series_uid, results.c.source_series_uid.is_(None))
    return and_(
        jobs.c.study_instance_uid == job.study_instance_uid,
        jobs.c.id != job.id,
        same_model,
        same_series if source_series_uid else true(),
    )


def _mark(connection: Connection, sop_instance_uids: Collection[str], successor: str) -> None:
    connection.execute(
        update(results)
        .where(results.c.sop_instance_uid.in_(sop_instance_uids), results.c.superseded_by.is_(None))
        .values(superseded_by=successor)
    )

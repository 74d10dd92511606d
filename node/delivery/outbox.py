"""The outbox: where results lie on their way out, which kinds of them are wanted, and the rows that queue them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from node.jobs.job_row import Job
from node.jobs.succession import succeed
from node.settings.destination import Destination
from node.store import DeliveryState, deliveries, insert_new, now, results
from reports.objects.results import ResultObject


class Outbox:
    """A folder with one folder for each job, and what each destination takes out of it."""

    def __init__(self, folder: Path, destinations: Sequence[Destination]) -> None:
        self._folder = folder
        self._taken = {destination.name: destination.objects for destination in destinations}

    def folder(self, job: Job) -> Path:
        """Give the folder of a job's results."""
        return self._folder / job.id

    def wanted(self, job: Job) -> frozenset[str]:
        """Give the roles that some destination of a job takes."""
        return frozenset(role for name in job.destinations for role in self._taken.get(name, ()))

    def queue(
        self, connection: Connection, job: Job, written: Sequence[ResultObject], source_series_uid: str | None
    ) -> None:
        """Write a row for each result, a queued delivery for each destination that takes it, and what it supersedes.

        Args:
            connection: to the store, within the transaction of the step.
            job: whose results they are.
            written: all of one analysis, the report among them.
            source_series_uid: the series that was analysed; None: the whole study.
        """
        made = [
            {
                "sop_instance_uid": item.sop_instance_uid,
                "sop_class_uid": item.sop_class_uid,
                "series_instance_uid": item.series_instance_uid,
                "job_id": job.id,
                "role": item.role,
                "path": str(item.path.relative_to(self._folder)),
                "preview_path": str(item.preview_path.relative_to(self._folder)) if item.preview_path else None,
                "sha256": item.sha256,
                "created_at": job.created_at,
                "source_series_uid": source_series_uid,
            }
            for item in written
        ]
        queued = [
            {
                "sop_instance_uid": item.sop_instance_uid,
                "destination": destination,
                "state": DeliveryState.QUEUED,
                "attempts": 0,
                "updated_at": now(),
            }
            for item in written
            for destination in job.destinations
            if item.role in self._taken.get(destination, (item.role,))
        ]
        insert_new(connection, results, made)
        insert_new(connection, deliveries, queued)
        succeed(connection, job, source_series_uid, written)

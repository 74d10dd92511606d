"""The outbox: the files of results, the roles that destinations take, and the rows that queue deliveries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from node.settings.destination import Destination
from node.store import DeliveryState, deliveries, insert_new, now, results
from reports.objects.results import ResultObject


class Outbox:
    """The folder of results, one subfolder a job, and the roles that each destination takes."""

    def __init__(self, folder: Path, destinations: Sequence[Destination]) -> None:
        self._folder = folder
        self._taken = {destination.name: destination.objects for destination in destinations}

    def folder(self, job_id: str) -> Path:
        """Return the folder of a job's results."""
        return self._folder / job_id

    def wanted(self, names: Iterable[str]) -> frozenset[str]:
        """Return the roles that any of these destinations takes."""
        return frozenset(role for name in names for role in self._taken.get(name, ()))

    def queue(
        self,
        connection: Connection,
        written: Sequence[ResultObject],
        *,
        job_id: str,
        created_at: datetime,
        destinations: Sequence[str],
        source_series_uid: str | None,
    ) -> None:
        """Write a row for each result, and a queued delivery for each destination that takes it.

        Args:
            connection: to the store, within the transaction of the step.
            job_id: whose results they are.
            created_at: when that job was created.
            destinations: names of the job's destinations.
            written: all of one analysis, the report among them.
            source_series_uid: the series that was analysed; None: the whole study.
        """
        made = [
            {
                "sop_instance_uid": item.sop_instance_uid,
                "sop_class_uid": item.sop_class_uid,
                "series_instance_uid": item.series_instance_uid,
                "job_id": job_id,
                "role": item.role,
                "path": str(item.path.relative_to(self._folder)),
                "preview_path": str(item.preview_path.relative_to(self._folder)) if item.preview_path else None,
                "sha256": item.sha256,
                "created_at": created_at,
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
            for destination in destinations
            if item.role in self._taken.get(destination, (item.role,))
        ]
        insert_new(connection, results, made)
        insert_new(connection, deliveries, queued)

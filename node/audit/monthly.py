"""The monthly audit report for an archive: queued automatically once a month, and on request.

It lies in the outbox and is queued like any result, so that it is delivered, retried, and proven like one. Its row
in ``jobs`` is of no study that was received.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from inference.errors import Refused, UnknownName
from node.audit.audit import Audit
from node.store import DeliveryState, JobState, deliveries, insert_new, jobs, now, results
from reports.audit.ledger import Event, entries
from reports.audit.month.document import month_document, study_of
from reports.audit.month.month import range_of
from reports.objects.results import ResultObject, write_object

ROLE = "quality_report"


class Monthly:
    """Makes the report of all routes and queues it; a running node delivers what is queued within half a minute."""

    def __init__(self, audit: Audit) -> None:
        """Bind to one store under one settings file."""
        self._audit = audit
        self._engine, self._ledger = audit.engine, audit.ledger
        self._outbox = audit.settings.node.files / "outbox"

    def send(self, month: str, destination: str) -> str:
        """Make the report of a month and queue it for a destination; give its SOP Instance UID.

        Args:
            month: as 2026-10.
            destination: of the settings.

        Raises:
            Refused: it is not a valid month, or there is no route to report on.
            UnknownName: there is no such destination.
        """
        job_id = _digest("quality report", month, destination, str(self._ledger.head()))
        queued = self._queue(job_id, month, destination)
        if queued is None:
            raise Refused("The same report has just been queued.")
        return queued

    def send_due(self, at: datetime | None = None) -> str | None:
        """Queue the report of the last month for ``audit.report_to``, once; give its SOP Instance UID where it is new.

        A month before the ledger began is not reported on.
        """
        destination = self._audit.settings.audit.report_to
        if not destination or not self._audit.rules():
            return None
        month = _month_before(at or now())
        job_id = _digest("quality report by itself", month, destination)
        with self._engine.connect() as connection:
            done = connection.execute(select(jobs.c.id).where(jobs.c.id == job_id)).first()
            before = range_of(month)[1].astimezone(UTC).isoformat(timespec="microseconds")
            began = connection.execute(select(entries.c.seq).where(entries.c.at < before).limit(1)).first()
        return self._queue(job_id, month, destination) if began and not done else None

    def _queue(self, job_id: str, month: str, destination: str) -> str | None:
        """Write the file, and then its rows in one transaction; None where another has queued it meanwhile."""
        if destination not in [configured.name for configured in self._audit.settings.destinations]:
            raise UnknownName(f"There is no destination {destination!r}.", cure="Name one of the settings.")
        routes = [rule.name for rule in self._audit.rules()]
        if not routes:
            raise Refused("There is no route to report on.", cure="Add a rule.")
        site = self._ledger.pseudonym(ROLE)
        document = month_document(
            [self._audit.month(route, month) for route in routes],
            site=site,
        )
        folder = self._outbox / job_id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = write_object(document, "quality_report", folder)
        with self._engine.begin() as connection:
            if not insert_new(connection, jobs, [_job(job_id, str(study_of(site)), destination)]):
                return None
            connection.execute(insert(results).values(_result(job_id, written, self._outbox)))
            connection.execute(insert(deliveries).values(_delivery(written, destination)))
            self._ledger.append(
                Event.REPORTED,
                details={"month": month, "destination": destination, "objects": 1},
                connection=connection,
            )
        return written.sop_instance_uid


def _job(job_id: str, study_instance_uid: str, destination: str) -> dict[str, Any]:
    at = now()
    return {
        "id": job_id,
        "study_instance_uid": study_instance_uid,
        "route": "",
        "bundle": "",
        "options": {"method": None, "planes_explained": 1, "destinations": [destination]},
        "state": JobState.DONE,
        "created_at": at,
        "finished_at": at,
    }


def _result(job_id: str, written: ResultObject, outbox: Path) -> dict[str, Any]:
    return {
        "sop_instance_uid": written.sop_instance_uid,
        "sop_class_uid": written.sop_class_uid,
        "series_instance_uid": written.series_instance_uid,
        "job_id": job_id,
        "role": written.role,
        "path": str(written.path.relative_to(outbox)),
        "sha256": written.sha256,
        "created_at": now(),
    }


def _delivery(written: ResultObject, destination: str) -> dict[str, Any]:
    return {
        "sop_instance_uid": written.sop_instance_uid,
        "destination": destination,
        "state": DeliveryState.QUEUED,
        "attempts": 0,
        "updated_at": now(),
    }


def _month_before(at: datetime) -> str:
    first = at.astimezone(UTC).replace(day=1)
    return f"{first - timedelta(days=1):%Y-%m}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()

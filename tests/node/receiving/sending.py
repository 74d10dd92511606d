"""The sending half of a node in this process: results in an outbox, real destinations, and the real workflows."""

import hashlib
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from dbos import DBOS
from dbos._dbos import _get_or_create_dbos_registry
from fastapi import FastAPI
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import evt
from sqlalchemy import insert, select

from node import workflow_store
from node.associations.shares import Shares
from node.delivery import delivery
from node.delivery.consignments import Consignments
from node.delivery.delivery import Deliveries, Patience
from node.jobs import job
from node.jobs.job import Jobs
from node.jobs.job_row import Job
from node.jobs.steps import Steps
from node.receiving.listener import Listener
from node.settings.settings import Settings
from node.store import (
    DeliveryState,
    JobState,
    deliveries,
    jobs,
    now,
    results,
)
from node.web.app import create_app
from node.web.deliveries import DeliveryDesk, delivery_routes
from node.web.pages import Pages
from node.web.stow import stow_routes
from tests.node.receiving.intake import Intake, arrival
from tests.patience import patient, wait_until


def standard_patience() -> Patience:
    """Shorter pauses than shipped; a commitment on the same association has a second to come."""
    return Patience(first_delay_seconds=0.2, longest_delay_seconds=1.0, most_attempts=60, linger_seconds=patient(1.0))


class FaultySteps(Steps):
    """The arrows of a job, under a store that fails once for each job in ``broken``."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.broken: set[str] = set()

    def job(self, job_id: str) -> Job:
        if job_id in self.broken:
            self.broken.discard(job_id)
            raise OSError("the store is away")
        return super().job(job_id)


class Sender:
    """Deliveries and the listener of one node that calls itself HEATPROOF; a context manager."""

    def __init__(
        self,
        folder: Path,
        destinations: Sequence[dict[str, Any]],
        *,
        port: int,
        patience: Patience | None = None,
        workflows: str | None = None,
    ):
        home = folder / "home"
        home.mkdir(parents=True)
        self._outbox = home / "outbox"
        raw = {
            "node": {"home": home, "port": port, "database_url": workflows},
            "http": {"token_file": home / "token"},
            "destinations": destinations,
        }
        self.settings = settings = Settings.model_validate(raw)
        self._ports = {destination.name: destination.port for destination in settings.destinations}
        self.intake = Intake(home)
        self.engine, self.ledger = self.intake.engine, self.intake.ledger
        DBOS(config=workflow_store.configure(settings.node))
        self.deliveries = Deliveries(
            settings, self.engine, self.ledger, self._outbox, patience=patience or standard_patience()
        )
        self.steps = FaultySteps(settings, self.engine, home, {}, {}, self.ledger)
        self.jobs = Jobs(self.steps, self.engine, self.ledger, self.deliveries, self.intake.metrics)
        handlers = [(evt.EVT_N_EVENT_REPORT, self.deliveries.reported)]
        intake = self.intake
        self._listener = Listener(settings.node, intake.inbox, intake.metrics, intake.refusals, handlers=handlers)

    def __enter__(self) -> Self:
        DBOS.launch()
        DBOS.register_queue(delivery.QUEUE, partition_worker_concurrency=delivery.AT_ONCE, polling_interval_sec=0.05)
        DBOS.register_queue(job.QUEUE, worker_concurrency=1, polling_interval_sec=0.05)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop(grace_seconds=0.2)
        DBOS.destroy(workflow_completion_timeout_sec=round(patient(10)))
        registered = _get_or_create_dbos_registry().instance_info_map  # else the next Sender would be a second "node"
        for name in [name for name, instance in registered.items() if instance in (self.deliveries, self.jobs)]:
            del registered[name]
        self.intake.close()

    def application(self) -> FastAPI:
        """Return the node's web application."""
        desk = DeliveryDesk(Consignments(self.engine, self._outbox), self.deliveries.resend, self.ledger)
        return create_app(
            self.engine,
            self.settings,
            self.intake.metrics,
            self.ledger,
            listening=lambda: True,
            extra_routers=[
                partial(delivery_routes, desk, Pages("HEATPROOF")),
                partial(stow_routes, self.intake.inbox, self.intake.metrics, Shares(1 << 30, 1 << 30)),
            ],
        )

    def port_of(self, destination: str) -> int:
        return self._ports[destination]

    def consign(self, *to: str, objects: int = 1, start: bool = True) -> str:
        """Make a job with so many results, and send them; give the job's id."""
        job_id = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        study, series = generate_uid(), generate_uid()
        made = [self._write(job_id, study, series, number) for number in range(objects)]
        queued = [
            {
                "sop_instance_uid": row["sop_instance_uid"],
                "destination": destination,
                "state": DeliveryState.QUEUED,
                "attempts": 0,
                "updated_at": now(),
            }
            for row in made
            for destination in to
        ]
        row = {
            "id": job_id,
            "study_instance_uid": study,
            "route": "all",
            "bundle": "none",
            "options": {},
            "state": JobState.DONE,
            "created_at": now(),
        }
        with self.engine.begin() as connection:
            connection.execute(insert(jobs).values(row))
            connection.execute(insert(results), made)
            connection.execute(insert(deliveries), queued)
        for destination in to if start else ():
            self.deliveries.start(job_id, destination)
        return job_id

    def analyse(self, image: Dataset, *to: str, broken: bool = False) -> str:
        """Make a job without a bundle, so that all it brings is a report, and start it; give its id."""
        self.intake.inbox.keep(arrival(image))
        job_id = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        row = {
            "id": job_id,
            "study_instance_uid": image.StudyInstanceUID,
            "route": "",
            "bundle": "",
            "options": {"method": None, "planes_explained": 1, "destinations": list(to)},
            "state": JobState.QUEUED,
            "reason": "No rule routes it.",
            "created_at": now(),
        }
        with self.engine.begin() as connection:
            connection.execute(insert(jobs).values(row))
        if broken:
            self.steps.broken.add(job_id)
        self.jobs.enqueue(job_id)
        return job_id

    def state(self, job_id: str) -> Any:
        """Return the row of a job."""
        with self.engine.connect() as connection:
            return connection.execute(select(jobs).where(jobs.c.id == job_id)).one()

    def is_busy(self, job_id: str) -> bool:
        """Whether any workflow will still do something about a job."""
        live = ["ENQUEUED", "DELAYED", "PENDING"]
        return bool(DBOS.list_workflows(workflow_id_prefix=f"{job_id}:", status=live))

    def rows(self, job_id: str, destination: str) -> list[Any]:
        """Return the rows of one consignment."""
        query = (
            select(deliveries)
            .join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
            .where(results.c.job_id == job_id, deliveries.c.destination == destination)
            .order_by(results.c.path)
        )
        with self.engine.connect() as connection:
            return list(connection.execute(query))

    def wait(self, job_id: str, destination: str, state: str, *, seconds: float = 20.0) -> list[Any]:
        """Wait until every object of a consignment is in this state; give its rows."""
        rows = self.rows(job_id, destination)

        def all_there() -> bool:
            rows[:] = self.rows(job_id, destination)
            return all(row.state == state for row in rows)

        try:
            wait_until(all_there, seconds, f"the state {state!r}")
        except AssertionError as error:
            error.add_note(str([(row.state, row.attempts, row.last_error) for row in rows]))
            raise
        return rows

    def _write(self, job_id: str, study: str, series: str, number: int) -> dict[str, Any]:
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = Comprehensive3DSRStorage, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.PatientID, dataset.PatientName, dataset.Modality = "P1", "CANARY^PATIENT", "SR"
        dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 9000, number + 1
        path = self._outbox / job_id / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dcmwrite(path, dataset, enforce_file_format=True)
        return {
            "sop_instance_uid": dataset.SOPInstanceUID,
            "sop_class_uid": dataset.SOPClassUID,
            "series_instance_uid": series,
            "job_id": job_id,
            "role": "report",
            "path": str(path.relative_to(self._outbox)),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "created_at": now(),
        }

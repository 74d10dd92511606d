"""A store with studies of any age and state, their files on disk as the node writes them, and its retention."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom.uid import generate_uid
from sqlalchemy import insert, select, update

from node.retention.retention import Retention
from node.settings.settings import Settings
from node.store import DeliveryState, JobState, StudyState, deliveries, instances, jobs, now, results, studies
from tests.node.receiving.intake import Intake, arrival, mr_image

PACS = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}
PROVING = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 104, "proof": "find"}


class Keeping:
    """One node's store and folders."""

    def __init__(self, intake: Intake, **wanted: Any) -> None:
        self.intake = intake
        self.engine, self.ledger, self.home = intake.engine, intake.ledger, intake.home
        for name in ("outbox", "jobs"):
            (self.home / name).mkdir(exist_ok=True)
        self.wanted = wanted

    @property
    def settings(self) -> Settings:
        return Settings.model_validate(
            {
                "node": {"home": self.home, "minimum_free_bytes": 0},
                "http": {"token_file": self.home / "token"},
                "destinations": [PACS, PROVING],
                "retention": self.wanted,
            }
        )

    def retention(self, **options: Any) -> Retention:
        return Retention(self.settings, self.engine, self.ledger, **options)

    def study(
        self,
        days: float,
        state: StudyState = StudyState.ROUTED,
        deliveries_of: Sequence[tuple[str, DeliveryState]] = (("pacs", DeliveryState.SENT),),
        *,
        job: JobState | None = JobState.DONE,
        size: int = 32,
        patient: str = "CANARY-ID",
        images: int = 2,
    ) -> str:
        """Receive a study, decide about it and make its results, so many days ago; give its UID."""
        uid = str(generate_uid())
        for seed in range(images):
            image = mr_image(uid, seed=seed, size=size)
            image.PatientID = patient
            self.intake.inbox.keep(arrival(image))
        at = now() - timedelta(days=days)
        with self.engine.begin() as connection:
            row = {"state": state, "first_received_at": at, "last_received_at": at, "complete_at": at}
            connection.execute(update(studies).where(studies.c.study_instance_uid == uid).values(row))
        if job is not None:
            self.job(uid, at, job, deliveries_of)
        return uid

    def job(self, study: str, at: datetime, state: JobState, deliveries_of: Sequence[tuple[str, DeliveryState]]) -> str:
        """Write a job with a capture, its preview and their deliveries."""
        job_id = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        ended = state not in (JobState.QUEUED, JobState.RUNNING)
        folder = self.home / "outbox" / job_id
        folder.mkdir()
        for name in ("capture.dcm", "capture.png"):
            (folder / name).write_bytes(f"CANARY {study} ".encode() * 2000)
        work = self.home / "jobs" / job_id
        work.mkdir()
        (work / "images.npz").write_bytes(b"CANARY" * 100)
        result = {
            "sop_instance_uid": str(generate_uid(prefix="2.25.")), "sop_class_uid": "1.2",
            "series_instance_uid": "2.25.1", "job_id": job_id, "role": "capture", "path": f"{job_id}/capture.dcm",
            "preview_path": f"{job_id}/capture.png", "sha256": "0" * 64, "created_at": at,
        }  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(
                insert(jobs).values(
                    id=job_id,
                    study_instance_uid=study,
                    route="flair",
                    bundle="glioma_flair",
                    options={"method": None, "planes_explained": 1, "destinations": []},
                    state=state,
                    created_at=at,
                    finished_at=at if ended else None,
                )
            )
            connection.execute(insert(results).values(result))
            for destination, delivery in deliveries_of:
                connection.execute(
                    insert(deliveries).values(
                        sop_instance_uid=result["sop_instance_uid"],
                        destination=destination,
                        state=delivery,
                        attempts=1,
                        updated_at=at,
                    )
                )
        return job_id

    def images(self, study: str) -> list[Path]:
        """Return the files that the rows of a study name; each must be there."""
        with self.engine.connect() as connection:
            query = select(instances.c.path).where(instances.c.study_instance_uid == study)
            paths = [self.home / "inbox" / path for path in connection.execute(query).scalars()]
        assert all(path.is_file() for path in paths)
        return paths

    def results(self, study: str) -> list[Path]:
        """Return the files of results of a study that are here by their rows; each must be there."""
        query = (
            select(results.c.path, results.c.preview_path)
            .join(jobs, jobs.c.id == results.c.job_id)
            .where(jobs.c.study_instance_uid == study, results.c.removed_at.is_(None))
        )
        with self.engine.connect() as connection:
            paths = [self.home / "outbox" / path for row in connection.execute(query) for path in row]
        assert all(path.is_file() for path in paths)
        return paths

    def is_known(self, study: str) -> bool:
        with self.engine.connect() as connection:
            query = select(studies.c.state).where(studies.c.study_instance_uid == study)
            return connection.execute(query).first() is not None

    @property
    def files(self) -> set[Path]:
        return {path for name in ("inbox", "outbox") for path in (self.home / name).rglob("*") if path.is_file()}

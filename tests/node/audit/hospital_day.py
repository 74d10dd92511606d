"""A store as it looks after a day in a hospital: every state a study, a job and a delivery can be in."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.uid import (
    Comprehensive3DSRStorage,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from sqlalchemy import Connection, Engine

from node.jobs.summary import line_of
from node.store import METADATA, DeliveryState, JobState, StudyState, deliveries, instances, jobs, now, results, studies
from reports.audit.ledger import METADATA as LEDGER
from reports.audit.ledger import Event, Ledger
from reports.audit.observations import METADATA as OBSERVATIONS

FOUND, EMPTY, CHEST, RUNNING, RECEIVING, FAILED, WITHHELD = (f"1.2.826.0.1.{number}" for number in range(1, 8))
NEWEST_FIRST = (FOUND, EMPTY, CHEST, RUNNING, RECEIVING, FAILED, WITHHELD)
MARKUP_SENDER = "<b>CT & MR</b>"
"""An AE title that is markup: the network said so."""


def spend_day(engine: Engine, home: Path) -> Ledger:
    """Create the tables, fill them, and give the ledger."""
    METADATA.create_all(engine)
    LEDGER.create_all(engine)
    OBSERVATIONS.create_all(engine)
    ledger = Ledger(engine, b"key of this site")
    with engine.begin() as connection:
        for number, uid in enumerate(NEWEST_FIRST):
            _receive(connection, uid, now() - timedelta(minutes=7 * number + 1))
        day = _Day(connection, home / "outbox")
        day.found(FOUND)
        day.nothing(EMPTY)
        day.chest(CHEST)
        day.running(RUNNING)
        day.failed(FAILED)
        day.withheld(WITHHELD)
    _tell(ledger)
    return ledger


def _receive(connection: Connection, uid: str, at: datetime) -> None:
    receiving = uid == RECEIVING
    values: dict[str, Any] = {"state": StudyState.RECEIVING}
    if not receiving:
        values = {
            "state": StudyState.NOT_ROUTED if uid == CHEST else StudyState.ROUTED,
            "complete_at": at + timedelta(seconds=15),
            "proof": "quiet for 10 s",
            "route": None if uid == CHEST else "brain FLAIR",
            "reason": "No rule matches.\nbrain FLAIR: Modality is DX, not MR"
            if uid == CHEST
            else "brain FLAIR: Modality is MR; SeriesDescription matches FLAIR",
        }
    connection.execute(
        studies.insert().values(
            study_instance_uid=uid, first_received_at=at, last_received_at=at + timedelta(seconds=5), **values
        )
    )
    sender = MARKUP_SENDER if uid == CHEST else "ORTHANC"
    for number in range(1 if uid == CHEST else 24):
        connection.execute(
            instances.insert().values(
                sop_instance_uid=f"{uid}.{number}",
                sop_class_uid=DigitalXRayImageStorageForPresentation if uid == CHEST else MRImageStorage,
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                series_instance_uid=f"{uid}.0.1",
                study_instance_uid=uid,
                sha256=_digest(uid, number),
                size_bytes=131072,
                path=_digest(uid, number),
                calling_ae_title=sender,
                peer_address="127.0.0.1",
                received_at=at,
            )
        )


class _Day:
    def __init__(self, connection: Connection, outbox: Path) -> None:
        self._connection = connection
        self._outbox = outbox

    def found(self, uid: str) -> None:
        explanations = [
            _explanation(uid, 11, 0.983, "UNCOMMISSIONED", (0.71, 0.22)),
            _explanation(uid, 12, 0.971, "UNCOMMISSIONED", (0.66, 0.24)),
            _explanation(uid, 10, 0.944, "UNCOMMISSIONED", (0.41, 0.23)),
        ]
        self._job(uid, JobState.DONE, summary=_summary(explanations))
        self._results(uid, explanations, {"pacs": "stored", "research archive": "sent"})

    def nothing(self, uid: str) -> None:
        self._job(uid, JobState.DONE, summary=_summary([]))
        self._results(uid, [], {"pacs": "stored"})

    def chest(self, uid: str) -> None:
        self._job(uid, JobState.NOT_ANALYSED, bundle="", reason="No rule matches this study.")
        self._results(uid, [], {"pacs": "sent"})

    def running(self, uid: str) -> None:
        self._job(uid, JobState.RUNNING, step="classify")

    def failed(self, uid: str) -> None:
        reason = "The explain step failed inside the node (RuntimeError); see its log, job 0123456789ab."
        self._job(uid, JobState.FAILED, step="classify", reason=reason)
        self._results(uid, [], {"pacs": "failed"})

    def withheld(self, uid: str) -> None:
        explanations = [
            _explanation(uid, 4, 0.62, "WITHHELD", (0.12, 0.22)),
            _explanation(uid, 5, 0.91, "CAUTION", (0.5, 0.22)),
            _explanation(uid, 6, 0.97, "TRUSTED", (0.83, 0.22)),
            _explanation(uid, 7, 0.55, "OUT OF ENVELOPE", (0.3, 0.22)),
        ]
        explanations = [{**one, "panel": [28, 112, 768, 768], "shape": [256, 256]} for one in explanations]
        self._job(uid, JobState.DONE, summary=_summary(explanations))
        self._results(uid, explanations, {"pacs": "queued"})

    def _job(self, uid: str, state: JobState, **values: Any) -> None:
        ended = state not in (JobState.QUEUED, JobState.RUNNING)
        row = {"bundle": "glioma_flair", "step": "deliver", "reason": None, "summary": None, "options": {}} | values
        row |= line_of(row["summary"] or {})
        started = now() - timedelta(minutes=1)
        self._connection.execute(
            jobs.insert().values(
                id=_digest("job", uid),
                study_instance_uid=uid,
                route="brain FLAIR",
                state=state,
                created_at=started,
                finished_at=started + timedelta(seconds=8.4) if ended else None,
                **row,
            )
        )

    def _results(self, uid: str, explanations: Sequence[dict[str, Any]], destinations: dict[str, str]) -> None:
        captures = [(item["capture"], "capture", SecondaryCaptureImageStorage, item) for item in explanations]
        for sop, role, sop_class, item in [*captures, (f"{uid}.9.99", "report", Comprehensive3DSRStorage, None)]:
            folder = self._outbox / _digest("job", uid)[:12]
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{sha256(sop.encode()).hexdigest()[:12]}.dcm"
            path.write_bytes(b"\0" * 128 + b"DICM")
            if item:
                _overlay(item["peak"]).save(path.with_suffix(".png"))
            self._connection.execute(
                results.insert().values(
                    sop_instance_uid=sop,
                    sop_class_uid=sop_class,
                    series_instance_uid=f"{uid}.9",
                    job_id=_digest("job", uid),
                    role=role,
                    path=str(path.relative_to(self._outbox)),
                    preview_path=str(path.relative_to(self._outbox).with_suffix(".png")) if item else None,
                    sha256=sha256(sop.encode()).hexdigest(),
                    created_at=now(),
                )
            )
            for name, state in destinations.items():
                self._deliver(sop, name, state)

    def _deliver(self, sop: str, destination: str, state: str) -> None:
        refused = "pacs refused the object with status 0xA700."
        self._connection.execute(
            deliveries.insert().values(
                sop_instance_uid=sop,
                destination=destination,
                state=DeliveryState(state),
                attempts={"queued": 2, "failed": 120}.get(state, 1),
                last_error=refused if state in ("queued", "failed") else None,
                updated_at=now(),
            )
        )


def _tell(ledger: Ledger) -> None:
    for uid in NEWEST_FIRST:
        if uid != RECEIVING:
            event = Event.NOT_ROUTED if uid == CHEST else Event.ROUTED
            ledger.append(event, study_instance_uid=uid, details={"route": "brain FLAIR", "content": _digest(uid)})
    ledger.append(
        Event.ANALYSED,
        study_instance_uid=FOUND,
        details={"job": _digest("job", FOUND), "bundle": "glioma_flair", "state": "done", "verdicts": "UNCOMMISSIONED"},
    )
    ledger.append(
        Event.DELIVERED, study_instance_uid=FOUND, details={"destination": "pacs", "objects": 4, "problem": ""}
    )


def _summary(explanations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    frames = sorted(item["frame"] for item in explanations)
    peak = max(explanations, key=lambda item: float(item["probability"]), default=None)
    return {
        "bundle": {
            "name": "glioma_flair",
            "version": "1.0.0",
            "title": "Glioma on axial FLAIR",
            "digest": _digest("bundle"),
        },
        "nothing_found": not explanations,
        "device": "CPU, 2 threads",
        "planes": 24,
        "ranges": [
            {"label": "glioma", "first": frames[0] - 2, "last": frames[-1] + 2, "peak": peak["frame"],
             "peak_probability": peak["probability"]}
        ] if peak else [],
        "explanations": list(explanations),
    }  # fmt: skip


def _explanation(
    uid: str, frame: int, probability: float, verdict: str, agreement: tuple[float, float]
) -> dict[str, Any]:
    return {
        "label": "glioma",
        "probability": probability,
        "threshold": 0.5,
        "frame": frame,
        "planes": 24,
        "method": "gradcam",
        "seed": 1234567,
        "peak": [80 + frame, 118],
        "verdict": verdict,
        "reasons": ["The bundle has no passport at this site: no trust has been measured, and none is claimed."],
        "score": None,
        "signals": [
            _signal("replicate_spearman", "agreement with the replicates (Spearman)", *agreement),
            _signal("replicate_overlap", "overlap with the replicates' hottest 10 %", 0.52, 0.11),
            _signal("twin_distance", "distance from the weight-randomised twin (1 - Spearman)", 0.94, None),
        ],
        "capture": f"{uid}.9.{frame}",
    }


def _signal(name: str, meaning: str, value: float, null: float | None) -> dict[str, Any]:
    def referenced(level: float) -> float:
        return (value - level) / (1 - level)

    return {
        "name": name,
        "meaning": meaning,
        "tier": "A",
        "value": value,
        "null": null,
        "null_interval": None if null is None else [null - 0.06, null + 0.07],
        "null_count": 0 if null is None else 40,
        "referenced": None if null is None else referenced(null),
        "referenced_interval": None if null is None else [referenced(null + 0.07), referenced(null - 0.06)],
    }


def _overlay(peak: Sequence[int]) -> Image.Image:
    rows, columns = np.mgrid[0:256, 0:256]
    head = (((rows - 128) / 110) ** 2 + ((columns - 128) / 90) ** 2 < 1) * (
        70 + 20 * np.sin(rows / 9) * np.cos(columns / 11)
    )
    heat = np.exp(-((rows - peak[0]) ** 2 + (columns - peak[1]) ** 2) / 500)
    pixels = np.stack([head + 180 * heat, head + 90 * heat, head * (1 - heat)], axis=-1)
    band = np.full((256, 150, 3), 24.0)
    return Image.fromarray(np.concatenate([pixels, band], axis=1).clip(0, 255).astype(np.uint8)).resize((812, 512))


def _digest(*parts: object) -> str:
    return sha256(":".join(map(str, parts)).encode()).hexdigest()

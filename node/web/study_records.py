"""What the store knows of studies, each named by its key, the ledger's keyed hash of its UID; no patient is named."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from cachetools import LRUCache, cachedmethod
from pydicom.uid import UID
from sqlalchemy import Engine, Row, func, select

from inference.errors import UnknownName
from node.priors.records import PriorRecords
from node.store import DeliveryState, JobState, StudyState, deliveries, instances, jobs, results, studies
from node.studies.corrections import Correction, corrections_of
from node.web.priors import PriorSearch, prior_search_of
from reports.audit.ledger import Entry, Ledger

DIGEST_LENGTH = 16  # hexadecimal digits of a result's SHA-256 in its id, after the job's id
MOST_KEYS = 10_000
"""Studies whose UID is cached by key: to find the study of a key, every UID in the store is hashed."""


@dataclass(frozen=True)
class Delivery:
    """How far one result is on its way to one destination."""

    destination: str
    state: str
    attempts: int
    last_error: str | None
    updated_at: datetime
    proof: str | None = None
    """By what it is known to be stored, or that no proof was asked for."""


@dataclass(frozen=True)
class Result:
    """One DICOM object that the node made."""

    id: str
    sop_instance_uid: str
    role: str
    kind: str
    created_at: datetime
    has_preview: bool
    superseded: bool
    """Late images came, and a later report replaces it."""
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True)
class StudyJob:
    """The analysis of a study by one bundle; ``summary`` as :mod:`node.jobs.summary` writes it."""

    id: str
    bundle: str
    state: str
    step: str | None
    reason: str | None
    summary: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None
    results: tuple[Result, ...]
    step_times: Mapping[str, datetime] = field(default_factory=dict)
    """When each step finished, in their order."""

    @property
    def overlays(self) -> dict[str, Result]:
        """The overlays by SOP Instance UID, as ``summary`` names them."""
        return {result.sop_instance_uid: result for result in self.results if result.has_preview}

    @property
    def delivery_counts(self) -> dict[str, Counter[str]]:
        """For each destination the number of results in each state of delivery."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for result in self.results:
            for delivery in result.deliveries:
                counts[delivery.destination][delivery.state] += 1
        return dict(counts)


@dataclass(frozen=True)
class Contents:
    """Images of one kind from one sender."""

    kind: str
    """Name of the SOP class without "Storage", such as "MR Image"."""
    calling_ae_title: str
    count: int


@dataclass(frozen=True)
class Study:
    """One study and everything that happened to it."""

    key: str
    state: str
    first_received_at: datetime
    last_received_at: datetime
    complete_at: datetime | None
    proof: str | None
    route: str | None
    reason: str | None
    missing: str | None
    """What was missing when it was routed all the same."""
    contents: tuple[Contents, ...]
    jobs: tuple[StudyJob, ...]
    correction: Correction | None = None
    """How many instances carry the corrected Patient ID; None where it was never corrected."""
    answers: tuple[dict[str, Any], ...] = ()
    """Of one study: what every clause of every rule said to every series (:class:`node.rules.decide.RuleAnswer`)."""
    priors: PriorSearch | None = None
    """Of one study: the earlier ones that were looked for; None where none were."""
    events: tuple[Entry, ...] = ()
    """Of one study: its rows of the ledger, oldest first."""

    @property
    def is_busy(self) -> bool:
        """Whether the study, a job or a delivery of it is still in progress."""
        return (
            self.state in (StudyState.RECEIVING, StudyState.COMPLETE)
            or self.is_in_analysis
            or any(counts[DeliveryState.QUEUED] for job in self.jobs for counts in job.delivery_counts.values())
        )

    @property
    def is_in_analysis(self) -> bool:
        """Whether a job of the study is queued or running."""
        return any(job.state in (JobState.QUEUED, JobState.RUNNING) for job in self.jobs)


_STUDY_COLUMNS = (
    "state", "first_received_at", "last_received_at", "complete_at", "proof", "route", "reason", "missing",
)  # fmt: skip
_DELIVERY_COLUMNS = ("destination", "state", "attempts", "last_error", "updated_at", "proof")
_JOB_COLUMNS = ("id", "bundle", "state", "step", "reason", "summary", "created_at", "finished_at")


class StudyRecords:
    """Reads studies with their jobs, results and deliveries."""

    def __init__(self, engine: Engine, ledger: Ledger, outbox: Path) -> None:
        self.engine, self._ledger, self._outbox = engine, ledger, outbox
        self._uids: LRUCache[str, str] = LRUCache(MOST_KEYS)
        self._uids_lock = Lock()

    def newest(self, limit: int) -> tuple[Study, ...]:
        """List the studies that arrived last, newest first, at most ``limit``."""
        return self._assemble(self._rows(select(studies).order_by(studies.c.first_received_at.desc()).limit(limit)))

    def study(self, key: str) -> Study:
        """Read one study, with the answers of the rules, its priors and its events.

        Raises:
            UnknownName: there is no study of this key.
        """
        uid = self.uid(key)
        rows = self._rows(select(studies).where(studies.c.study_instance_uid == uid))
        (study,) = self._assemble(rows)
        priors = prior_search_of(PriorRecords(self.engine, "").of(uid), self._ledger.pseudonym)
        return replace(study, answers=tuple(rows[0].answers or ()), priors=priors, events=self._ledger.events(uid))

    def key(self, study_instance_uid: str) -> str:
        """Return the key of a study."""
        key = self._ledger.pseudonym(study_instance_uid)
        with self._uids_lock:
            self._uids[key] = study_instance_uid
        return key

    def file(self, result_id: str, *, preview: bool) -> Path:
        """Find the DICOM file of a result, or its picture.

        Raises:
            UnknownName: there is no such result, or no picture of it.
        """
        job_id, _, digest = result_id.rpartition("-")
        for row in self._rows(select(results).where(results.c.job_id == job_id)):
            path = row.preview_path if preview else row.path
            if digest and row.sha256[:DIGEST_LENGTH] == digest and path and (self._outbox / path).is_file():
                return self._outbox / path
        raise UnknownName("There is no such result.", cure="Take its id from the study.")

    @cachedmethod(lambda self: self._uids, key=lambda _, key: key, lock=lambda self: self._uids_lock)
    def uid(self, key: str) -> str:
        """Find the Study Instance UID of a key; a keyed hash cannot be inverted, so all are tried, newest first.

        Raises:
            UnknownName: there is no study of this key.
        """
        query = select(studies.c.study_instance_uid).order_by(studies.c.first_received_at.desc())
        with self.engine.connect() as connection:
            for (uid,) in connection.execute(query):
                if self._ledger.pseudonym(uid) == key:
                    return str(uid)
        raise UnknownName("There is no such study.", cure="Take the key from the list of studies.")

    def _assemble(self, rows: Sequence[Row[Any]]) -> tuple[Study, ...]:
        uids = [row.study_instance_uid for row in rows]
        contents, jobs_of, corrections = self._contents(uids), self._jobs(uids), corrections_of(self.engine, uids)
        return tuple(
            Study(
                **{name: row._mapping[name] for name in _STUDY_COLUMNS},
                key=self.key(row.study_instance_uid),
                contents=contents[row.study_instance_uid],
                jobs=jobs_of[row.study_instance_uid],
                correction=corrections.get(row.study_instance_uid),
            )
            for row in rows
        )

    def _contents(self, uids: Sequence[str]) -> dict[str, tuple[Contents, ...]]:
        columns = (instances.c.study_instance_uid, instances.c.sop_class_uid, instances.c.calling_ae_title)
        images = func.count().label("images")
        query = select(*columns, images).where(columns[0].in_(uids)).group_by(*columns).order_by(images.desc())
        return _grouped(
            (row.study_instance_uid, Contents(uid_name(row.sop_class_uid), row.calling_ae_title, row.images))
            for row in self._rows(query)
        )

    def _jobs(self, uids: Sequence[str]) -> dict[str, tuple[StudyJob, ...]]:
        rows = self._rows(select(jobs).where(jobs.c.study_instance_uid.in_(uids)).order_by(jobs.c.created_at))
        results_of = self._results([row.id for row in rows])
        return _grouped(
            (
                row.study_instance_uid,
                StudyJob(
                    **{name: row._mapping[name] for name in _JOB_COLUMNS},
                    results=results_of[row.id],
                    step_times={step: datetime.fromisoformat(at) for step, at in (row.step_times or {}).items()},
                ),
            )
            for row in rows
        )

    def _results(self, job_ids: Sequence[str]) -> dict[str, tuple[Result, ...]]:
        rows = self._rows(select(results).where(results.c.job_id.in_(job_ids)).order_by(results.c.path))
        deliveries_of = self._deliveries([row.sop_instance_uid for row in rows])
        return _grouped(
            (
                row.job_id,
                Result(
                    id=f"{row.job_id}-{row.sha256[:DIGEST_LENGTH]}",
                    sop_instance_uid=row.sop_instance_uid,
                    role=row.role,
                    kind=uid_name(row.sop_class_uid),
                    created_at=row.created_at,
                    has_preview=row.preview_path is not None,
                    superseded=row.superseded_by is not None,
                    deliveries=deliveries_of[row.sop_instance_uid],
                ),
            )
            for row in rows
        )

    def _deliveries(self, uids: Sequence[str]) -> dict[str, tuple[Delivery, ...]]:
        query = select(deliveries).where(deliveries.c.sop_instance_uid.in_(uids)).order_by(deliveries.c.destination)
        return _grouped(
            (row.sop_instance_uid, Delivery(**{name: row._mapping[name] for name in _DELIVERY_COLUMNS}))
            for row in self._rows(query)
        )

    def _rows(self, query: Any) -> Sequence[Row[Any]]:
        with self.engine.connect() as connection:
            return connection.execute(query).all()


def _grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, tuple[Any, ...]]:
    groups: defaultdict[str, tuple[Any, ...]] = defaultdict(tuple)
    for key, value in pairs:
        groups[key] += (value,)
    return groups


def uid_name(uid: str) -> str:
    """Return the name of a SOP class or transfer syntax (PS3.6 annex A), without "Storage"."""
    return UID(uid).name.removesuffix(" Storage")

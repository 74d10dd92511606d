"""What the node knows of its studies, read from the store for API and console: nothing here names a patient.

A study is called by its key (the ledger's keyed hash of its UID), a result by its job and the start of its digest.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydicom.uid import UID
from sqlalchemy import ColumnElement, Engine, Row, func, select, true

from inference.errors import UnknownName
from node.audit.kept import Kept
from node.priors.records import PriorRecords
from node.store import JobState, StudyState, deliveries, instances, jobs, results, studies
from node.web.priors import Priors, priors_of
from reports.audit.ledger import Entry, Ledger

T = TypeVar("T")

SHOWN: dict[str, ColumnElement[bool]] = {
    "": true(),
    "waiting": studies.c.state.in_([StudyState.RECEIVING, StudyState.COMPLETE]),
    "held": studies.c.state == StudyState.HELD,
    "not routed": studies.c.state == StudyState.NOT_ROUTED,
    "set aside": studies.c.state == StudyState.SET_ASIDE,
    "failed": studies.c.study_instance_uid.in_(
        select(jobs.c.study_instance_uid).where(jobs.c.state == JobState.FAILED)
    ),
}
"""What the list of studies can be narrowed to."""
DIGEST_LENGTH = 16
"""Hexadecimal digits of a result's SHA-256 in its name."""
MOST_KEYS = 10_000
"""Of studies, whose UIDs are not looked for again: those that were shown last."""


@dataclass(frozen=True)
class Delivery:
    """How certain it is that one destination has one result."""

    destination: str
    state: str
    attempts: int
    last_error: str | None
    updated_at: datetime
    proof: str | None = None
    """By what it is known to be stored, or that nobody asked."""


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
    """A later report took its place, since late images came."""
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True)
class Job:
    """The analysis of a study by one bundle; ``summary`` as :mod:`node.summary` writes it."""

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
    def captures(self) -> dict[str, Result]:
        """The overlays by SOP Instance UID, as ``summary`` names them."""
        return {result.sop_instance_uid: result for result in self.results if result.has_preview}


@dataclass(frozen=True)
class Contents:
    """Images of one kind from one sender."""

    kind: str
    """Name of the SOP class without "Storage", such as "MR Image"."""
    calling_ae_title: str
    count: int


@dataclass(frozen=True)
class Study:
    """One study and everything that became of it."""

    key: str
    state: str
    first_received_at: datetime
    last_received_at: datetime
    complete_at: datetime | None
    proof: str | None
    route: str | None
    reason: str | None
    missing: str | None
    """What was not here when it was decided nevertheless."""
    contents: tuple[Contents, ...]
    jobs: tuple[Job, ...]
    answers: tuple[dict[str, Any], ...] = ()
    """Of one study: what every clause of every rule said to every series (:class:`node.rules.decide.RuleAnswer`)."""
    priors: Priors | None = None
    """Of one study: the earlier ones that were looked for; None where none were."""


class Overview:
    """Reads studies, newest first, with jobs, results and deliveries."""

    def __init__(self, engine: Engine, ledger: Ledger, outbox: Path) -> None:
        self.engine = engine
        self._ledger = ledger
        self._outbox = outbox
        self._uids = Kept(MOST_KEYS)

    def newest(self, limit: int, show: str = "", *, before: datetime | None = None) -> tuple[Study, ...]:
        """Give the studies that arrived last.

        Args:
            limit: how many at most.
            show: of ``SHOWN``; all where empty.
            before: arrived earlier than this: where the page before ended.

        Raises:
            UnknownName: there is no such kind.
        """
        if show not in SHOWN:
            raise UnknownName("There is no such kind of study.", cure="Choose one on the page of studies.")
        query = select(studies).where(SHOWN[show]).order_by(studies.c.first_received_at.desc()).limit(limit)
        if before is not None:
            query = query.where(studies.c.first_received_at < before)
        return self._assemble(self._rows(query))

    def study(self, key: str) -> tuple[Study, tuple[Entry, ...]]:
        """Give one study and its events, oldest first.

        Raises:
            UnknownName: there is no study of this key.
        """
        uid = self.uid(key)
        rows = self._rows(select(studies).where(studies.c.study_instance_uid == uid))
        (study,) = self._assemble(rows)
        priors = priors_of(PriorRecords(self.engine, "").of(uid), self._ledger.pseudonym)
        return replace(study, answers=tuple(rows[0].answers or ()), priors=priors), self._ledger.events(uid)

    def key(self, study_instance_uid: str) -> str:
        """Give the key of a study."""
        key = self._ledger.pseudonym(study_instance_uid)
        self._uids.get(key, lambda: study_instance_uid)
        return key

    def file(self, result_id: str, *, preview: bool) -> Path:
        """Find the DICOM file of a result, or its picture.

        Raises:
            UnknownName: there is no such result, or no picture of it.
        """
        job_id, _, digest = result_id.rpartition("-")
        query = select(results).where(results.c.job_id == job_id)
        for row in self._rows(query):
            path = row.preview_path if preview else row.path
            if digest and row.sha256[:DIGEST_LENGTH] == digest and path and (self._outbox / path).is_file():
                return self._outbox / path
        raise UnknownName("There is no such result.", cure="Take its id from the study.")

    def uid(self, key: str) -> str:
        """Give the Study Instance UID of a key.

        Raises:
            UnknownName: there is no study of this key.
        """
        return self._uids.get(key, lambda: self._search(key))

    def _search(self, key: str) -> str:
        """Try all, the newest first: a keyed hash has no way back."""
        query = select(studies.c.study_instance_uid).order_by(studies.c.first_received_at.desc())
        with self.engine.connect() as connection:
            for (uid,) in connection.execute(query):
                if self._ledger.pseudonym(uid) == key:
                    return str(uid)
        raise UnknownName("There is no such study.", cure="Take the key from the list of studies.")

    def _assemble(self, rows: Sequence[Row[Any]]) -> tuple[Study, ...]:
        uids = [row.study_instance_uid for row in rows]
        contents = self._contents(uids)
        found_jobs = self._jobs(uids)
        return tuple(
            Study(
                key=self.key(row.study_instance_uid),
                state=row.state,
                first_received_at=row.first_received_at,
                last_received_at=row.last_received_at,
                complete_at=row.complete_at,
                proof=row.proof,
                route=row.route,
                reason=row.reason,
                missing=row.missing,
                contents=contents[row.study_instance_uid],
                jobs=found_jobs[row.study_instance_uid],
            )
            for row in rows
        )

    def _contents(self, uids: Sequence[str]) -> dict[str, tuple[Contents, ...]]:
        columns = (instances.c.study_instance_uid, instances.c.sop_class_uid, instances.c.calling_ae_title)
        images = func.count().label("images")
        query = select(*columns, images).where(columns[0].in_(uids)).group_by(*columns).order_by(images.desc())
        return _grouped(
            (row.study_instance_uid, Contents(_kind(row.sop_class_uid), row.calling_ae_title, row.images))
            for row in self._rows(query)
        )

    def _jobs(self, uids: Sequence[str]) -> dict[str, tuple[Job, ...]]:
        rows = self._rows(select(jobs).where(jobs.c.study_instance_uid.in_(uids)).order_by(jobs.c.created_at))
        made = self._results([row.id for row in rows])
        return _grouped(
            (
                row.study_instance_uid,
                Job(
                    id=row.id,
                    bundle=row.bundle,
                    state=row.state,
                    step=row.step,
                    reason=row.reason,
                    summary=row.summary,
                    created_at=row.created_at,
                    finished_at=row.finished_at,
                    results=made[row.id],
                    step_times={step: datetime.fromisoformat(at) for step, at in (row.step_times or {}).items()},
                ),
            )
            for row in rows
        )

    def _results(self, job_ids: Sequence[str]) -> dict[str, tuple[Result, ...]]:
        rows = self._rows(select(results).where(results.c.job_id.in_(job_ids)).order_by(results.c.path))
        sent = self._deliveries([row.sop_instance_uid for row in rows])
        return _grouped(
            (
                row.job_id,
                Result(
                    id=f"{row.job_id}-{row.sha256[:DIGEST_LENGTH]}",
                    sop_instance_uid=row.sop_instance_uid,
                    role=row.role,
                    kind=_kind(row.sop_class_uid),
                    created_at=row.created_at,
                    has_preview=row.preview_path is not None,
                    superseded=row.superseded_by is not None,
                    deliveries=sent[row.sop_instance_uid],
                ),
            )
            for row in rows
        )

    def _deliveries(self, uids: Sequence[str]) -> dict[str, tuple[Delivery, ...]]:
        query = select(deliveries).where(deliveries.c.sop_instance_uid.in_(uids)).order_by(deliveries.c.destination)
        return _grouped(
            (
                row.sop_instance_uid,
                Delivery(row.destination, row.state, row.attempts, row.last_error, row.updated_at, row.proof),
            )
            for row in self._rows(query)
        )

    def _rows(self, query: Any) -> Sequence[Row[Any]]:
        with self.engine.connect() as connection:
            return connection.execute(query).all()


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, tuple[T, ...]]:
    groups: defaultdict[str, tuple[T, ...]] = defaultdict(tuple)
    for key, value in pairs:
        groups[key] = (*groups[key], value)
    return groups


def _kind(sop_class_uid: str) -> str:
    return UID(sop_class_uid).name.removesuffix(" Storage")

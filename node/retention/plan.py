"""What is due for removal: by age, and then, while there is too little room, the oldest of what is delivered."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Literal

from sqlalchemy import Engine, func, select

from node.retention.conditions import ANALYSED, DECIDED, UNANALYSED, has_undelivered, is_settled, is_unfinished
from node.retention.leftovers import size_bytes, used_bytes
from node.settings.settings import Settings
from node.store import StudyState, instances, jobs, now, results, studies

Kind = Literal["originals", "results", "rows"]


@dataclass(frozen=True)
class Due:
    """One study's originals or rows, or one job's results, that may go."""

    kind: Kind
    study_instance_uid: str
    job_id: str
    """Of results; else empty."""
    arrivals: int
    """Images of the study that had come when it was chosen."""
    since: datetime
    """When its last image came, or its job ended."""
    size_bytes: int
    """Of the files; 0 of rows."""
    reason: str


class RetentionPlan:
    """Chooses; it changes nothing, so a dry run shows what a run removes."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        awaiting: Sequence[str],
        free_bytes: Callable[[], int] | None = None,
    ) -> None:
        """Bind to a store.

        Args:
            settings: the whole file.
            engine: of the store.
            awaiting: destinations for which "sent" is not the final state.
            free_bytes: how much is free on the disk of inbox and outbox; default: asks the file system.
        """
        self._settings = settings
        self._wanted = settings.retention
        self._engine = engine
        self._awaiting = awaiting
        self._free_bytes = free_bytes or (lambda: shutil.disk_usage(settings.node.files).free)

    def due(self) -> tuple[Due, ...]:
        """Return all that is due, in the order in which it is to be removed: files, and then rows."""
        by_age = [*self._old_originals(), *self._old_results()]
        return (*by_age, *self._for_room(by_age), *self._old_rows())

    def _old_originals(self) -> Iterator[Due]:
        wanted = self._wanted
        unanalysed = wanted.unanalysed_days or wanted.originals_days
        for days, states in ((wanted.originals_days, ANALYSED), (unanalysed, UNANALYSED)):
            if days is not None:
                yield from self._originals(days, states, f"older than {days:g} days")

    def _old_results(self) -> Iterator[Due]:
        days = self._wanted.results_days
        return self._results(days, f"older than {days:g} days") if days is not None else iter(())

    def _old_rows(self) -> Iterator[Due]:
        days = self._wanted.rows_days
        if days is None:
            return
        query = select(studies.c.study_instance_uid, studies.c.arrivals, studies.c.last_received_at).where(
            is_settled(self._awaiting), studies.c.last_received_at < now() - timedelta(days=days)
        )
        with self._engine.connect() as connection:
            for row in connection.execute(query.order_by(studies.c.last_received_at)).all():
                yield Due("rows", row[0], "", row.arrivals, row.last_received_at, 0, f"older than {days:g} days")

    def _for_room(self, by_age: Sequence[Due]) -> Iterator[Due]:
        """Choose the oldest originals, and then results, until there is room beside what goes by its age."""
        excess = self._excess_bytes() - sum(item.size_bytes for item in by_age)
        chosen = {(item.kind, item.study_instance_uid, item.job_id) for item in by_age}
        least, reason = self._wanted.least_days, "there is too little room"
        for item in chain(self._originals(least, DECIDED, reason), self._results(least, reason)) if excess > 0 else ():
            if (item.kind, item.study_instance_uid, item.job_id) not in chosen:
                excess -= item.size_bytes
                yield item
            if excess <= 0:
                return

    def _excess_bytes(self) -> int:
        wanted = self._wanted
        over = used_bytes(self._settings) - (wanted.most_mebibytes << 20) if wanted.most_mebibytes else 0
        short = (wanted.free_mebibytes << 20) - self._free_bytes() if wanted.free_mebibytes else 0
        return max(over, short)

    def _originals(self, days: float, states: Sequence[StudyState], reason: str) -> Iterator[Due]:
        columns = (studies.c.study_instance_uid, studies.c.arrivals, studies.c.last_received_at)
        query = (
            select(*columns, func.sum(instances.c.size_bytes).label("size_bytes"))
            .join(instances, instances.c.study_instance_uid == studies.c.study_instance_uid)
            .where(is_settled(self._awaiting, states), studies.c.last_received_at < now() - timedelta(days=days))
            .group_by(*columns)
            .order_by(studies.c.last_received_at, studies.c.study_instance_uid)
        )
        with self._engine.connect() as connection:
            for row in connection.execute(query).all():
                yield Due("originals", row[0], "", row.arrivals, row.last_received_at, int(row.size_bytes), reason)

    def _results(self, days: float, reason: str) -> Iterator[Due]:
        query = (
            select(jobs.c.id, jobs.c.study_instance_uid, jobs.c.finished_at, results.c.path, results.c.preview_path)
            .join(results, results.c.job_id == jobs.c.id)
            .where(
                results.c.removed_at.is_(None),
                ~is_unfinished(),
                ~has_undelivered(self._awaiting),
                jobs.c.finished_at < now() - timedelta(days=days),
            )
            .order_by(jobs.c.finished_at, jobs.c.id)
        )
        of_job: dict[str, list[tuple[str, datetime, str, str | None]]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                of_job.setdefault(row.id, []).append((row[1], row[2], row[3], row[4]))
        outbox = self._settings.node.files / "outbox"
        for job_id, rows in of_job.items():
            files = [outbox / path for row in rows for path in row[2:] if path]
            yield Due("results", rows[0][0], job_id, 0, rows[0][1], size_bytes(files), reason)

"""Retention of one node: what is due is removed, by a thread every ``retention.check_minutes`` or by the command."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from inference.errors import HeatproofError
from node.home import removing
from node.retention.conditions import awaiting_proof
from node.retention.leftovers import clear_job_files, clear_quarantine, sweep
from node.retention.plan import Due, RetentionPlan
from node.retention.removal import StudyRemoval
from node.settings.settings import Settings
from reports.audit.ledger import Ledger


@dataclass(frozen=True)
class Cleared:
    """What was removed, or would be in a dry run."""

    removed: tuple[Due, ...]
    job_folders: int
    """Folders of intermediate files of jobs that have ended."""
    quarantined: int
    """Files of refused instances."""

    @property
    def size_bytes(self) -> int:
        """Return the size of the images and results."""
        return sum(item.size_bytes for item in self.removed)


class Retention:
    """Removes what is due in one store."""

    def __init__(
        self, settings: Settings, engine: Engine, ledger: Ledger, *, free_bytes: Callable[[], int] | None = None
    ) -> None:
        """Bind to a store; ``free_bytes`` asks how much room the disk has, the file system by default."""
        awaiting = awaiting_proof(settings)
        self._settings = settings
        self._engine = engine
        self._plan = RetentionPlan(settings, engine, awaiting, free_bytes)
        self._removal = StudyRemoval(settings, engine, ledger, awaiting)

    def due(self) -> Cleared:
        """Say what would be removed now; nothing is."""
        folders: tuple[Path, ...] = clear_job_files(self._settings, self._engine, dry_run=True)
        return Cleared(self._plan.due(), len(folders), len(clear_quarantine(self._settings, dry_run=True)))

    def run(self, stopping: Callable[[], bool] = lambda: False) -> Cleared:
        """Remove what is due, until ``stopping`` says so; nothing while a backup copies the files."""
        folders = clear_job_files(self._settings, self._engine)
        with removing(self._settings.node.files, waits=False) as held:
            if not held:
                return Cleared((), len(folders), 0)
            due = takewhile(lambda _: not stopping(), self._plan.due())
            removed = tuple(item for item in due if self._remove(item))
            return Cleared(removed, len(folders), len(clear_quarantine(self._settings)))

    def sweep(self) -> int:
        """Remove what a crash left of a removal; give how many files and folders."""
        with removing(self._settings.node.files, waits=True):
            return sweep(self._settings, self._engine)

    def _remove(self, item: Due) -> bool:
        if item.kind == "results":
            return self._removal.results(item.job_id) is not None
        remove = self._removal.originals if item.kind == "originals" else self._removal.rows
        return remove(item.study_instance_uid, item.arrivals) is not None


class RetentionThread(threading.Thread):
    """Runs the retention of a node until it is stopped."""

    def __init__(self, retention: Retention, *, interval_seconds: float) -> None:
        """Bind to the retention; nothing runs before ``start``."""
        super().__init__(name="retention", daemon=True)
        self._retention = retention
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._log = structlog.get_logger("retention")

    def run(self) -> None:
        """Sweep once, and then remove what is due, until stopped; a store that does not answer is asked again."""
        is_swept = False
        while not self._stopping.is_set():
            try:
                if not is_swept:
                    self._retention.sweep()
                    is_swept = True
                cleared = self._retention.run(self._stopping.is_set)
                if cleared.removed:
                    self._log.info("removed", instances=len(cleared.removed), bytes=cleared.size_bytes)
            except (DBAPIError, OSError, HeatproofError) as error:
                self._log.error("retention_failed", error=type(error).__name__)
            self._stopping.wait(self._interval_seconds)

    def stop(self) -> None:
        """End after the removal that is under way."""
        self._stopping.set()
        if self.is_alive():
            self.join()

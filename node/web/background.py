"""A background task that a page starts because it takes longer than a request may: one at a time, with its progress."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, Literal, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from inference.errors import HeatproofError, Unavailable
from node.store import now

T = TypeVar("T")
ReportProgress = Callable[[int], object]
"""Takes how much is done."""


@dataclass(frozen=True)
class Progress(Generic[T]):
    """How far a task is, or the result of its last run since the node started."""

    state: Literal["never asked for", "running", "done", "failed"] = "never asked for"
    done: int = 0
    of: int = 0
    by_whom: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: T | None = None


class BackgroundTask(Generic[T]):
    """One kind of work, in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = threading.Lock()
        self._progress: Progress[T] = Progress()
        self._log = structlog.get_logger("background")

    @property
    def progress(self) -> Progress[T]:
        """How far the last run is, or its result."""
        return self._progress

    def start(self, work: Callable[[ReportProgress], T], *, of: int, by_whom: str) -> Progress[T]:
        """Start a run.

        Args:
            work: is given what to report its progress to; returns the result.
            of: how much there is to do.
            by_whom: who asks.

        Raises:
            Unavailable: a run is in progress.
        """
        if not self._turn.acquire(blocking=False):
            raise Unavailable("This is already in progress.", cure="Wait for it to end; its page shows how far it is.")
        self._progress = Progress("running", of=of, by_whom=by_whom, started_at=now())
        threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True).start()
        return self._progress

    def _run(self, work: Callable[[ReportProgress], T]) -> None:
        ended = replace(self._progress, state="failed")  # unless the work returns, whatever it raises
        try:
            result = work(self._report)
            ended = replace(self._progress, state="done", result=result)
        except (DBAPIError, HeatproofError, OSError) as error:  # the store does not answer, or a file is gone
            self._log.error("background_task_failed", step=self._name, error=type(error).__name__)
        finally:
            self._progress = replace(ended, done=self._progress.done, finished_at=now())
            self._turn.release()

    def _report(self, done: int) -> None:
        self._progress = replace(self._progress, done=done)

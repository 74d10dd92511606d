"""Work that a page asks for and that takes longer than a page may: one at a time, and everybody sees how far it is."""

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
Say = Callable[[int], object]
"""Tells how much is done."""


@dataclass(frozen=True)
class Progress(Generic[T]):
    """How far a chore is."""

    state: Literal["never asked for", "running", "done", "failed"] = "never asked for"
    done: int = 0
    of: int = 0
    by_whom: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: T | None = None


class Chore(Generic[T]):
    """One kind of work, in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = threading.Lock()
        self._standing: Progress[T] = Progress()
        self._log = structlog.get_logger("chore")

    @property
    def standing(self) -> Progress[T]:
        """How far the last one is, or what came of it."""
        return self._standing

    def start(self, work: Callable[[Say], T], *, of: int, by_whom: str) -> Progress[T]:
        """Begin.

        Args:
            work: is given what to tell its progress to; it gives the result.
            of: how much there is to do.
            by_whom: who asks.

        Raises:
            Unavailable: one is under way.
        """
        if not self._turn.acquire(blocking=False):
            raise Unavailable("This is under way already.", cure="Wait for it to end; its page tells how far it is.")
        self._standing = Progress("running", of=of, by_whom=by_whom, started_at=now())
        threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True).start()
        return self._standing

    def _run(self, work: Callable[[Say], T]) -> None:
        try:
            result = work(self._say)
            self._standing = replace(self._standing, state="done", result=result, finished_at=now())
        except (DBAPIError, HeatproofError, OSError) as error:  # the store is away, or a file is gone
            self._standing = replace(self._standing, state="failed", finished_at=now())
            self._log.error("chore_failed", step=self._name, error=type(error).__name__)
        finally:
            self._turn.release()

    def _say(self, done: int) -> None:
        self._standing = replace(self._standing, done=done)

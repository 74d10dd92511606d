"""Requests to peers in daemon threads, which unlike an executor's do not delay the end of the process."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from inference.errors import DAMAGE, HeatproofError, Unavailable

T = TypeVar("T")


class PeerRequests(Generic[T]):
    """Runs what is submitted, two at once."""

    def __init__(self, name: str) -> None:
        """Threads are named so, and started with the first request."""
        self._name = name
        self._waiting: SimpleQueue[tuple[Future[T], Callable[[], T]]] = SimpleQueue()
        self._starting = threading.Lock()
        self._running = False

    def submit(self, request: Callable[[], T]) -> Future[T]:
        """Submit a request; its future raises a ``HeatproofError`` only, whatever the peer did."""
        with self._starting:
            if not self._running:
                self._running = True
                for number in range(2):
                    threading.Thread(target=self._run, name=f"{self._name} {number}", daemon=True).start()
        answer: Future[T] = Future()
        self._waiting.put((answer, request))
        return answer

    def _run(self) -> None:
        while True:
            answer, request = self._waiting.get()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(request())
            except HeatproofError as error:
                answer.set_exception(error)
            except DAMAGE as error:
                answer.set_exception(Unavailable(f"The answer cannot be understood ({type(error).__name__})."))
            except SQLAlchemyError as error:
                answer.set_exception(Unavailable(f"The store does not answer ({type(error).__name__})."))

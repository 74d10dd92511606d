"""Exchanges that this node begins with other systems: each has one deadline, and a node that stops ends all of them."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_under_way: set["Exchange"] = set()
_changing = threading.Lock()


class Exchange:
    """One exchange from its first to its last byte, however little the other side sends at a time."""

    def __init__(self, seconds: float, cut: Callable[[], object]) -> None:
        """Begin.

        Args:
            seconds: for all of it.
            cut: called from another thread at the deadline, or when the node stops; it ends the exchange.
        """
        self._cut = cut
        self._timer = threading.Timer(max(seconds, 0.0), self.end)
        self._timer.daemon = True
        with _changing:
            _under_way.add(self)
        self._timer.start()

    def end(self) -> None:
        """Cut it, unless it is over."""
        with _changing:
            is_under_way = self in _under_way
            _under_way.discard(self)
        if is_under_way:
            self._cut()

    def over(self) -> None:
        """Say that it has ended by itself: nothing is cut any more."""
        self._timer.cancel()
        with _changing:
            _under_way.discard(self)


def end_all() -> None:
    """Cut every exchange that is under way, as before the process ends."""
    with _changing:
        under_way = tuple(_under_way)
    for exchange in under_way:
        exchange.end()


def run_within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Run an exchange that is written for asyncio, in this thread.

    Raises:
        TimeoutError: it was not done by its deadline, or the node stops.
    """

    async def bounded() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

        def cut() -> None:
            with suppress(RuntimeError):  # the loop is closed: it has ended meanwhile
                loop.call_soon_threadsafe(task.cancel)

        exchange = Exchange(seconds, cut)
        try:
            return await task
        except asyncio.CancelledError as error:
            raise TimeoutError from error
        finally:
            exchange.over()

    return asyncio.run(bounded())

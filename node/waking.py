"""Waiting for work: briefly while there is some, long while there is none, and woken where it comes.

Whoever enters work into the store rings ``WORK``: images that arrive, studies to be decided, workflows that are
queued or have ended. Threads that look for it wait by ``WORK.wait``. Looking without having been woken remains as the
fallback, for work that another node entered.
"""

import threading
import time

BUSY_SECONDS = 10.0
"""After a ring, waits are as short as their threads ask for."""
IDLE_SECONDS = 5.0
"""After that they last so long, unless they are rung."""


class WorkBell:
    """Wakes every thread that waits by it."""

    def __init__(self, *, busy_seconds: float = BUSY_SECONDS, idle_seconds: float = IDLE_SECONDS) -> None:
        self._busy_seconds, self._idle_seconds = busy_seconds, idle_seconds
        self._rung = threading.Condition()
        self._rings = 0
        self._busy_until_seconds = time.monotonic() + busy_seconds

    def ring(self) -> None:
        """Wake the threads that are idle; all look often for a while. Cheap enough for every image that arrives."""
        with self._rung:
            self._rings += 1
            self._busy_until_seconds = time.monotonic() + self._busy_seconds
            self._rung.notify_all()

    def wait(self, stopping: threading.Event, seconds: float) -> bool:
        """Wait before the next look.

        Args:
            stopping: ends the wait; whoever sets it calls ``release`` after.
            seconds: how long while there is work. Idle waits are no shorter than that, and end at a ring.

        Returns:
            whether to stop.
        """
        if seconds <= 0:
            return stopping.is_set()
        with self._rung:
            rings, is_idle = self._rings, time.monotonic() >= self._busy_until_seconds
            if is_idle:
                longest_seconds = max(seconds, self._idle_seconds)
                self._rung.wait_for(lambda: self._rings != rings or stopping.is_set(), longest_seconds)
        return stopping.is_set() if is_idle else threading.Event.wait(stopping, seconds)

    def release(self) -> None:
        """Let threads that are idle see that they are to stop."""
        with self._rung:
            self._rung.notify_all()


WORK = WorkBell()
"""The one bell of a process."""

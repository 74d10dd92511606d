"""Progress of every long command: bars at a terminal, lines where nobody watches."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def progress_bars(console: Console, *, with_time_left: bool = False, disable: bool = False) -> Progress:
    """Return bars with their description, count and time, to be shown for the time of a block."""
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    if with_time_left:
        columns += [TextColumn("left"), TimeRemainingColumn()]
    return Progress(*columns, console=console, disable=disable)


LINE_SECONDS = 30.0
"""At least so long after one line of a stage comes the next, but for its last."""


class ProgressLines:
    """Progress as lines of text: for a file or a pipe."""

    def __init__(
        self, write: Callable[[str], None], seconds: float = LINE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with no stage.

        Args:
            write: prints one line.
            seconds: between two lines of a stage.
            clock: seconds that pass.
        """
        self._write, self._seconds, self._clock = write, seconds, clock
        self._kind, self._began, self._first, self._said = "", 0.0, 0, 0.0

    def report(self, kind: str, stage: str, done: int, total: int) -> None:
        """Write a line if the stage is new or at its end, or if enough time has passed.

        Args:
            kind: by which a stage is told from the one before.
            stage: in words.
            done: of it.
            total: there is; 0: not known.
        """
        now, is_new = self._clock(), kind != self._kind
        if is_new:
            self._kind, self._began, self._first = kind, now, done
        elif not (total and done >= total) and now - self._said < self._seconds:
            return
        self._said = now
        count = f": {done} of {total}" if total else f": {done}" if done else ""
        self._write(f"{stage}{count}{self._left(now, done, total)}")

    def _left(self, now: float, done: int, total: int) -> str:
        made = done - self._first
        if not total or made <= 0 or done >= total:
            return ""
        seconds = (now - self._began) / made * (total - done)
        return f", {seconds / 60:.0f} min left" if seconds >= 60 else f", {seconds:.0f} s left"

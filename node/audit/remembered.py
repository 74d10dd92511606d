"""Observations whose closed days are read once: of a year only today is read again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Engine

from node.audit.kept import Kept
from reports.audit.observations import Observations, Selection, Series

OPEN_DAYS = 2
"""Days of which rows are still expected: a job is written under the time it began at."""


class Remembered(Observations):
    """Reads as :class:`Observations`, but keeps what is older than two days until a row of it comes or goes."""

    def __init__(self, engine: Engine, where: Mapping[str, str], kept: Kept) -> None:
        super().__init__(engine, where)
        self._kept = kept

    def series(self, figures: Sequence[str], selection: Selection) -> Mapping[str, Series]:
        """Read figures, each of the cases that have it, in no order.

        Raises:
            UnknownName: there is no such figure, or the selection is by something that is no grouping.
        """
        closed, still_open = split(selection, datetime.now(UTC))
        parts = [super().series(figures, still_open)] if still_open else []
        if closed:
            where = tuple(sorted({**self._where, **closed.where}.items()))
            key = ("series", tuple(figures), where, closed.since, closed.before, self.extent(closed))
            parts.insert(0, self._kept.get(key, lambda: super(Remembered, self).series(figures, closed)))
        return {name: _joined([part[name] for part in parts]) for name in figures}


def split(selection: Selection, now: datetime) -> tuple[Selection | None, Selection | None]:
    """Cut a selection at the beginning of a day two days ago: what is closed, and what is still open."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    cut = today - timedelta(days=OPEN_DAYS)
    if selection.before is not None and selection.before <= cut:
        return selection, None
    if selection.since is not None and selection.since >= cut:
        return None, selection
    closed = Selection(selection.where, selection.since, cut)
    return closed, Selection(selection.where, cut, selection.before)


def _joined(parts: Sequence[Series]) -> Series:
    if len(parts) == 1:
        return parts[0]
    return Series(np.concatenate([one.days for one in parts]), np.concatenate([one.values for one in parts]))

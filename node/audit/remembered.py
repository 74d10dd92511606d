"""A cache of the observations of closed days: only the last days are read from the store again."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import numpy as np
from cachetools import LRUCache, cached
from sqlalchemy import Engine

from reports.audit.observations import Observations, Selection, Series

OPEN_DAYS = 2
"""Days of which rows may still come: a job is written under the time it began at."""


class Remembered(Observations):
    """Reads as :class:`Observations`, but caches what is older than two days until a row of it is added or removed."""

    def __init__(self, engine: Engine, where: Mapping[str, str], cache: LRUCache[Hashable, Any], lock: Lock) -> None:
        super().__init__(engine, where)
        self._cache, self._lock = cache, lock

    def series(self, figures: Sequence[str], selection: Selection) -> Mapping[str, Series]:
        """Read figures, each of the cases that have it, in no order.

        Raises:
            UnknownName: there is no such figure, or no such grouping to select by.
        """
        closed, still_open = split(selection, datetime.now(UTC))
        parts = [super().series(figures, still_open)] if still_open else []
        if closed:
            where = tuple(sorted({**self._where, **closed.where}.items()))
            key = ("series", tuple(figures), where, closed.since, closed.before, self.extent(closed))
            look_up = cached(self._cache, key=lambda: key, lock=self._lock)
            parts.insert(0, look_up(lambda: super(Remembered, self).series(figures, closed))())
        return {name: _joined([part[name] for part in parts]) for name in figures}


def split(selection: Selection, now: datetime) -> tuple[Selection | None, Selection | None]:
    """Split a selection at the beginning of the day two days ago into its closed and its open part."""
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
    return Series(np.concatenate([part.days for part in parts]), np.concatenate([part.values for part in parts]))

"""Events that a peer can cause at will, in the ledger: one row at first, and one with their count each hour."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reports.audit.ledger import Detail, Event, Ledger
from reports.audit.tally import Tally

HOUR_SECONDS = 3600.0
MOST_KEYS = 100
"""Limit of peers and kinds that are counted each by itself at a time; the others are counted together."""
TOGETHER = "others"

Key = tuple[Event, str, str]


@dataclass
class _Count:
    """How often one event came since its first row."""

    since_seconds: float
    slot: int | None
    """In the tally; None where it is only counted in memory."""
    further: int = 0


class CountedEvents:
    """Bounds what a peer can add to the ledger, which keeps its rows for ever.

    The first event of a peer and kind is a row with its details. The further ones of the next hour are counted, and
    become one row whose ``objects`` says how many; those of a process that was killed become a row at the next start.
    """

    def __init__(
        self, ledger: Ledger, path: Path | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Write to a ledger what an earlier process left, then count.

        Args:
            ledger: where the rows go.
            path: file that the counts outlive the process in; without one they do not.
            clock: monotonic, in seconds.

        Raises:
            DBAPIError: the store did not take a row.
        """
        self._ledger = ledger
        self._clock = clock
        self._counts: dict[Key, _Count] = {}
        self._counting = threading.Lock()
        self._tally = Tally(path, MOST_KEYS + len(Event)) if path is not None else None
        for names, further in self._tally.left() if self._tally else ():
            self._write(_key(names), further)

    def tell(
        self, event: Event, peer_address: str, kind: str = "", details: Mapping[str, Detail] | None = None
    ) -> None:
        """Count an event, and write its row where it is the first of its peer and kind within an hour.

        Args:
            event: what happened.
            peer_address: whose doing it is.
            kind: what it is counted by beside the peer, such as the name of an error; never text of the peer.
            details: of the row.

        Raises:
            DBAPIError: the store did not take a row.
        """
        key = (event, peer_address, kind)
        with self._counting:
            if key not in self._counts and len(self._counts) >= MOST_KEYS:
                key = (event, TOGETHER, "")
            known = self._counts.get(key)
            if known is None:
                self._counts[key] = _Count(self._clock(), self._tally.enter([*key]) if self._tally else None)
            else:
                known.further += 1
                if self._tally and known.slot is not None:
                    self._tally.count(known.slot, known.further)
        if known is None:
            self._ledger.append(event, details={"peer_address": key[1], **(details or {})})
        self.write_due()

    def write_due(self, *, older_than_seconds: float = HOUR_SECONDS) -> None:
        """Write the counts that are an hour old; 0: all, as before the process ends.

        Raises:
            DBAPIError: the store did not take a row.
        """
        first = self._clock() - older_than_seconds
        with self._counting:
            due = {key: count for key, count in self._counts.items() if count.since_seconds <= first}
            for key in due:
                del self._counts[key]
        for key, count in due.items():
            self._write(key, count.further)
            if self._tally and count.slot is not None:
                with self._counting:
                    self._tally.clear(count.slot)

    def _write(self, key: Key | None, further: int) -> None:
        if key is not None and further:
            event, peer_address, kind = key
            named = {"error": kind} if kind else {}
            self._ledger.append(event, details={"peer_address": peer_address, "objects": further, **named})


def _key(names: list[str]) -> Key | None:
    """Return what an earlier process counted under; None where this release knows no such event."""
    try:
        event, peer_address, kind = names
        return Event(event), peer_address, kind
    except ValueError:
        return None

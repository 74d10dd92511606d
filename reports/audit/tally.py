"""Counts in a file that is mapped into memory: what was counted is still there after the process was killed.

After a power cut it may not be: for that every count would have to be synced to the disk.
"""

import json
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

SLOT_BYTES = 256
_COUNT = struct.Struct("<Q")
_NAME_BYTES = SLOT_BYTES - _COUNT.size


class Tally:
    """A fixed number of slots; each has a count and the names it is counted under."""

    def __init__(self, path: Path, slots: int) -> None:
        """Open the file, or make it; what it holds from an earlier process is given by ``left``."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, slots * SLOT_BYTES)
            self._map = mmap.mmap(descriptor, slots * SLOT_BYTES)
        finally:
            os.close(descriptor)
        self._free = [slot for slot in range(slots) if not self._name(slot)]

    def left(self) -> Iterator[tuple[list[str], int]]:
        """Yield the names and counts of an earlier process; each slot is cleared once the next one is asked for."""
        for slot in range(len(self._map) // SLOT_BYTES):
            name = self._name(slot)
            if not name:
                continue
            try:
                names = json.loads(name)
            except ValueError:  # the machine stopped in the middle of a write
                names = None
            if isinstance(names, list):
                yield names, self._count(slot)
            self.clear(slot)

    def enter(self, names: list[str]) -> int | None:
        """Take a slot for these names, with the count 0; None where none is free or the names are too long."""
        written = json.dumps(names).encode()
        if not self._free or len(written) > _NAME_BYTES:
            return None
        slot = self._free.pop()
        self.count(slot, 0)
        self._map[slot * SLOT_BYTES + _COUNT.size : (slot + 1) * SLOT_BYTES] = written.ljust(_NAME_BYTES, b"\0")
        return slot

    def count(self, slot: int, number: int) -> None:
        """Write the count of a slot."""
        _COUNT.pack_into(self._map, slot * SLOT_BYTES, number)

    def clear(self, slot: int) -> None:
        """Give a slot back."""
        self._map[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES] = bytes(SLOT_BYTES)
        self._free.append(slot)

    def _name(self, slot: int) -> bytes:
        return self._map[slot * SLOT_BYTES + _COUNT.size : (slot + 1) * SLOT_BYTES].rstrip(b"\0")

    def _count(self, slot: int) -> int:
        return int(_COUNT.unpack_from(self._map, slot * SLOT_BYTES)[0])

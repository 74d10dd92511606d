"""Where refused instances are set aside, each with the reason, for a person to look at."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from node.receiving.inspection import Arrival

MAXIMUM_BYTES = 1 << 30
"""The oldest are removed above this: a hostile sender must not fill the disk."""
MAXIMUM_RECORDS = 2_000
"""The oldest are removed above this too: nor make the node count files."""
_RECORDS_BETWEEN_TRIMS = 50


class Quarantine:
    """A folder of refused data sets (``ID.bin``, as received) and what was wrong with them (``ID.json``).

    Names are random: nothing from the network becomes part of one.
    """

    def __init__(self, folder: Path, *, minimum_free_bytes: int, maximum_bytes: int = MAXIMUM_BYTES) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._minimum_free_bytes = minimum_free_bytes
        self._maximum_bytes = maximum_bytes
        self._records_since_trim = self._bytes_since_trim = 0
        self._log = structlog.get_logger("quarantine")

    def keep(self, arrival: Arrival, problem: str, cure: str = "") -> str:
        """Set one arrival aside; where there is no room, only its reason.

        Args:
            arrival: as it came.
            problem: why it was refused, a sentence.
            cure: what to do about it, a sentence; empty: nothing is known.

        Returns:
            the id that ledger and log name it by.
        """
        name = uuid.uuid4().hex
        try:
            if self._has_room(len(arrival.encoded)):
                self._write(f"{name}.bin", arrival.encoded)
            self._write(f"{name}.json", _describe(arrival, problem, cure))
            self._trim_now_and_then(len(arrival.encoded))
        except OSError as error:
            self._log.warning("quarantine_not_written", id=name, errno=error.errno)
        return name

    def _has_room(self, size_bytes: int) -> bool:
        return size_bytes <= min(self._maximum_bytes, shutil.disk_usage(self._folder).free - self._minimum_free_bytes)

    def _write(self, name: str, content: bytes) -> None:
        with os.fdopen(os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)

    def _trim_now_and_then(self, size_bytes: int) -> None:
        self._records_since_trim += 1
        self._bytes_since_trim += size_bytes
        if self._records_since_trim >= _RECORDS_BETWEEN_TRIMS or self._bytes_since_trim > self._maximum_bytes // 16:
            self._records_since_trim = self._bytes_since_trim = 0
            self._trim()

    def _trim(self) -> None:
        """Remove the oldest files until both ceilings hold; another association may remove them at the same time."""
        files = sorted((status.st_mtime_ns, status.st_size, path) for path, status in self._statuses())
        excess_bytes = sum(size for _, size, _ in files) - self._maximum_bytes
        excess_files = len(files) - 2 * MAXIMUM_RECORDS
        for _, size, path in files:
            if excess_bytes <= 0 and excess_files <= 0:
                return
            excess_bytes -= size
            excess_files -= 1
            path.unlink(missing_ok=True)

    def _statuses(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                yield path, path.stat()


def _describe(arrival: Arrival, problem: str, cure: str) -> bytes:
    record = {
        "reason": f"{problem} {cure}".strip(),
        "problem": problem,
        "cure": cure,
        "affected_sop_class_uid": arrival.sop_class_uid,
        "affected_sop_instance_uid": arrival.sop_instance_uid,
        "transfer_syntax_uid": arrival.transfer_syntax_uid,
        "size_bytes": len(arrival.encoded),
        "calling_ae_title": arrival.calling_ae_title,
        "peer_address": arrival.peer_address,
        "received_at": arrival.received_at.isoformat(),
    }
    return json.dumps(record, indent=2).encode()

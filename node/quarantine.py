"""Where refused instances are set aside, each with the reason, for a person to look at."""

import json
import os
import shutil
import uuid
from pathlib import Path

import structlog

from node.instance import Arrival

MAXIMUM_BYTES = 1 << 30
"""The oldest are removed above this: a hostile sender must not fill the disk."""


class Quarantine:
    """A folder of refused data sets (``ID.bin``, as received) and what was wrong with them (``ID.json``).

    Names are random: nothing from the network becomes part of one.
    """

    def __init__(self, folder: Path, *, minimum_free_bytes: int, maximum_bytes: int = MAXIMUM_BYTES) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._minimum_free_bytes = minimum_free_bytes
        self._maximum_bytes = maximum_bytes
        self._log = structlog.get_logger("quarantine")

    def keep(self, arrival: Arrival, reason: str) -> str:
        """Set one arrival aside; where there is no room, only its reason.

        Returns:
            the id that ledger and log name it by.
        """
        name = uuid.uuid4().hex
        try:
            if self._has_room(len(arrival.encoded)):
                self._write(f"{name}.bin", arrival.encoded)
            self._write(f"{name}.json", _describe(arrival, reason))
            self._trim()
        except OSError as error:
            self._log.warning("quarantine_not_written", id=name, errno=error.errno)
        return name

    def _has_room(self, size_bytes: int) -> bool:
        return size_bytes <= min(self._maximum_bytes, shutil.disk_usage(self._folder).free - self._minimum_free_bytes)

    def _write(self, name: str, content: bytes) -> None:
        with os.fdopen(os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)

    def _trim(self) -> None:
        files = sorted((path.stat().st_mtime_ns, path) for path in self._folder.iterdir())
        excess = sum(path.stat().st_size for _, path in files) - self._maximum_bytes
        for _, path in files:
            if excess <= 0:
                return
            excess -= path.stat().st_size
            path.unlink()


def _describe(arrival: Arrival, reason: str) -> bytes:
    record = {
        "reason": reason,
        "affected_sop_class_uid": arrival.sop_class_uid,
        "affected_sop_instance_uid": arrival.sop_instance_uid,
        "transfer_syntax_uid": arrival.transfer_syntax_uid,
        "size_bytes": len(arrival.encoded),
        "calling_ae_title": arrival.calling_ae_title,
        "peer_address": arrival.peer_address,
        "received_at": arrival.received_at.isoformat(),
    }
    return json.dumps(record, indent=2).encode()

"""What a node costs this process: threads, descriptors, memory."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.patience import wait_until


@dataclass(frozen=True)
class Footprint:
    threads: int
    descriptors: int
    resident_bytes: int


def footprint() -> Footprint:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Footprint(threading.active_count(), _connections(), pages * 4096)


def _connections() -> int:
    return sum(map(_is_connection, Path("/proc/self/fd").iterdir()))


def _is_connection(descriptor: Path) -> bool:
    """Whether it is a socket; those of the store's pool are files."""
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except OSError:  # the one that lists them
        return False


def settled(most: Footprint, *, seconds: float = 5.0) -> Footprint:
    """Wait until there are no more threads and descriptors than before; give what there is then."""

    def gone() -> bool:
        return threading.active_count() <= most.threads and _connections() <= most.descriptors

    wait_until(gone, seconds, f"the end of all threads and descriptors beyond {most}")
    return footprint()


def seconds_of(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started

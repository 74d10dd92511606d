"""How the C library manages the memory of this process: what many threads free goes back to the system.

glibc gives up to eight arenas for each core to threads, and keeps up to 64 MiB free in each, so that messages on many
associations at once leave hundreds behind (``tests/node/test_arenas.py``). Threads of this process seldom allocate at
the same time, because Python's interpreter lock lets one of them run: two arenas do.
"""

import ctypes
import sys

MOST_ARENAS = 2
_M_ARENA_MAX = -8
"""Of mallopt(3)."""


def bound_arenas() -> bool:
    """Have glibc make no more arenas than ``MOST_ARENAS``; call it before threads are started.

    Returns:
        whether it was done; False on another C library.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_ARENA_MAX, MOST_ARENAS))

"""Watches what the process does while a configuration is read: code run, files opened, modules imported, calls made."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

FORBIDDEN = (
    "exec", "import", "open", "os.system", "os.exec", "os.fork", "os.listdir", "os.remove", "os.putenv",
    "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "pickle.find_class", "ctypes.dlopen", "builtins.input",
)  # fmt: skip
"""Audit events (PEP 578) of which reading a configuration raises none; ``exec`` is raised by eval and exec alike."""
MOST_CALLS = 2_000_000
"""Calls of Python functions that reading one hostile configuration may take."""

_events: list[str] = []
_watching = False


def _hook(event: str, arguments: Any) -> None:
    # of a syntax error Python itself tries to show the line of the file that it was parsed from, "<unknown>"
    if _watching and event in FORBIDDEN and not (event == "open" and arguments[0] == "<unknown>"):
        _events.append(event)


sys.addaudithook(_hook)


class Watch:
    """What was seen."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.calls = 0


@contextmanager
def watched() -> Iterator[Watch]:
    """Count calls and collect forbidden events; ends a reading that takes too many calls."""
    global _watching
    watch = Watch()

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        watch.calls += event == "call"
        if watch.calls > MOST_CALLS:
            sys.setprofile(None)
            raise AssertionError(f"more than {MOST_CALLS} calls")

    _events.clear()
    before = sys.getprofile()
    sys.setprofile(count)
    _watching = True
    try:
        yield watch
    finally:
        _watching = False
        sys.setprofile(before)
        watch.events = list(_events)

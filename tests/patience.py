"""How long the tests wait: every time limit in them is scaled by one factor, how many times slower this machine works
than an idle one does a fixed piece of work.

The factor is measured at the start of a session, for its workers too, and again while tests run, at most every ten
seconds, since other work comes and goes. ``HEATPROOF_TEST_PATIENCE`` sets the smallest factor by hand.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable

VARIABLE = "HEATPROOF_TEST_PATIENCE"
REFERENCE_SECONDS = 0.045
"""Of the piece of work on an idle AMD EPYC core (0.037 s), and a fifth more."""
LARGEST = 20.0
AGAIN_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 0.05
_measured: list[tuple[float, float]] = []
"""Time of the last measurement (monotonic) and its factor."""


def piece_of_work() -> float:
    """Count in Python and start a process; give the seconds that took."""
    started = time.perf_counter()
    sum(number * number for number in range(400_000))
    subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
    return time.perf_counter() - started


def slowness() -> float:
    """Measure the factor now: by the piece of work, or by how many processes wait for each core."""
    queued = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(LARGEST, max(1.0, piece_of_work() / REFERENCE_SECONDS, queued))


def share_factor() -> None:
    """Measure the factor once for this process and all that it starts."""
    os.environ.setdefault(VARIABLE, f"{slowness():.2f}")


def factor() -> float:
    """Return what time limits are multiplied by: what was measured at the start, or lately where that is more."""
    now = time.monotonic()
    if not _measured or now - _measured[-1][0] > AGAIN_SECONDS:
        _measured[:] = [(now, slowness())]
    return max(float(os.environ.get(VARIABLE, "1")), _measured[-1][1])


def patient(seconds: float) -> float:
    """Scale a time limit that is meant for an idle machine."""
    return seconds * factor()


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until the condition holds, for ``patient(seconds)`` at most.

    Raises:
        AssertionError: it did not come to hold; it names ``what``.
    """
    started = time.monotonic()
    while not condition():
        elapsed = time.monotonic() - started
        assert elapsed < seconds or elapsed < patient(seconds), f"{what} did not happen within {elapsed:.1f} s"
        time.sleep(min(LONGEST_PAUSE_SECONDS, 0.001 + elapsed / 10))


def assert_stays(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Watch that the condition holds for ``patient(seconds)``: for what must not happen there is no end to wait for.

    Raises:
        AssertionError: it ceased to hold; it names ``what``.
    """
    end = time.monotonic() + patient(seconds)
    while time.monotonic() < end:
        assert condition(), f"{what} did not last"
        time.sleep(LONGEST_PAUSE_SECONDS)
    assert condition(), f"{what} did not last"

"""What a node costs that has nothing to do: CPU seconds of its process over a minute, as a share of one core.

``python -m tests.benchmarks.idle [--seconds 60] [--polling]``

CPU seconds hold on a loaded machine too, as long as the node gets any. With ``--polling`` the node looks for work all
the time, as every node did before ``node/waking.py``: five times a second at each queue, twice for studies.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from tests.node.running import RunningNode

SETTLE_SECONDS = 25.0
"""After the start: longer than a node keeps looking often."""
POLLING = """import sys
sys.argv.insert(1, "serve")
from node.cli import main
from node.waking import WORK
WORK._busy_seconds = WORK._busy_until_seconds = float("inf")
main()
"""
"""A node that always looks often."""


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_share(folder: Path, seconds: float, *, polling: bool) -> float:
    """Start a node without work, leave it alone, and return its CPU seconds a second."""
    node = RunningNode(folder, destination_port=1)
    if polling:
        driver = folder / "polling.py"
        driver.write_text(POLLING)
        node.start(str(driver))
    else:
        node.start()
    try:
        assert node.process is not None
        time.sleep(SETTLE_SECONDS)
        before, began = cpu_seconds(node.process.pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds(node.process.pid) - before) / (time.monotonic() - began)
    finally:
        node.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--polling", action="store_true", help="look for work all the time")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        share = idle_share(Path(folder) / "node", asked.seconds, polling=asked.polling)
    print(f"{'polling' if asked.polling else 'woken by work'}: {100 * share:.2f} % of a core over {asked.seconds:g} s")


if __name__ == "__main__":
    main()

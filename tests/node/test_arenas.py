"""What the threads of a node free goes back to the system: shown in a new process, whose arenas are yet to be made."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.memory import MOST_ARENAS
from tests.node.running import REPOSITORY, RunningNode

GROWN = """
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from threading import Barrier
from types import ModuleType

THREADS, MEBIBYTES = 16, 20

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def message(_):
    grown = BytesIO()
    for _ in range(16 * MEBIBYTES):
        grown.write(bytes(1 << 16))
    together.wait()  # as many at a time as there are threads

def measure():
    bytearray(33 << 20)  # freed: from now on glibc takes blocks of up to 32 MiB from arenas
    before = resident()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(message, range(2 * THREADS)))
    print((resident() - before) >> 20)

class Node:
    def __init__(self, *_):
        import numpy

    def run(self):
        measure()

together = Barrier(THREADS)
if sys.argv[1:]:
    sys.modules["node.service"] = ModuleType("node.service")
    sys.modules["node.service"].Node = Node
    from node.cli import serve
    serve(Path(sys.argv[1]))
else:
    measure()
"""


def mebibytes_left(*arguments: str) -> int:
    """What 32 messages of 20 MiB, on 16 threads, leave resident in a process."""
    command = [sys.executable, "-c", GROWN, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Another C library than glibc has no arenas.")
def test_what_messages_took_on_many_threads_goes_back_to_the_system(tmp_path: Path) -> None:
    node = RunningNode(tmp_path / "node")
    node.write_settings(destination_port=1)
    assert mebibytes_left(str(node.settings)) <= 64 * MOST_ARENAS

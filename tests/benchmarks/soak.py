"""Thousands of studies through a whole node: studies per minute, memory, and whether a study costs more at the end.

    python -m tests.benchmarks.soak --studies 2000 --slices 20

The model is a stand-in that answers at once; listener, inbox, rules, queue, reports and delivery are the node's own.
What a study costs is the CPU time of the node's process: wall time would measure the machine's other work too.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from os import sysconf
from pathlib import Path

from sqlalchemy import Engine

from node.demo.pacs import FilingScp, send
from node.store import open_engine, sqlite_url
from tests.hostile import stand_in
from tests.hostile.kill_sweep import progress
from tests.node.running import RunningNode
from tests.patience import wait_until

BATCH = 25
"""Studies between two looks."""
AHEAD = 10
"""The modality waits when so many studies are not yet delivered."""


@dataclass(frozen=True)
class Look:
    """The node's process after so many studies."""

    studies: int
    wall_seconds: float
    cpu_seconds: float
    resident_mib: float
    threads: int
    descriptors: int
    databases_mib: tuple[float, float]
    """Of the node's store, and of its workflows, with their logs."""


def look(process: int, home: Path, studies: int, began: float) -> Look:
    """Read what the kernel knows of a process."""
    folder = Path(f"/proc/{process}")
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Look(
        studies,
        time.monotonic() - began,
        (int(fields[11]) + int(fields[12])) / sysconf("SC_CLK_TCK"),
        int(status["VmRSS"].split()[0]) / 1024,
        int(status["Threads"]),
        len(list((folder / "fd").iterdir())),
        (database_mib(home, "heatproof"), database_mib(home, "workflows")),
    )


def database_mib(home: Path, name: str) -> float:
    """Return the size of a database of the node, its log included."""
    return sum(path.stat().st_size for path in home.glob(f"{name}.sqlite*")) / (1 << 20)


def soak(folder: Path, *, studies: int, slices: int) -> Iterator[Look]:
    """Send so many studies, never far ahead of the node; give a look after each batch."""
    with FilingScp(folder / "pacs") as pacs:
        node = RunningNode(folder / "node", destination_port=pacs.port, quiet_seconds=1.0)
        process = stand_in.start(node.settings)
        try:
            wait_until(lambda: node.listening, 60, "the start of the node")
            engine = open_engine(sqlite_url(node.folder / "home"))
            began = time.monotonic()
            yield look(process.pid or 0, node.folder / "home", 0, began)
            for number in range(1, studies + 1):
                study = folder / "study"
                paths = stand_in.write_study_of_blobs(study, number, slices=slices, pixels=128)
                statuses = send(paths, port=node.dicom_port, called_ae_title="HEATPROOF", progress=lambda: None)
                assert set(statuses.values()) == {0x0000}
                wanted = number if number % BATCH == 0 else number - AHEAD
                wait_until(partial(has_delivered, engine, wanted), 120, f"study {number}")
                for path in (*paths, *(folder / "pacs").iterdir()):
                    path.unlink()
                if number % BATCH == 0:
                    yield look(process.pid or 0, node.folder / "home", number, began)
            engine.dispose()
        finally:
            process.terminate()
            process.join()
    assert process.exitcode == 0, node.log


def has_delivered(engine: Engine, studies: int) -> bool:
    """Whether the results of so many studies have left the node: each has two."""
    _, _, made, queued = progress(engine)
    return made - queued >= 2 * studies


def report(looks: list[Look]) -> Iterator[str]:
    """Say how fast, how large, and how the cost at the end compares with that at the beginning."""
    first, last = looks[0], looks[-1]
    costs = [
        (after.cpu_seconds - before.cpu_seconds) / (after.studies - before.studies) for before, after in pairwise(looks)
    ]
    hundred = max(min(100 // BATCH, len(costs) // 3), 1)
    early, late = statistics.fmean(costs[:hundred]), statistics.fmean(costs[-hundred:])
    warm = looks[min(hundred, len(looks) - 1)]
    yield f"{last.studies} studies in {last.wall_seconds:.0f} s: {last.studies / last.wall_seconds * 60:.0f} a minute"
    yield (
        f"CPU of a study: {1000 * early:.0f} ms in the first {hundred * BATCH}, {1000 * late:.0f} ms in the last; "
        f"ratio {late / early:.2f}"
    )
    yield (
        f"resident memory: {first.resident_mib:.0f} MiB at the start, {warm.resident_mib:.0f} after {warm.studies}, "
        f"{last.resident_mib:.0f} at the end"
    )
    grown = [
        1024 * (end - start) / last.studies for start, end in zip(first.databases_mib, last.databases_mib, strict=True)
    ]
    yield f"databases: {grown[0]:.1f} KiB a study in the store, {grown[1]:.1f} in the workflows"
    yield f"threads {warm.threads} then {last.threads}, descriptors {warm.descriptors} then {last.descriptors}"


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--slices", type=int, default=20)
    arguments = parser.parse_args()
    looks: list[Look] = []
    with tempfile.TemporaryDirectory() as folder:
        for found in soak(Path(folder), studies=arguments.studies, slices=arguments.slices):
            looks.append(found)
            print(
                f"{found.studies:5d} studies {found.wall_seconds:6.0f} s, CPU {found.cpu_seconds:6.1f} s, "
                f"{found.resident_mib:5.0f} MiB",
                flush=True,
            )
    for line in report(looks):
        print(line)


if __name__ == "__main__":
    main()

"""What was seen in each part of an attack, as a table; and the machine it was seen on."""

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

LEAST_MIB = 0.05
"""Growth that is shown."""


@dataclass
class Phase:
    """What was seen in one part of the run."""

    name: str
    sent: int = 0
    refused: int = 0
    """Studies of which an image was not answered with success."""
    store_seconds: list[float] = field(default_factory=list)
    """Of each study, from the request of the association to its release."""
    answer_seconds: list[float] = field(default_factory=list)
    """Of each study, from its first image to both its results at the destination."""
    probe_seconds: list[float] = field(default_factory=list)
    """Of /livez."""
    unanswered_probes: int = 0
    memory_mib: list[float] = field(default_factory=list)
    offered: Mapping[str, float] = field(default_factory=dict)
    grown: Mapping[str, float] = field(default_factory=dict)
    """MiB of the home, by what."""

    @property
    def unanswered(self) -> int:
        """How many of the studies that were taken have not been answered."""
        return self.sent - self.refused - len(self.answer_seconds)


def machine() -> str:
    """Return processor, cores, memory, load and libraries of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "processor")
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{processor}, {os.cpu_count()} cores, {gibibytes:.0f} GiB; {' '.join(platform.libc_ver())}, "
        f"Python {platform.python_version()}; load before: {os.getloadavg()[0]:.1f}"
    )


def spread(seconds: Sequence[float]) -> str:
    """Return median, 95th percentile and longest."""
    ordered = sorted(seconds)
    if not ordered:
        return "none"
    return f"{statistics.median(ordered):.2f} / {ordered[ceil(0.95 * len(ordered)) - 1]:.2f} / {ordered[-1]:.2f} s"


def table(phases: Sequence[Phase]) -> Iterator[str]:
    """Yield a row for each figure, a column for each phase."""
    idle_mib = statistics.median(phases[0].memory_mib)
    yield f"{'':44}" + "".join(f"{phase.name:>28}" for phase in phases)
    rows = {
        "studies of the other peer: sent, refused": [f"{phase.sent}, {phase.refused}" for phase in phases],
        "of these answered with both results": [f"{len(phase.answer_seconds)}" for phase in phases],
        "its C-STOREs: median / 95 % / longest": [spread(phase.store_seconds) for phase in phases],
        "until its results are at the destination": [spread(phase.answer_seconds) for phase in phases],
        "/livez from its address": [spread(phase.probe_seconds) for phase in phases],
        "/livez without an answer": [f"{phase.unanswered_probes}" for phase in phases],
        "memory of the node: median, most": [
            f"{statistics.median(phase.memory_mib):.0f}, {max(phase.memory_mib):.0f} MiB" for phase in phases
        ],
        "most, above the median before": [f"{max(phase.memory_mib) - idle_mib:.0f} MiB" for phase in phases],
    }
    for kind in sorted({kind for phase in phases for kind, size in phase.grown.items() if abs(size) >= LEAST_MIB}):
        rows[f"disk, growth: {kind}"] = [f"{phase.grown.get(kind, 0.0):.1f} MiB" for phase in phases]
    attacked = [phase for phase in phases if phase.offered]
    for kind in sorted({kind for phase in attacked for kind in phase.offered} - {"seconds", "bytes", "cpu_seconds"}):
        rows[f"offered: {kind}"] = [rate(phase, kind) for phase in phases]
    rows["offered: bytes"] = [
        f"{phase.offered['bytes'] / phase.offered['seconds'] / 1e6:.1f} MB/s" if phase.offered else ""
        for phase in phases
    ]
    rows["generators"] = [
        f"{phase.offered['cpu_seconds'] / phase.offered['seconds']:.2f} of a core" if phase.offered else ""
        for phase in phases
    ]
    for name, values in rows.items():
        yield f"{name:44}" + "".join(f"{value:>28}" for value in values)


def rate(phase: Phase, kind: str) -> str:
    """Return how many of a kind were offered, and how many a second."""
    count = phase.offered.get(kind, 0)
    return f"{count:.0f} ({count / phase.offered['seconds']:.1f}/s)" if phase.offered else ""

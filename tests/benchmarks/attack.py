"""A node under attack from one address while another peer sends studies: times, memory and disk beside those without.

    python -m tests.benchmarks.attack [--minutes 10] [--studies 200]

Everything of ``tests.hostile.attackers`` at once, its process held to half a core, and then unheld for a third of the
time. The model is a stand-in that answers at once; receiving, rules, reports and delivery are the node's own, in a
process of its own with the limits of the settings as they are shipped. The attacker's images go to nobody but its own
DICOMweb service.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from pathlib import Path

import httpx
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage
from sqlalchemy import func, select

from node.demo.pacs import FilingScp
from node.demo.ports import reserve_port
from node.settings.node import NodeSettings
from node.store import instances, open_engine, sqlite_url
from reports.audit.ledger import entries
from tests.hostile import stand_in
from tests.hostile.attackers import Attackers, Target
from tests.node.running import RULES, RunningNode
from tests.patience import wait_until

PEER = "127.0.0.2"
"""Address of the peer that is to be served."""
HALF_A_CORE = 0.5
RESULTS = 2
"""Of a study: the capture and the report."""
LEAST_MIB = 0.05
"""Growth that is shown."""
LIMITS = ("receiving_mebibytes", "receiving_mebibytes_per_peer", "maximum_message_mebibytes")
ROUTES = """
[[destinations]]
name = "web"
protocol = "stow"
url = "http://127.0.0.1:DRIP/dicom-web"
exchange_seconds = 20.0

[[rules]]
name = "contrast"
when = [{ attribute = "SeriesDescription", matches = "t1.*ce" }]
bundles = ["glioma_flair"]
destinations = []
"""


@dataclass
class Phase:
    """What was seen in one part of the run."""

    name: str
    sent: int = 0
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


class Run:
    """The node, its destination and the peer that is to be served."""

    def __init__(self, folder: Path, pacs: FilingScp) -> None:
        self._folder, self._pacs = folder, pacs
        self.drip_port = reserve_port()
        self.node = RunningNode(folder / "node", rules=ROUTES.replace("DRIP", str(self.drip_port)) + RULES)
        self.node.write_settings(destination_port=pacs.port)
        text = self.node.settings.read_text()
        self.node.settings.write_text(
            text.replace('[unrouted]\ndestinations = ["pacs"]', '[unrouted]\ndestinations = ["web"]')
        )
        self._process = stand_in.start_node(self.node)
        wait_until(lambda: self.node.analysing, 60, "the loading of the models")
        self._numbers = iter(range(1_000_000))
        self._sent_at: dict[str, float] = {}
        self._seen: set[str] = set()
        self._arrived: Counter[str] = Counter()

    @property
    def target(self) -> Target:
        """What the attacker has to know."""
        token = (self.node.folder / "token").read_text().strip()
        return Target(self.node.dicom_port, self.node.http_port, self.drip_port, token)

    def phase(self, name: str, *, seconds: float, studies: int, share: float | None, attacked: bool) -> Phase:
        """Send so many studies, evenly spread, and wait until each is answered."""
        phase, before = Phase(name), sizes(self.node.folder / "home")
        attackers = Attackers(self.target, share) if attacked else None
        with self._watched(phase):
            began = time.monotonic()
            for number in range(studies):
                time.sleep(max(began + number * seconds / studies - time.monotonic(), 0.0))
                self._send(phase)
                self._note_answers(phase)
            while time.monotonic() - began < seconds or len(phase.answer_seconds) < phase.sent:
                self._note_answers(phase)
                time.sleep(0.1)
                assert time.monotonic() - began < seconds + 600, f"{phase}\n{self.node.log[-3000:]}"
            if attackers is not None:
                phase.offered = attackers.stop()
        after = sizes(self.node.folder / "home")
        phase.grown = {kind: after[kind] - before.get(kind, 0.0) for kind in after}
        return phase

    def _send(self, phase: Phase) -> None:
        paths = stand_in.write_study_of_blobs(self._folder / "sent", next(self._numbers))
        datasets = [dcmread(path) for path in paths]
        client = AE(ae_title="MODALITY")
        client.acse_timeout = client.dimse_timeout = client.network_timeout = 60
        client.add_requested_context(MRImageStorage, datasets[0].file_meta.TransferSyntaxUID)
        began = time.monotonic()
        association = client.associate("127.0.0.1", self.node.dicom_port, ae_title="HEATPROOF", bind_address=(PEER, 0))
        assert association.is_established, self.node.log[-3000:]
        statuses = [association.send_c_store(dataset).get("Status", -1) for dataset in datasets]
        association.release()
        assert set(statuses) == {0x0000}, statuses
        phase.store_seconds.append(time.monotonic() - began)
        phase.sent += 1
        self._sent_at[str(datasets[0].StudyInstanceUID)] = began

    def _note_answers(self, phase: Phase) -> None:
        """Note each study of which all results have come."""
        for uid, path in self._pacs.received().items():
            if uid in self._seen:
                continue
            with suppress(EOFError):  # it is being written
                study = str(dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
                self._seen.add(uid)
                self._arrived[study] += 1
                if self._arrived[study] == RESULTS:
                    phase.answer_seconds.append(time.monotonic() - self._sent_at[study])

    @contextmanager
    def _watched(self, phase: Phase) -> Iterator[None]:
        """Ask /livez twice a second from the peer's address, and read the memory of the node and its children."""
        stopping = threading.Event()

        def watch() -> None:
            transport = httpx.HTTPTransport(local_address=PEER)
            with httpx.Client(transport=transport, timeout=30) as client:
                while not stopping.wait(0.5):
                    phase.memory_mib.append(memory_mib(self._process.pid or 0))
                    began = time.monotonic()
                    try:
                        client.get(f"http://127.0.0.1:{self.node.http_port}/livez").raise_for_status()
                        phase.probe_seconds.append(time.monotonic() - began)
                    except httpx.HTTPError:
                        phase.unanswered_probes += 1

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def events(self) -> dict[str, int]:
        """Stop the node; count the rows of the ledger by event."""
        began = time.monotonic()
        self._process.terminate()
        self._process.join()
        print(f"stopped in {time.monotonic() - began:.1f} s, exit status {self._process.exitcode}", flush=True)
        engine = open_engine(sqlite_url(self.node.folder / "home"))
        with engine.connect() as connection:
            rows = connection.execute(select(entries.c.event, func.count()).group_by(entries.c.event)).all()
        engine.dispose()
        return {row[0]: int(row[1]) for row in rows}

    def kill(self) -> None:
        """End the node whatever it does."""
        self._process.kill()
        self._process.join()


def sizes(home: Path) -> dict[str, float]:
    """Return the MiB of a home: images by sender, then files by folder."""
    engine = open_engine(sqlite_url(home))
    with engine.connect() as connection:
        query = select(instances.c.calling_ae_title, func.sum(instances.c.size_bytes)).group_by("calling_ae_title")
        by_sender = {row[0]: int(row[1]) for row in connection.execute(query)}
    engine.dispose()
    found: Counter[str] = Counter({"images of the attacker": by_sender.get("SENDER", 0)})
    for path in home.rglob("*"):
        with suppress(OSError):
            kind = path.relative_to(home).parts[0]
            if path.is_file() and kind != "inbox":
                found["databases" if ".sqlite" in kind else kind] += path.stat().st_size
    found["log"] = (home.parent / "log").stat().st_size
    return {kind: size / (1 << 20) for kind, size in found.items()}


def memory_mib(process: int) -> float:
    """Return the resident memory of a process and its children."""
    total = 0.0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, KeyError):
                lines = (folder / "status").read_text().splitlines()
                status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                if int(folder.name) == process or int(status["PPid"]) == process:
                    total += int(status["VmRSS"].split()[0]) / 1024
    return total


def spread(seconds: Sequence[float]) -> str:
    """Return median, 95th percentile and longest."""
    ordered = sorted(seconds)
    return f"{statistics.median(ordered):.2f} / {ordered[ceil(0.95 * len(ordered)) - 1]:.2f} / {ordered[-1]:.2f} s"


def table(phases: Sequence[Phase]) -> Iterator[str]:
    """Yield a row for each figure, a column for each phase."""
    yield f"{'':44}" + "".join(f"{phase.name:>28}" for phase in phases)
    rows = {
        "studies sent by the other peer, answered": [f"{phase.sent}, {len(phase.answer_seconds)}" for phase in phases],
        "its C-STOREs: median / 95 % / longest": [spread(phase.store_seconds) for phase in phases],
        "until its results are at the destination": [spread(phase.answer_seconds) for phase in phases],
        "/livez from its address": [spread(phase.probe_seconds) for phase in phases],
        "/livez without an answer": [f"{phase.unanswered_probes}" for phase in phases],
        "memory of the node, median, most": [
            f"{statistics.median(phase.memory_mib):.0f}, {max(phase.memory_mib):.0f} MiB" for phase in phases
        ],
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


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the attack that is held to half a core")
    parser.add_argument("--studies", type=int, default=200, help="in this time, and as often in the others")
    asked = parser.parse_args()
    seconds, a_third = 60.0 * asked.minutes, max(round(asked.studies / 3), 2)
    defaults = NodeSettings(home=Path("/"))
    print(f"python -m tests.benchmarks.attack --minutes {asked.minutes:g} --studies {asked.studies}", flush=True)
    print(f"{os.cpu_count()} cores; settings: " + ", ".join(f"{name} = {getattr(defaults, name)}" for name in LIMITS))
    with tempfile.TemporaryDirectory() as folder, FilingScp(Path(folder) / "pacs") as pacs:
        run = Run(Path(folder), pacs)
        try:
            of = partial(run.phase, seconds=seconds / 3, studies=a_third)
            phases = [
                of("without attack", share=None, attacked=False),
                run.phase(
                    "held to half a core", seconds=seconds, studies=asked.studies, share=HALF_A_CORE, attacked=True
                ),
                of("unheld", share=None, attacked=True),
                of("after it", share=None, attacked=False),
            ]
            for line in table(phases):
                print(line, flush=True)
            print("rows of the ledger: " + json.dumps(run.events(), sort_keys=True))
        finally:
            run.kill()


if __name__ == "__main__":
    main()

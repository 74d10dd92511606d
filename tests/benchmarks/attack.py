"""A node under attack from one address while another peer sends studies: times, memory and disk beside those without.

    python -m tests.benchmarks.attack [--minutes 10] [--studies 200]

Prints how far it is, and writes the table into ``attack.txt`` beside it, with the machine. It ends within twice the
minutes and 17 more, whatever happens.

Everything of ``tests.hostile.attackers`` at once, its process held to half a core, and then unheld for a third of the
time. The model is a stand-in that answers at once; receiving, rules, reports and delivery are the node's own, in a
process of its own with the limits of the settings as they are shipped. The attacker's images go to nobody but its own
DICOMweb service.
"""

import argparse
import faulthandler
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage
from sqlalchemy import func, select

from node.demo.pacs import FilingScp
from node.demo.ports import reserve_port
from node.service import STOP_SECONDS
from node.settings.node import NodeSettings
from node.store import instances, open_engine, sqlite_url
from reports.audit.ledger import entries
from tests.benchmarks.attack_table import Phase, machine, table
from tests.hostile import stand_in
from tests.hostile.attackers import Attackers, Target
from tests.node.running import RULES, RunningNode
from tests.patience import wait_until

PEER = "127.0.0.2"
"""Address of the peer that is to be served."""
HALF_A_CORE = 0.5
RESULTS = 2
"""Of a study: the capture and the report."""
ANSWER_SECONDS = 180.0
"""So long after a part the answers to its studies are waited for."""
STARTING_SECONDS = 300.0
PROGRESS_SECONDS = 10.0
FIGURES = Path(__file__).with_suffix(".txt")
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
        self._sent: dict[str, tuple[float, Phase]] = {}
        """Of each study when, and in which part."""
        self._seen: set[str] = set()
        self._arrived: Counter[str] = Counter()
        self._said_at = 0.0

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
                while (left := began + number * seconds / studies - time.monotonic()) > 0:
                    self._note_answers(phase)
                    time.sleep(min(left, 0.1))
                self._send(phase)
            while (passed := time.monotonic() - began) < seconds or len(
                phase.answer_seconds
            ) < phase.sent - phase.refused:
                self._note_answers(phase)
                time.sleep(0.1)
                if passed > seconds + ANSWER_SECONDS:
                    print(f"{phase.name}: not all were answered\n{self.node.log[-3000:]}", flush=True)
                    break
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
        self._sent[str(datasets[0].StudyInstanceUID)] = (began, phase)
        statuses = []
        if association.is_established:
            statuses = [association.send_c_store(dataset).get("Status", -1) for dataset in datasets]
            association.release()
        phase.sent += 1
        if statuses != [0x0000] * len(datasets):
            phase.refused += 1
            return
        phase.store_seconds.append(time.monotonic() - began)

    def _note_answers(self, phase: Phase) -> None:
        """Note each study of which all results have come; say now and then how far it is."""
        if time.monotonic() - self._said_at > PROGRESS_SECONDS:
            self._said_at = time.monotonic()
            seen = f"{phase.sent} sent, {len(phase.answer_seconds)} answered"
            print(f"{phase.name}: {seen}, {(phase.memory_mib or [0])[-1]:.0f} MiB", flush=True)
        for uid, path in self._pacs.received().items():
            if uid in self._seen:
                continue
            with suppress(EOFError):  # it is being written
                study = str(dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
                self._seen.add(uid)
                self._arrived[study] += 1
                if self._arrived[study] == RESULTS:
                    began, of_phase = self._sent[study]
                    of_phase.answer_seconds.append(time.monotonic() - began)

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
        self._process.join(2 * STOP_SECONDS)
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
    """Return the resident memory of a process and of all that descend from it."""
    parents, resident = dict[int, int](), dict[int, float]()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, KeyError):
                lines = (folder / "status").read_text().splitlines()
                status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                parents[int(folder.name)] = int(status["PPid"])
                resident[int(folder.name)] = int(status["VmRSS"].split()[0]) / 1024
    return sum(size for number, size in resident.items() if process in _line(number, parents))


def _line(process: int, parents: Mapping[int, int]) -> Iterator[int]:
    """Yield a process, its parent, and so on."""
    while process:
        yield process
        process = parents.get(process, 0)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the attack that is held to half a core")
    parser.add_argument("--studies", type=int, default=200, help="in this time, and as often in the others")
    asked = parser.parse_args()
    seconds, a_third = 60.0 * asked.minutes, max(round(asked.studies / 3), 2)
    faulthandler.dump_traceback_later(2 * seconds + 4 * ANSWER_SECONDS + STARTING_SECONDS, exit=True)
    defaults = NodeSettings(home=Path("/"))
    head = [
        f"python -m tests.benchmarks.attack --minutes {asked.minutes:g} --studies {asked.studies}",
        machine(),
        "settings: " + ", ".join(f"{name} = {getattr(defaults, name)}" for name in LIMITS),
    ]
    print(*head, sep="\n", flush=True)
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
            told = [*head, "", *table(phases), "rows of the ledger: " + json.dumps(run.events(), sort_keys=True)]
        finally:
            run.kill()
    print(*told[len(head) :], sep="\n", flush=True)
    FIGURES.write_text("\n".join(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

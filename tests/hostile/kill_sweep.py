"""kill -9 at random moments under load: no acknowledged instance lost, one result set a study, no temporary left.

    python -m tests.hostile.kill_sweep --kills 200

A modality sends small studies without pause, each instance again until it is acknowledged; the node is killed and
started again; a real Orthanc is the destination. The model is a stand-in that answers at once.
"""

import argparse
import hashlib
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from sqlalchemy import Engine, func, select

from node.store import deliveries, instances, jobs, open_engine, results, sqlite_url, studies
from reports.audit.ledger import Ledger
from tests.hostile import stand_in
from tests.node.running import RULES, RunningNode
from tests.patience import patient, wait_until
from tests.peers.orthanc import OrthancServer

QUIET_SECONDS = 6.0
"""Longer than the node is ever down between two kills, so that no study is cut in two."""
LONGEST_LIFE_SECONDS = 3.0
KILLED_WHILE_STARTING = 0.2
"""Share of the kills that do not wait until it listens."""


@dataclass
class StandInModality:
    """Sends studies one after the other, and each of them until every instance has been acknowledged."""

    node: RunningNode
    acknowledged: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the encoded data set by SOP Instance UID."""
    faults: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Propose what the studies of noise are."""
        self._entity = AE(ae_title="MODALITY")
        self._entity.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)

    def send(self, study: Sequence[Path], *, seconds: float = 120) -> None:
        """Send one study; what the node does not acknowledge goes again, over a new association."""
        left, started = list(study), time.monotonic()
        while left:
            assert time.monotonic() - started < patient(seconds), self.node.log
            wait_until(lambda: self.node.listening, seconds, "the start of a node")
            association = self._entity.associate("127.0.0.1", self.node.dicom_port, ae_title="HEATPROOF")
            held = association.dul.socket.socket if association.dul.socket else None
            while left and association.is_established:
                dataset = dcmread(left[0])
                try:
                    answer = association.send_c_store(dataset)
                except (RuntimeError, ValueError):  # it ended just now
                    break
                if not answer or answer.Status != 0x0000:
                    break
                self.acknowledged[str(dataset.SOPInstanceUID)] = digest_of(left.pop(0))
            if association.is_established:
                association.release()
            if association.is_alive():
                association.join(patient(5))
            if held is not None:
                held.close()  # of a connection that the other side broke pynetdicom closes nothing

    @contextmanager
    def busy(self, folder: Path) -> Iterator[None]:
        """Send new studies in a thread of its own until the block ends."""
        stop = threading.Event()

        def work() -> None:
            number = 0
            while not stop.wait(0.2) and not self.faults:
                try:
                    self.send(stand_in.write_study_of_blobs(folder / f"{number:05d}", number))
                except BaseException as error:  # noqa: BLE001 - it is raised where the sweep ends
                    self.faults.append(error)
                number += 1

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if self.faults:
            raise self.faults[0]


@dataclass(frozen=True)
class Findings:
    """What is there after everything has come to rest; every list is empty in a node that keeps its promise."""

    studies: int
    lost: list[str]
    """SOP Instance UIDs that were acknowledged and are not in the inbox, byte for byte."""
    without_one_result_set: list[str]
    """Study Instance UIDs of which Orthanc does not hold exactly one capture and one report, those in our store."""
    temporaries: list[str]
    broken_at: int | None
    """First row of the ledger that does not follow from the one before."""


def digest_of(path: Path) -> str:
    """Return SHA-256 of a file's data set as it stands after the file meta information."""
    with path.open("rb") as file:
        meta = dcmread(file, stop_before_pixels=True, specific_tags=[]).file_meta
    start = 132 + 12 + meta.FileMetaInformationGroupLength
    return hashlib.sha256(path.read_bytes()[start:]).hexdigest()


def progress(engine: Engine) -> tuple[int, int, int, int]:
    """Return the counts of studies, of those analysed, of objects made and of objects on their way."""
    finished = select(func.count(jobs.c.study_instance_uid.distinct())).where(jobs.c.finished_at.is_not(None))
    queued = select(func.count()).select_from(deliveries).where(deliveries.c.state == "queued")
    with engine.connect() as connection:
        return (
            connection.scalar(select(func.count()).select_from(studies)) or 0,
            connection.scalar(finished) or 0,
            connection.scalar(select(func.count()).select_from(results)) or 0,
            connection.scalar(queued) or 0,
        )


def wait_for_rest(node: RunningNode, count: int, *, seconds: float = 60) -> None:
    """Wait until so many studies are analysed and their results sent; fail when nothing moves for so long."""
    engine = open_engine(sqlite_url(node.folder / "home"))
    last = progress(engine)
    while not (last[0] == last[1] >= count and last[3] == 0):
        try:
            wait_until(lambda known=last: progress(engine) != known, seconds, f"more than {last} of {count} studies")
        except AssertionError as error:
            error.add_note(node.log[-2000:])
            raise
        last = progress(engine)
    engine.dispose()


def inspect(node: RunningNode, orthanc: OrthancServer, acknowledged: dict[str, str]) -> Findings:
    """Compare what was acknowledged, what the node holds, and what Orthanc holds."""
    home = node.folder / "home"
    engine = open_engine(sqlite_url(home))
    with engine.connect() as connection:
        kept = {row.sop_instance_uid: row for row in connection.execute(select(instances))}
        made = connection.execute(
            select(jobs.c.study_instance_uid, results.c.sop_instance_uid).join(results, results.c.job_id == jobs.c.id)
        ).all()
        all_studies = list(connection.execute(select(studies.c.study_instance_uid)).scalars())
    broken_at = Ledger(engine, b"").verify()
    engine.dispose()
    lost = [
        uid
        for uid, sha256 in acknowledged.items()
        if uid not in kept or kept[uid].sha256 != sha256 or digest_of(home / "inbox" / kept[uid].path) != sha256
    ]
    ours: dict[str, set[str]] = {uid: set() for uid in all_studies}
    for study, sop in made:
        ours[study].add(sop)
    theirs: dict[str, list[str]] = {uid: [] for uid in all_studies}
    for identifier in orthanc.instances():
        tags = orthanc.tags(identifier)
        theirs[tags["StudyInstanceUID"]].append(tags["SOPInstanceUID"])
    wrong = [uid for uid in all_studies if len(theirs[uid]) != 2 or set(theirs[uid]) != ours[uid]]
    files = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    known = {f"inbox/{row.path}" for row in kept.values()}
    stray = {name for name in files if name.startswith("inbox/")} - known
    parts = {name for name in files if name.endswith(".part")}
    return Findings(len(all_studies), lost, wrong, sorted(stray | parts), broken_at)


def sweep(folder: Path, *, kills: int, seed: int = 0) -> Findings:
    """Kill a node so many times under load, let it come to rest, and look."""
    draw = random.Random(seed)
    with OrthancServer() as orthanc:
        node = RunningNode(folder / "node", rules=RULES, quiet_seconds=QUIET_SECONDS)
        node.write_settings(destination_port=orthanc.dicom_port, destination_ae_title=orthanc.aet)
        modality = StandInModality(node)
        with modality.busy(folder / "studies"):
            for number in range(kills):
                process = stand_in.start(node.settings)
                if draw.random() > KILLED_WHILE_STARTING:
                    wait_until(lambda: node.listening, 60, "a start")
                time.sleep(draw.uniform(0.0, LONGEST_LIFE_SECONDS))  # the random moment
                assert process.is_alive(), node.log
                process.kill()
                process.join()
                if number % 10 == 9:
                    print(f"{number + 1} kills, {len(modality.acknowledged)} instances acknowledged", flush=True)
            process = stand_in.start_node(node)
        wait_for_rest(node, len(modality.acknowledged) // stand_in.SLICES)
        process.terminate()
        process.join(patient(60))
        assert process.exitcode == 0, node.log
        return inspect(node, orthanc, modality.acknowledged)


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(Path(folder), kills=arguments.kills, seed=arguments.seed)
    print(
        f"{arguments.kills} kills (seed {arguments.seed}) in {time.monotonic() - began:.0f} s: {found.studies} studies"
    )
    print(f"acknowledged and lost: {len(found.lost)}")
    print(f"studies without exactly one result set in Orthanc: {len(found.without_one_result_set)}")
    print(f"temporaries left: {len(found.temporaries)}")
    print(f"ledger: {'whole' if found.broken_at is None else f'broken at row {found.broken_at}'}")


if __name__ == "__main__":
    main()

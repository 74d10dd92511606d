"""How fast instances are received: ours, Orthanc and DCMTK's storescp, by the same sender, in one run, in turn.

    python -m tests.benchmarks.receive [--rounds 5] [--scale 1.0] [--receivers 1 2 4]

The sender is DCMTK's storescu, one process for each association; TCP_NODELAY=1 is set for every process of DCMTK and
Orthanc (without it Debian's builds wait 43 ms for each instance). Ours answers after two fsyncs of the file system and
one of the database's log; Orthanc syncs its storage area and its index; storescp syncs nothing. Ours is measured once
for each number of processes that receive (``node.receivers``). A run is committed in ``results/receive.txt``.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from node.demo.ports import reserve_port
from tests.hostile import stand_in
from tests.node.running import RunningNode
from tests.patience import wait_until
from tests.peers.orthanc import OrthancServer

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
STORESCP, STORESCU = shutil.which("storescp"), shutil.which("storescu")


@dataclass(frozen=True)
class Kind:
    """One kind of image, and how many of it go over one association, by the number of associations at once."""

    name: str
    sop_class: str
    rows: int
    columns: int
    counts: Mapping[int, int]

    @property
    def megabytes(self) -> float:
        """Of the pixels of one."""
        return self.rows * self.columns * 2 / 1e6


KINDS = (
    Kind("CT 512 x 512 x 2", CTImageStorage, 512, 512, {1: 100, 4: 50}),
    Kind("DX 2500 x 2000 x 2", DigitalXRayImageStorageForPresentation, 2500, 2000, {1: 12, 4: 6}),
)


@dataclass(frozen=True)
class Receiver:
    """A storage SCP on loopback."""

    name: str
    ae_title: str
    port: int


def write(kind: Kind, folder: Path, count: int) -> list[Path]:
    """Write so many instances of noise, of one new series."""
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 4096, (kind.rows, kind.columns), dtype=np.uint16).tobytes()
    study, series = generate_uid(), generate_uid()
    paths = []
    for number in range(count):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = kind.sop_class, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.InstanceNumber = study, series, number + 1
        dataset.PatientID, dataset.PatientName, dataset.Modality = "BENCHMARK", "BENCHMARK", kind.name[:2]
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = kind.rows, kind.columns, 1
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.add_new("PixelData", "OW", pixels)
        paths.append(folder / f"{number:04d}.dcm")
        dcmwrite(paths[-1], dataset, enforce_file_format=True)
    return paths


def send(batches: Sequence[Sequence[Path]], to: Receiver) -> float:
    """Send each batch over an association of its own, all at once; give the seconds until the last has ended.

    The disk is quiet before: whoever comes after storescp, which syncs nothing, would pay for its writes.
    """
    os.sync()
    command = [str(STORESCU), "-R", "--max-pdu", "131072", "-aet", "SENDER", "-aec", to.ae_title, "127.0.0.1"]
    began = time.perf_counter()
    senders = [subprocess.Popen([*command, str(to.port), *map(str, batch)], env=ENVIRONMENT) for batch in batches]
    codes = [sender.wait() for sender in senders]
    seconds = time.perf_counter() - began
    assert not any(codes), f"{to.name}: storescu ended with {codes}"
    return seconds


@contextmanager
def ours(folder: Path, *, receivers: int) -> Iterator[Receiver]:
    """Yield a whole node of ours that never finds a study complete, so that it only receives."""
    home = folder / f"node{receivers}"
    node = RunningNode(home, destination_port=reserve_port(), quiet_seconds=3600, receivers=receivers)
    process = stand_in.start(node.settings)
    try:
        wait_until(lambda: node.listening, 60, "the start of the node")
        yield Receiver(name_of(receivers), "HEATPROOF", node.dicom_port)
    finally:
        process.terminate()
        process.join()


def name_of(receivers: int) -> str:
    """Name a node of ours by the processes that receive."""
    return "heatproof" if receivers == 1 else f"heatproof, {receivers} receivers"


@contextmanager
def orthancs(_folder: Path) -> Iterator[Receiver]:
    """Yield an Orthanc with the configuration that we ship."""
    with OrthancServer(stable_seconds=3600) as server:
        yield Receiver("Orthanc", server.aet, server.dicom_port)


@contextmanager
def storescps(folder: Path) -> Iterator[Receiver]:
    """Yield a storescp as fast as it can be: a process for each association, bytes as they come, large PDUs."""
    port, out = reserve_port(), folder / "storescp"
    out.mkdir()
    options = ["--fork", "+B", "--max-pdu", "131072", "-od", str(out)]
    process = subprocess.Popen([str(STORESCP), *options, str(port)], env=ENVIRONMENT)
    try:
        time.sleep(0.5)
        yield Receiver("storescp", "STORESCP", port)
    finally:
        process.terminate()
        process.wait()


OTHERS: Sequence[Callable[[Path], AbstractContextManager[Receiver]]] = (orthancs, storescps)


def measure(folder: Path, *, rounds: int, scale: float, processes: Sequence[int]) -> Iterator[str]:
    """Run all rounds, and give the table line by line."""
    yield "| images | associations | receiver | instances/s (median, range) | MB/s | to Orthanc | to storescp |"
    yield "|---|---|---|---|---|---|---|"
    with ExitStack() as stack:
        receivers = [stack.enter_context(ours(folder, receivers=count)) for count in processes]
        receivers += [stack.enter_context(make(folder)) for make in OTHERS]
        for kind in KINDS:
            for associations, count in kind.counts.items():
                each = max(round(count * scale), 2)
                rates: dict[str, list[float]] = {receiver.name: [] for receiver in receivers}
                for number in range(rounds + 1):
                    at = folder / "sent" / f"{kind.name[:2]}{associations}{number}"
                    batches = [write(kind, at / str(batch), each) for batch in range(associations)]
                    turn = number % len(receivers)
                    for receiver in (*receivers[turn:], *receivers[:turn]):
                        rate = associations * each / send(batches, receiver)
                        if number:  # the first round warms up
                            rates[receiver.name].append(rate)
                    shutil.rmtree(at)
                yield from lines(kind, associations, rates)


def lines(kind: Kind, associations: int, rates: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Yield the rows of one setting; a ratio is the median over the rounds, each within one round."""
    for name, found in rates.items():
        median = statistics.median(found)
        ratios = " | ".join(
            f"{statistics.median(mine / theirs for mine, theirs in zip(found, rates[other], strict=True)):.2f}"
            for other in ("Orthanc", "storescp")
        )
        yield (
            f"| {kind.name} | {associations} | {name} | {median:.0f} ({min(found):.0f} to {max(found):.0f}) "
            f"| {median * kind.megabytes:.0f} | {ratios} |"
        )


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of instances")
    parser.add_argument("--receivers", type=int, nargs="+", default=[1, 2, 4], help="processes of ours that receive")
    arguments = parser.parse_args()
    print(f"python -m tests.benchmarks.receive {' '.join(sys.argv[1:])} ({os.cpu_count()} cores)\n")
    with tempfile.TemporaryDirectory() as folder:
        for line in measure(
            Path(folder), rounds=arguments.rounds, scale=arguments.scale, processes=arguments.receivers
        ):
            print(line, flush=True)


if __name__ == "__main__":
    main()

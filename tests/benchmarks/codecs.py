"""One series through a live node in every coding a PACS may hold it in: the same answer each time.

``python -m tests.benchmarks.codecs [--json]`` (DCMTK and the development images are needed)

Each coding carries three studies: the single images as they are; their order shuffled, Instance Number removed, beside
a second series that is fine; and one enhanced object. Of each study one line: the reports that came back, whether they
say the findings and probabilities of the uncompressed series, and how many instances were read and set apart. Two
codings are not among them: no free encoder of HTJ2K is at hand, and a node accepts nothing deflated, because 1 MB of it
can become gigabytes. A run is committed in ``codecs.txt``.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, generate_uid

from node.demo.pacs import FilingScp
from tests.inference.reading.files import change, enhanced
from tests.node.jobs.answers import reports_of, said, texts
from tests.node.running import RULES, RunningNode
from tests.odd_cases import write_odd_cases
from tests.patience import wait_until


def _by(*command: str) -> Callable[[Path], None]:
    """Code a file in place with a program of DCMTK."""

    def code(path: Path) -> None:
        coded = path.with_suffix(".coded")
        subprocess.run([*command, str(path), str(coded)], check=True, capture_output=True)
        coded.replace(path)

    return code


def _jpeg_2000(path: Path) -> None:
    """Code a file in place as JPEG 2000, without loss."""
    dataset = dcmread(path)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


CODINGS: dict[str, Callable[[Path], None]] = {
    "explicit little endian": _by("dcmconv", "+te"),
    "implicit little endian": _by("dcmconv", "+ti"),
    "explicit big endian": _by("dcmconv", "+tb"),
    "RLE": _by("dcmcrle"),
    "JPEG lossless, first-order": _by("dcmcjpeg", "--encode-lossless-sv1", "--true-lossless"),
    "JPEG lossless, process 14": _by("dcmcjpeg", "--encode-lossless", "--true-lossless"),
    "JPEG-LS lossless": _by("dcmcjpls", "--encode-lossless"),
    "JPEG 2000 lossless": _jpeg_2000,
}
KINDS = ("single images", "shuffled, beside a second series", "enhanced")


@dataclass(frozen=True)
class Answer:
    """What became of one study."""

    coding: str
    kind: str
    transfer_syntax: str
    sent: int
    reports: int
    same: bool
    """Whether every report says the findings and probabilities of the uncompressed series."""
    counts: str
    """What the first report says of the instances."""


def _study(source: list[Path], folder: Path, kind: str, coding: str) -> list[Path]:
    """Write the series as one study, coded; the second series stays uncompressed."""
    folder.mkdir(parents=True)
    study = generate_uid(entropy_srcs=[coding, kind])
    paths = [_copied(path, folder / f"{index}.dcm", study, "first") for index, path in enumerate(source)]
    second = []
    if kind == KINDS[1]:
        paths = [change(path, InstanceNumber=None) for path in paths]
        second = [_copied(path, folder / f"second-{index}.dcm", study, "second") for index, path in enumerate(source)]
    if kind == KINDS[2]:
        paths = [enhanced(paths)]
    for path in paths:
        CODINGS[coding](path)
    together = [*paths, *second]
    return [together[index] for index in np.random.default_rng(0).permutation(len(together))]


def _copied(path: Path, to: Path, study: str, series: str) -> Path:
    to.write_bytes(path.read_bytes())
    uids = {
        "SeriesInstanceUID": generate_uid(entropy_srcs=[study, series]),
        "SOPInstanceUID": generate_uid(entropy_srcs=[study, series, path.name]),
    }
    return change(to, StudyInstanceUID=study, **uids)


def measure(folder: Path) -> list[Answer]:
    """Send every study to one node and read the reports that come back."""
    source = sorted((write_odd_cases(folder / "odd") / "plain").glob("*.dcm"))
    studies = {
        (coding, kind): _study(source, folder / f"study-{number}-{place}", kind, coding)
        for number, coding in enumerate(CODINGS)
        for place, kind in enumerate(KINDS)
    }
    expected = sum(1 + (kind == KINDS[1]) for _, kind in studies)
    with (
        FilingScp(folder / "pacs") as pacs,
        RunningNode(folder / "node", destination_port=pacs.port, rules=RULES) as node,
    ):
        for paths in studies.values():
            if set(node.send(paths)) != {0x0000}:
                raise SystemExit(f"An instance was refused:\n{node.log}")
        wait_until(lambda: len(reports_of(pacs)) >= expected and node.delivered, 900, "an answer for each study")
        reports = [dcmread(path) for path in reports_of(pacs)]
    told = {str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID): key for key, paths in studies.items()}
    by_study: dict[tuple[str, str], list[str]] = {key: [] for key in studies}
    for report in reports:
        by_study[told[str(report.StudyInstanceUID)]].append("\n".join(texts(report)))
    reference = said(by_study[next(iter(studies))][0])
    return [_answer(key, paths, by_study[key], reference) for key, paths in studies.items()]


def _answer(key: tuple[str, str], paths: list[Path], reports: list[str], reference: list[str]) -> Answer:
    coded = next(path for path in paths if not path.name.startswith("second"))
    syntax = dcmread(coded, stop_before_pixels=True).file_meta.TransferSyntaxUID
    counts = next((line for line in reports[0].splitlines() if "set apart" in line), "") if reports else ""
    same = bool(reports) and all(said(report) == reference for report in reports)
    return Answer(*key, str(syntax), len(paths), len(reports), same, counts)


def main() -> None:
    """Print one line a study, and how many differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        answers = measure(Path(folder))
    if arguments.json:
        print(json.dumps([asdict(answer) for answer in answers], indent=1))
        return
    for answer in answers:
        verdict = "same answer" if answer.same else "DIFFERS"
        print(f"{answer.coding:27} {answer.kind:33} {answer.transfer_syntax:24} {answer.reports} reports  {verdict}")
        print(f"    {answer.sent} sent; {answer.counts}")
    print(f"{sum(answer.same for answer in answers)} of {len(answers)} studies have the uncompressed series' answer")


if __name__ == "__main__":
    main()

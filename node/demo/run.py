"""The demo: start the node and a PACS, send studies, wait for the results, and show them beside the truth."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from node.demo.host import QUIET_SECONDS, DemoNode, is_delivered
from node.demo.outcome import FiledResult, Row, file_results, repeated_row, rows_of
from node.demo.pacs import send, start_pacs, wait
from node.demo.studies import DemoStudy, eight_studies, own_studies
from node.progress_bars import progress_bars

LONGEST_SECONDS = 240
TRUST_CAPTION = (
    "P: that the map's peak lies in a true finding, calibrated on phantoms; of TRUSTED maps at most 10 % miss, at 90 % "
    "confidence. P has no interval of its own. A map that is WITHHELD is not drawn."
)
RIGHT = {True: "[green]yes[/green]", False: "[bold red]NO: peak outside[/bold red]"}
MISSED = "[bold red]NO: missed[/bold red]"
NARROWEST = 150
"""Columns of the table where the output is no terminal."""


def run(out: Path, own: Path | None) -> int:
    """Run the demo below ``out``; give the exit status."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=NARROWEST)
    began = time.monotonic()
    work = out / "work"
    for old in (work, out / "results"):
        shutil.rmtree(old, ignore_errors=True)
    with progress_bars(console) as progress:
        studies = _prepare(work, own, progress)
        once, again = [s for s in studies if not s.repeated], [s for s in studies if s.repeated]
        with start_pacs(work / "pacs") as pacs, DemoNode(work / "node", pacs) as node:
            refused = _send(once, node, progress, f"sending to heatproof; results go to {pacs.description}")
            _await_results(node, progress)
            before = set(pacs.received())
            _send(again, node, progress, "sending one of them again")
            time.sleep(2 * QUIET_SECONDS if again else 0)
            new = set(pacs.received()) - before
            filed = file_results(pacs.received(), once, out / "results")
            answers = node.studies()
    rows = [
        row for study in once for row in rows_of(study, _jobs_of(study, answers, filed), filed, refused[study.name])
    ]
    rows += [repeated_row(study, len(new)) for study in again]
    (out / "summary.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    console.print(_table(rows))
    console.print(_epilogue(rows, out, time.monotonic() - began))
    return 0


def _prepare(work: Path, own: Path | None, progress: Progress) -> Sequence[DemoStudy]:
    task = progress.add_task("reading your study" if own else "making the reference objects", total=1)
    studies = own_studies(own) if own else eight_studies(work / "studies")
    progress.advance(task)
    return studies


def _send(studies: Sequence[DemoStudy], node: DemoNode, progress: Progress, what: str) -> dict[str, list[int]]:
    """Send all; give the statuses other than success by name of the study."""
    task = progress.add_task(what, total=sum(len(study.files) for study in studies))
    refused: dict[str, list[int]] = {}
    for study in studies:
        statuses = send(
            study.files, port=node.port, called_ae_title="HEATPROOF", progress=lambda: progress.advance(task)
        )
        refused[study.name] = [status for status in statuses.values() if status != 0]
    return refused


def _await_results(node: DemoNode, progress: Progress) -> None:
    task = progress.add_task("classifying, explaining, delivering", total=None)

    def done() -> bool:
        studies = node.studies()
        finished = [study for study in studies if is_delivered(study)]
        progress.update(task, total=len(studies), completed=len(finished))
        return bool(studies) and len(finished) == len(studies)

    wait(done, LONGEST_SECONDS, "Not every result arrived")


def _jobs_of(
    study: DemoStudy, answers: Sequence[Mapping[str, Any]], filed: Mapping[str, FiledResult]
) -> list[Mapping[str, Any]]:
    """Find the study in the API's answer by the objects that came back for it: the API names no Study Instance UID."""
    own = {uid for uid, result in filed.items() if result.header.StudyInstanceUID == study.study_instance_uid}
    jobs = [job for answer in answers for job in answer["jobs"]]
    return [job for job in jobs if any(result["sop_instance_uid"] in own for result in job["results"])]


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="What came back", caption="NOT FOR DIAGNOSTIC USE. " + TRUST_CAPTION)
    for heading in ("study", "truth", "bundle", "what was said", "method", "score", "verdict", "right?"):
        table.add_column(heading)
    for row in rows:
        probability = "" if row.probability is None else f" {row.probability:.3f}"
        said = f"{row.result}{probability}" + (f", plane {row.plane}" if row.picture else f" {row.plane}")
        right = "" if row.right is None else RIGHT[row.right] if row.picture or row.right else MISSED
        table.add_row(row.study, row.truth, row.bundle, said, row.method, row.trust, row.verdict, right)
    return table


def _epilogue(rows: Sequence[Row], out: Path, seconds: float) -> str:
    lines = [f"{row.study}: {row.result}, because {escape(row.reason)}" for row in rows if row.reason]
    for bundle in sorted({row.bundle for row in rows if row.picture and row.right is not None}):
        judged = [row for row in rows if row.bundle == bundle and row.picture]
        hits = sum(bool(row.right) for row in judged)
        lines.append(f"{bundle}: the map's peak lay in a true lesion in {hits} of {len(judged)} maps")
    pictures = [row.picture for row in rows if row.picture]
    lines.append(f"The results are in {out / 'results'}, the table is in {out / 'summary.json'}.")
    lines.append(f"{len(pictures)} overlays; look at {pictures[0]}" if pictures else "There is no overlay.")
    return "\n".join([*lines, f"{seconds:.0f} s in all."])

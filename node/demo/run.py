"""The demo: start the node and a PACS, send, wait for what comes back, and show it beside the truth."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from node.demo.host import QUIET_SECONDS, DemoNode, is_delivered
from node.demo.outcome import FiledResult, Row, file_results, repeated_row, rows_of
from node.demo.pacs import send, start_pacs, wait
from node.demo.studies import DemoStudy, eight_studies, own_study

LONGEST_SECONDS = 240
TRUST_CAPTION = (
    "a*: agreement of the map with those of two other trainings, 0 as for different patients, 1 identical; "
    "its interval is that of the null. It is not a probability that the map is right."
)
STYLES = {"yes": "[green]yes[/green]", "no": "[bold red]NO (a miss)[/bold red]"}


def run(out: Path, own: Path | None) -> int:
    """Run the demo below ``out``; give the exit status."""
    console = Console()
    began = time.monotonic()
    work = out / "work"
    for old in (work, out / "results"):
        shutil.rmtree(old, ignore_errors=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        studies = _prepare(work, own, progress)
        once, again = [s for s in studies if not s.repeated], [s for s in studies if s.repeated]
        with start_pacs(work / "pacs") as pacs, DemoNode(work / "node", pacs) as node:
            refused = _send(once, node, progress, f"sending to heatproof; results go to {pacs.description}")
            _await_results(node, progress)
            before = set(pacs.received())
            _send(again, node, progress, "sending one of them again")
            time.sleep(2 * QUIET_SECONDS if again else 0)
            new = set(pacs.received()) - before
            filed = file_results(pacs.received(), out / "results")
            answers = node.studies()
    rows = [
        row for study in once for row in rows_of(study, _jobs_of(study, answers, filed), filed, refused[study.name])
    ]
    rows += [repeated_row(study, len(new)) for study in again]
    (out / "summary.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    console.print(_table(rows, truth=own is None))
    console.print(_epilogue(rows, out, time.monotonic() - began))
    return 0


def _prepare(work: Path, own: Path | None, progress: Progress) -> Sequence[DemoStudy]:
    task = progress.add_task("reading your study" if own else "making the reference objects", total=1)
    studies = own_study(own) if own else eight_studies(work / "studies")
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


def _table(rows: Sequence[Row], *, truth: bool) -> Table:
    table = Table(title="What came back", caption="NOT FOR DIAGNOSTIC USE. " + TRUST_CAPTION, show_lines=False)
    for heading in ("study", "bundle", "result", "plane", "probability", "method", "agreement a*", "verdict"):
        table.add_column(heading, overflow="fold")
    if truth:
        table.add_column("peak in the true lesion?")
    for row in rows:
        probability = "" if row.probability is None else f"{row.probability:.3f}"
        cells = [row.study, row.bundle, row.result, row.plane, probability, row.method, row.trust, row.verdict]
        table.add_row(*cells, *([STYLES.get(row.peak_in_lesion, "")] if truth else []))
        if row.reason:
            table.add_row("", "", f"[dim]{escape(row.reason)}[/dim]")
    return table


def _epilogue(rows: Sequence[Row], out: Path, seconds: float) -> str:
    lines = []
    for bundle in sorted({row.bundle for row in rows if row.peak_in_lesion}):
        judged = [row for row in rows if row.bundle == bundle and row.peak_in_lesion]
        hits = sum(row.peak_in_lesion == "yes" for row in judged)
        lines.append(f"{bundle}: the peak lay in the true lesion in {hits} of {len(judged)} maps")
    pictures = [row.picture for row in rows if row.picture]
    lines.append(f"All that came back is in {out / 'results'}, the table is in {out / 'summary.json'}.")
    lines.append(f"{len(pictures)} overlays; look at {pictures[0]}" if pictures else "There is no overlay.")
    return "\n".join([*lines, f"{seconds:.0f} s in all."])

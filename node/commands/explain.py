"""`heatproof explain`: what the node does for a study, done for files: no network, no database."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from inference.analyse import analyse, with_study_answer
from inference.analysis import Analysis
from inference.bundle.bundle import Bundle
from inference.bundle.discovery import load_anywhere
from inference.bundle.manifest import ClassEntry
from inference.errors import NotAnalysed, Refused, UnreadableInstance, UnsupportedImage
from inference.options import AnalysisOptions
from inference.reading.account import Disposition
from inference.reading.image import Image
from inference.saliency import method_named
from inference.selection import StudySelection, select_stacks
from inference.trust.warrant import Warrant
from node.jobs.summary import account_of, summarise
from reports.explained import read_header
from reports.objects.results import ResultObject, write_not_analysed, write_results
from reports.wording import account_sentences, percent

_WIDEST = 1000
"""Columns that a table is laid out in to learn how wide it is."""


def explain_files(
    path: Path,
    bundle_name: str,
    out: Path,
    *,
    method: str | None,
    planes_explained: int,
    device: str,
    warrant: Warrant | None = None,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Analyse every stack below ``path`` and write everything to ``out``.

    Args:
        path: one DICOM file, or a folder of one study.
        bundle_name: name of a shipped bundle, or the folder of one.
        out: gets DICOM objects, PNG previews, raw maps as ``.npy`` and ``result.json``.
        method: saliency method; None: the bundle's own.
        planes_explained: how many planes of a finding get a map.
        device: auto, cpu, cuda or cuda:N.
        warrant: of what commissioning wrote for this bundle; None: no verdict.
        progress: told what is being done.

    Returns:
        What ``result.json`` holds: the account of every instance, and one entry for each stack.

    Raises:
        UnsupportedImage: nothing below ``path`` is a readable image.
        UnknownName: no such bundle or method.
        Refused: ``out`` cannot be made.
        BundleRefused: the bundle is not sealed, or altered.
    """
    bundle = load_anywhere(bundle_name)
    method_named(method or bundle.manifest.method)
    _make_folder(out)
    identity = "" if warrant is None else warrant.identity
    options = AnalysisOptions(method=method, planes_explained=planes_explained, device=device, warrant=identity)
    files = _files(path)
    progress(f"reading {len(files)} files")
    created = datetime.now(UTC)
    selection = select_stacks(files, bundle)
    account = account_sentences(selection.reading)
    analyses, unsuitable = _analysed(selection.reading.images, bundle, options, warrant, progress)
    series = [
        _one_stack(analysis, bundle.manifest.classes, out / f"series-{number}", created, account, progress)
        for number, analysis in enumerate(analyses, start=1)
    ]
    declined = [*unsuitable, *_declined(selection, bundle, files)]
    series += [
        _not_analysed(paths, out / f"series-{number}", reason, created, account)
        for number, (reason, paths) in enumerate(declined, start=len(series) + 1)
    ]
    result = {
        "heatproof": "NOT FOR DIAGNOSTIC USE",
        "created": created.isoformat(),
        "reading": account_of(selection.reading),
        "series": series,
    }
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def _make_folder(out: Path) -> None:
    """Make the folder of the results before anything is computed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cure = "Name a folder by --out that can be made."
        raise Refused(f"The results cannot be written to {out} ({error.strerror}).", cure=cure) from error


def _declined(selection: StudySelection, bundle: Bundle, files: Sequence[Path]) -> list[tuple[str, tuple[Path, ...]]]:
    """Return what is not analysed, with the reason and its files; where nothing is, the study as a whole."""
    declined = [(stack.reason, stack.paths) for stack in selection.declined]
    if selection.reading.images or declined:
        return declined
    reasons = selection.reading.reasons(Disposition.NOT_MEANT, Disposition.SET_APART)
    reason = f"{bundle.manifest.name} analyses no series of this study. {' '.join(reasons)}"
    return [(reason, tuple(path for path in files if _is_named(path)))]


def _files(path: Path) -> tuple[Path, ...]:
    files = (path,) if path.is_file() else tuple(sorted(file for file in path.rglob("*") if file.is_file()))
    if not files:
        raise UnsupportedImage(f"There is no file in {path}.", cure="Name a DICOM file or a folder with one study.")
    return files


def _analysed(
    images: Sequence[Image],
    bundle: Bundle,
    options: AnalysisOptions,
    warrant: Warrant | None,
    progress: Callable[[str], None],
) -> tuple[tuple[Analysis, ...], list[tuple[str, tuple[Path, ...]]]]:
    """Analyse the stacks of a study; return also what could not be, with the reason and its files."""
    analyses: list[Analysis] = []
    unsuitable: list[tuple[str, tuple[Path, ...]]] = []
    for image in images:
        try:
            analyses.append(analyse(image, bundle, options, progress=progress, warrant=warrant))
        except NotAnalysed as error:
            unsuitable.append((str(error), tuple(dict.fromkeys(frame.path for frame in image.frames))))
    return with_study_answer(bundle, analyses), unsuitable


def _one_stack(
    analysis: Analysis,
    classes: Sequence[ClassEntry],
    out: Path,
    created: datetime,
    account: Sequence[str],
    progress: Callable[[str], None],
) -> dict[str, Any]:
    progress("writing DICOM objects")
    written = write_results(analysis, out, created=created, account=account)
    summary = summarise((analysis,), (written,))
    for number, (shown, item) in enumerate(zip(analysis.explanations, summary["explanations"], strict=True), start=1):
        raw = out / f"map-{number}.npy"
        np.save(raw, shown.map.values, allow_pickle=False)
        item["raw_map"] = str(raw)
        item["parameters"] = dict(shown.map.parameters)
        item["layer"] = shown.map.layer
        item["seconds"] = shown.map.seconds
        item["picture"] = next(
            str(written_object.preview_path)
            for written_object in written
            if written_object.sop_instance_uid == item["capture"]
        )
    nearest = _nearest(analysis, classes)
    return {**summary, "nearest": nearest, **_provenance(analysis), "objects": _objects(written)}


def _not_analysed(
    paths: Sequence[Path], out: Path, reason: str, created: datetime, account: Sequence[str]
) -> dict[str, Any]:
    written = write_not_analysed(paths, out, reason=reason, created=created, account=account)
    return {"not_analysed": reason, "objects": _objects(written)}


def _is_named(path: Path) -> bool:
    """Whether a file is DICOM and says of which study it is, so that a report can refer to it."""
    try:
        header = read_header(path)
    except UnreadableInstance:
        return False
    needed = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
    return all(str(header.get(keyword) or "") for keyword in needed)


def _provenance(analysis: Analysis) -> dict[str, Any]:
    return {
        "probabilities": analysis.classification.probabilities.tolist(),
        "classes": list(analysis.classification.labels),
        "fingerprint": asdict(analysis.fingerprint),
        "source_digest": analysis.image.digest,
        "settings_digest": analysis.settings_digest,
        "weights_digest": analysis.bundle.weights_digest,
    }


def _nearest(analysis: Analysis, classes: Sequence[ClassEntry]) -> dict[str, Any]:
    """Return the finding that came nearest to its threshold, and its plane, from 0; a volume has none."""
    probabilities = analysis.classification.probabilities
    thresholds = np.array([entry.threshold if entry.finding else np.inf for entry in classes])
    plane, index = map(int, np.unravel_index(np.argmax(probabilities / thresholds), probabilities.shape))
    return {
        "label": classes[index].name,
        "probability": float(probabilities[plane, index]),
        "threshold": classes[index].threshold,
        "plane": plane if len(probabilities) > 1 else None,
    }


def _objects(written: tuple[ResultObject, ...]) -> list[dict[str, str]]:
    return [{"role": item.role, "sop_instance_uid": item.sop_instance_uid, "path": str(item.path)} for item in written]


def print_result(result: dict[str, Any], console: Console) -> None:
    """Print what was found in each stack, and what became of every instance."""
    for stack in result["series"]:
        _print_stack(stack, console)
    reading = result["reading"]
    console.print(
        f"Instances: {reading['read']} read, {reading['set_apart']} set apart, "
        f"{reading['not_meant']} not meant for this bundle."
    )
    for name in ("set_apart", "not_meant"):
        for reason in reading[f"{name}_reasons"]:
            console.print(f"  {name.replace('_', ' ')}: {reason}", highlight=False, markup=False)
    for warning in reading["warnings"]:
        console.print(f"Warning: {warning}", highlight=False, markup=False)


def _print_stack(stack: dict[str, Any], console: Console) -> None:
    if stack.get("not_analysed"):
        console.print(f"Not analysed: {stack['not_analysed']}", markup=False)
        return
    for known in stack["stacks"]:
        told = (known["stack"] and f"Stack: {known['stack']}.", *known["sentences"], known["partly_read"])
        for words in filter(None, (*told, *known["remarks"])):
            console.print(f"{stack['bundle']['name']}: {words}", highlight=False, markup=False)
    if not stack["explanations"]:
        nearest = stack["nearest"]
        place = "" if nearest["plane"] is None else f" on plane {nearest['plane'] + 1}"
        score = f"{nearest['probability']:.3f} of {nearest['threshold']:g}"
        sentence = f"Nearest to its threshold: {nearest['label']}, {score}{place}."
        console.print(sentence, highlight=False, markup=False)
        return
    rows = [_fields(item) for item in stack["explanations"]]
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(Text, row.values()))
    wide = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    if wide <= console.width:
        console.print(table)
    else:
        for row in rows:
            _print_fields(row, console)
    for item in stack["explanations"][:1]:
        for signal in item["signals"]:
            console.print(f"  {signal['meaning']}: {signal['value']:.2f}", highlight=False)


def _fields(item: dict[str, Any]) -> dict[str, str]:
    """Return one map as a row of the table."""
    return {
        "class": item["label"],
        "plane": f"{item['frame'] + 1} of {item['planes']}",
        "probability": f"{item['probability']:.3f}",
        "class is right": "not calibrated" if item["class_probability"] is None else percent(item["class_probability"]),
        "method": item["method"],
        "peak (row, column)": str(tuple(item["peak"])),
        "verdict": item["verdict"],
        "picture": item["picture"],
    }


def _print_fields(row: dict[str, str], console: Console) -> None:
    """Print one map as a list of fields, for a terminal too narrow for the table: wrapped at words, a path never."""
    *words, (last, path) = row.items()
    longest = max(map(len, row))
    fields = Table.grid(padding=(0, 2, 0, 0))
    fields.add_column(min_width=longest, no_wrap=True)
    fields.add_column()
    for name, value in words:
        fields.add_row(name, Text(value))
    console.print(fields)
    console.print(Text(f"{last:<{longest}}  {path}\n"), soft_wrap=True)

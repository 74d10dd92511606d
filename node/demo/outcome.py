"""The results of each study, read from the returned DICOM objects and the node's API, beside the truth."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image as Picture
from pydicom import Dataset, dcmread

from inference.phantom.phantom import Phantom
from node.demo.studies import DemoStudy

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class FiledResult:
    """One returned object."""

    header: Dataset
    path: Path
    picture: Path | None


@dataclass(frozen=True)
class Row:
    """One line of the demo's table: one map, or one study without any."""

    study: str
    truth: str
    """What is true of the patient, or of the files."""
    result: str
    """The class found, "nothing found", "no statement", "not analysed", "refused" or "nothing new"."""
    bundle: str = ""
    plane: str = ""
    probability: float | None = None
    method: str = ""
    trust: str = ""
    """P by the passport, where there is one."""
    verdict: str = ""
    right: bool | None = None
    """Whether the map's peak lies in a true lesion, or nothing was found where nothing is; None: truth not known."""
    reason: str = ""
    dicom: str = ""
    picture: str = ""


def file_results(received: Mapping[str, Path], studies: Sequence[DemoStudy], folder: Path) -> dict[str, FiledResult]:
    """Copy what the PACS got to ``folder``, with a PNG of every capture made from its own pixels.

    Returns:
        By SOP Instance UID.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = {study.study_instance_uid: study.name.replace(" ", "-") for study in studies if study.files}
    filed: dict[str, FiledResult] = {}
    for uid, source in received.items():
        dataset = dcmread(source)
        kind = "overlay" if dataset.SOPClassUID == CAPTURE else "report"
        path = folder / f"{names.get(dataset.StudyInstanceUID, 'other')}-{kind}-{uid[-8:]}.dcm"
        shutil.copyfile(source, path)
        picture = path.with_suffix(".png") if kind == "overlay" else None
        if picture is not None:
            Picture.fromarray(dataset.pixel_array).save(picture)
        filed[uid] = FiledResult(dataset, path, picture)
    return filed


def rows_of(
    study: DemoStudy, jobs: Sequence[Mapping[str, Any]], filed: Mapping[str, FiledResult], refused: Sequence[int]
) -> list[Row]:
    """Return the table's lines of one study."""
    rows: list[Row] = []
    if refused:
        reason = f"{len(refused)} of {len(study.files)} instances got status 0x{refused[0]:04X}"
        rows.append(Row(study.name, study.truth, "refused", reason=reason))
    for job in jobs:
        uids = [result["sop_instance_uid"] for result in job["results"]]
        report = next((str(filed[uid].path) for uid in uids if uid in filed and not filed[uid].picture), "")
        base = Row(study.name, study.truth, str(job["state"]), bundle=job["bundle"], dicom=report)
        rows.extend(_rows_of_job(study, base, job, filed))
    return rows


def repeated_row(study: DemoStudy, new_objects: int) -> Row:
    """Return the line of a study that was sent a second time."""
    result = f"{new_objects} new objects" if new_objects else "nothing new"
    return Row(study=study.name, truth=study.truth, result=result)


def _rows_of_job(study: DemoStudy, base: Row, job: Mapping[str, Any], filed: Mapping[str, FiledResult]) -> list[Row]:
    summary = job["summary"]
    if not summary:
        return [replace(base, reason=str(job["reason"] or "").splitlines()[0])]
    if not summary["explanations"]:
        right = None if study.phantom is None or not summary["nothing_found"] else not study.phantom.lesions
        result = "nothing found" if summary["nothing_found"] else "no statement"
        return [replace(base, result=result, plane=f"in {summary['planes']} planes", right=right)]
    return [_explained(study, base, item, filed[item["capture"]]) for item in summary["explanations"]]


def _explained(study: DemoStudy, base: Row, item: Mapping[str, Any], capture: FiledResult) -> Row:
    row, column = item["peak"]
    return replace(
        base,
        result=item["label"],
        plane=f"{item['frame'] + 1} of {item['planes']}",
        probability=item["probability"],
        method=item["method"],
        trust=_trust(item),
        verdict=item["verdict"],
        right=_inside(study.phantom, item["frame"], row, column),
        dicom=str(capture.path),
        picture=str(capture.picture),
    )


def _inside(truth: Phantom | None, plane: int, row: int, column: int) -> bool | None:
    return None if truth is None else bool(truth.masks[plane, row, column])


def _trust(item: Mapping[str, Any]) -> str:
    """Return P that the peak lies in a true finding, by the passport; without one there is none."""
    return "no score" if item["score"] is None else f"P {item['score']:.2f}"

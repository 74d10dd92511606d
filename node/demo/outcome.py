"""What came back for each study, read from the returned DICOM objects and the node's API, beside the truth."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture
from pydicom import Dataset, dcmread

from inference.phantom import Phantom
from node.demo.studies import DemoStudy

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class FiledResult:
    """One object that came back."""

    header: Dataset
    path: Path
    picture: Path | None


@dataclass(frozen=True)
class Row:
    """One line of the demo's table: one map, or one study without any."""

    study: str
    expected: str
    result: str
    """The class found, "nothing found", "not analysed", "refused" or "nothing new"."""
    bundle: str = ""
    plane: str = ""
    probability: float | None = None
    method: str = ""
    trust: str = ""
    """The first signal in words: nothing here is calibrated."""
    verdict: str = ""
    peak_in_lesion: str = ""
    """yes, no, or empty where the truth is not known."""
    reason: str = ""
    dicom: str = ""
    picture: str = ""


def file_results(received: Mapping[str, Path], folder: Path) -> dict[str, FiledResult]:
    """Copy what the PACS got to ``folder``, with a PNG of every capture made from its own pixels.

    Returns:
        By SOP Instance UID.
    """
    folder.mkdir(parents=True, exist_ok=True)
    filed: dict[str, FiledResult] = {}
    for uid, source in received.items():
        dataset = dcmread(source)
        kind = "overlay" if dataset.SOPClassUID == CAPTURE else "report"
        path = folder / f"{dataset.get('PatientID', 'unknown')}-{kind}-{uid[-8:]}.dcm"
        shutil.copyfile(source, path)
        picture = path.with_suffix(".png") if kind == "overlay" else None
        if picture is not None:
            Picture.fromarray(dataset.pixel_array).save(picture)
        filed[uid] = FiledResult(dataset, path, picture)
    return filed


def rows_of(
    study: DemoStudy, jobs: Sequence[Mapping[str, Any]], filed: Mapping[str, FiledResult], refused: Sequence[int]
) -> list[Row]:
    """Give the table's lines of one study."""
    rows: list[Row] = []
    if refused:
        reason = f"{len(refused)} of {len(study.files)} instances: status 0x{refused[0]:04X}"
        rows.append(Row(study=study.name, expected=study.expectation, result="refused", reason=reason))
    for job in jobs:
        uids = [result["sop_instance_uid"] for result in job["results"]]
        report = next((str(filed[uid].path) for uid in uids if uid in filed and not filed[uid].picture), "")
        common = {"study": study.name, "expected": study.expectation, "bundle": job["bundle"], "dicom": report}
        summary = job["summary"]
        if not summary:
            rows.append(Row(result=str(job["state"]), reason=str(job["reason"] or ""), **common))
        elif summary["nothing_found"]:
            rows.append(Row(result="nothing found", plane=f"{summary['planes']} planes", **common))
        explanations = (summary or {}).get("explanations", [])
        rows.extend(_explained(study, item, filed, {**common, "method": item["method"]}) for item in explanations)
    return rows


def repeated_row(study: DemoStudy, new_objects: int) -> Row:
    """Give the line of a study that was sent a second time."""
    result = f"{new_objects} new objects" if new_objects else "nothing new"
    return Row(study=study.name, expected=study.expectation, result=result)


def _explained(
    study: DemoStudy,
    item: Mapping[str, Any],
    filed: Mapping[str, FiledResult],
    common: Mapping[str, str],
) -> Row:
    capture = filed[item["capture"]]
    row, column = item["peak"]
    values = {**common, "dicom": str(capture.path), "picture": str(capture.picture)}
    return Row(
        result=item["label"],
        plane=f"{item['frame'] + 1} of {item['planes']}",
        probability=item["probability"],
        trust=_first_signal(item["signals"]),
        verdict=item["verdict"],
        peak_in_lesion=_inside(study.truth, item["frame"], row, column),
        **values,
    )


def _inside(truth: Phantom | None, plane: int, row: int, column: int) -> str:
    if truth is None:
        return ""
    mask: np.ndarray[Any, np.dtype[np.bool_]] = truth.masks[plane]
    return "yes" if bool(mask[row, column]) else "no"


def _first_signal(signals: Sequence[Mapping[str, Any]]) -> str:
    """Agreement with the replicates, against its null: the first honest number."""
    signal = next((one for one in signals if one["referenced"] is not None), None)
    if signal is None:
        return "none"
    low, high = signal["referenced_interval"] or (float("nan"), float("nan"))
    return f"a* {signal['referenced']:.2f} [{low:.2f}, {high:.2f}]"

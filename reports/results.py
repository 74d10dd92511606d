"""Everything one job writes: DICOM files and previews in a folder, whole or not at all, the same bytes every time."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Literal

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from inference.analysis import Analysis
from reports.capture import Source, capture
from reports.library import Reference
from reports.overlay import draw_overlay, preview_png
from reports.structured import analysis_report, not_analysed_report
from reports.subject import orientation, read_header

Role = Literal["capture", "report"]


@dataclass(frozen=True)
class ResultObject:
    """One object that was written."""

    role: Role
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    path: Path
    preview_path: Path | None
    """PNG of a capture."""
    sha256: str
    """Of the file at ``path``."""


def write_results(
    analysis: Analysis,
    folder: Path,
    *,
    created: datetime,
    predecessors: Sequence[Reference] = (),
    missing: str = "",
) -> tuple[ResultObject, ...]:
    """Write a capture for each explanation, then the report that refers to them.

    Args:
        analysis: what was found; its source files are read again for patient and study.
        folder: made where it does not exist.
        created: stored once by the caller: the same moment gives the same bytes.
        predecessors: earlier reports of the same study that this one replaces.
        missing: what the study has not, although it was expected; the report says so.

    Raises:
        UnreadableInstance: a source file is gone or no longer DICOM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    replaces = bool(predecessors)
    captures = [
        _write_capture(analysis, index, folder, created, replaces=replaces)
        for index in range(len(analysis.explanations))
    ]
    source = read_header(analysis.image.frames[0].path)
    report = analysis_report(analysis, source=source, created=created, predecessors=predecessors, missing=missing)
    return (*captures, _write(report, "report", folder))


def write_not_analysed(
    paths: Sequence[Path],
    folder: Path,
    *,
    reason: str,
    created: datetime,
    predecessors: Sequence[Reference] = (),
    missing: str = "",
) -> tuple[ResultObject, ...]:
    """Write the report that says why these instances were not analysed.

    Args:
        paths: instances of one study, at least one, of any SOP class.
        folder: made where it does not exist.
        reason: for a person, with the cure if there is one.
        created: stored once by the caller: the same moment gives the same bytes.
        predecessors: earlier reports of the same study that this one replaces.
        missing: what the study has not, although it was expected; the report says so.

    Raises:
        UnreadableInstance: a source file is gone or no longer DICOM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    headers = [read_header(path) for path in paths]
    report = not_analysed_report(headers, reason, created=created, predecessors=predecessors, missing=missing)
    return (_write(report, "report", folder),)


def _write_capture(analysis: Analysis, index: int, folder: Path, created: datetime, *, replaces: bool) -> ResultObject:
    frame = analysis.image.frames[analysis.explanations[index].map.frame]
    header = read_header(frame.path)
    source = Source(frame, header, orientation(frame.orientation, header))
    overlay = draw_overlay(analysis, index, orientation=source.orientation)
    dataset = capture(overlay, analysis, index, source=source, created=created, replaces=replaces)
    preview = folder / f"{_stem(dataset)}.png"
    preview_png(overlay, preview)
    return _write(dataset, "capture", folder, preview)


def _write(dataset: Dataset, role: Role, folder: Path, preview: Path | None = None) -> ResultObject:
    """Write to a temporary name, sync, rename, sync the folder: the file is whole or not there."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    path = folder / f"{_stem(dataset)}.dcm"
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return ResultObject(
        role,
        str(dataset.SOPClassUID),
        str(dataset.SOPInstanceUID),
        str(dataset.SeriesInstanceUID),
        path,
        preview,
        hashlib.sha256(buffer.getbuffer()).hexdigest(),
    )


def _stem(dataset: Dataset) -> str:
    """Name a file by its UID's digest: nothing that came over the network becomes part of a path."""
    return hashlib.sha256(str(dataset.SOPInstanceUID).encode()).hexdigest()[:24]

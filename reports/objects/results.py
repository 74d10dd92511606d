"""Everything one job writes: DICOM files and previews in a folder, whole or not at all, the same bytes every time."""

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Literal

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from inference.analysis import Analysis
from reports.objects.capture import Source, capture
from reports.objects.key_objects import key_objects
from reports.objects.library import Reference
from reports.objects.parametric import obstacle, parametric_map
from reports.objects.presentation import presentation_state
from reports.objects.structured import analysis_report, not_analysed_report
from reports.objects.subject import orientation, read_header
from reports.picture.overlay import draw_overlay, preview_png
from reports.wording import plain, plane

Role = Literal["capture", "report", "parametric_map", "presentation_state", "key_objects", "quality_report"]
ALWAYS: frozenset[Role] = frozenset(("capture", "report"))


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
    objects: Collection[str] = ALWAYS,
) -> tuple[ResultObject, ...]:
    """Write a capture for each explanation, what else is asked for, and last the report.

    Capture and report are always made; ``left_out`` says what of the rest cannot be.

    Args:
        analysis: what was found; its source files are read again for patient and study.
        folder: made where it does not exist.
        created: stored once by the caller: the same moment gives the same bytes.
        predecessors: earlier reports of the same study that this one replaces.
        missing: what the study has not, although it was expected; the report says so.
        objects: the roles that some destination wants.

    Raises:
        UnreadableInstance: a source file is gone or no longer DICOM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    replaces = bool(predecessors)
    written: list[ResultObject] = []
    for index in range(len(analysis.explanations)):
        source = _source(analysis, index)
        written.append(_write_capture(analysis, index, source, folder, created, replaces=replaces))
        if "parametric_map" in objects and not obstacle(analysis, index):
            its_map = parametric_map(analysis, index, source=source, created=created, replaces=replaces)
            written.append(write_object(its_map, "parametric_map", folder))
        if "presentation_state" in objects:
            state = presentation_state(analysis, index, source=source, created=created)
            written.append(write_object(state, "presentation_state", folder))
    header = read_header(analysis.image.frames[0].path)
    if "key_objects" in objects and analysis.explanations:
        selection = key_objects(analysis, source=header, created=created, missing=missing)
        written.append(write_object(selection, "key_objects", folder))
    report = analysis_report(analysis, source=header, created=created, predecessors=predecessors, missing=missing)
    return (*written, write_object(report, "report", folder))


def left_out(analysis: Analysis, objects: Collection[str]) -> tuple[str, ...]:
    """Say which of the wanted objects are not made, and why."""
    if "parametric_map" not in objects:
        return ()
    obstacles = [(shown.map, obstacle(analysis, index)) for index, shown in enumerate(analysis.explanations)]
    return tuple(
        f"No parametric map of {plain(shown.finding.label)} on {plane(analysis, shown.frame)}: {reason}."
        for shown, reason in obstacles
        if reason
    )


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
    return (write_object(report, "report", folder),)


def _source(analysis: Analysis, index: int) -> Source:
    frame = analysis.image.frames[analysis.explanations[index].map.frame]
    header = read_header(frame.path)
    return Source(frame, header, orientation(frame.orientation, header))


def _write_capture(
    analysis: Analysis, index: int, source: Source, folder: Path, created: datetime, *, replaces: bool
) -> ResultObject:
    overlay = draw_overlay(analysis, index, orientation=source.orientation)
    dataset = capture(overlay, analysis, index, source=source, created=created, replaces=replaces)
    preview = folder / f"{_stem(dataset)}.png"
    preview_png(overlay, preview)
    return write_object(dataset, "capture", folder, preview)


def write_object(dataset: Dataset, role: Role, folder: Path, preview: Path | None = None) -> ResultObject:
    """Write an object to a temporary name, sync, rename, sync the folder: the file is whole or not there.

    Args:
        dataset: with file meta information.
        role: what it is among results.
        folder: that is there.
        preview: the picture that was written beside it.
    """
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

"""The results of one job: DICOM files and previews in a folder, each whole or absent, the same bytes every time."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from inference.analysis import Analysis
from reports.explained import explained_planes, read_header
from reports.objects import capture, key_objects, parametric, presentation, segmentation, structured
from reports.objects.library import InstanceReference
from reports.objects.request import WriteRequest
from reports.objects.roles import ALWAYS
from reports.objects.structured import not_analysed_report
from reports.picture.overlay import preview_png

WRITERS: Mapping[str, Callable[[WriteRequest], Iterator[Dataset]]] = {
    "capture": capture.write,
    "details": capture.write_details,
    "negative_capture": capture.write_negative,
    "segmentation": segmentation.write,
    "parametric_map": parametric.write,
    "presentation_state": presentation.write,
    "key_objects": key_objects.write,
    "report": structured.write,
}
"""What makes the objects of each of ``roles.ROLES``, in the order they are written."""


@dataclass(frozen=True)
class ResultObject:
    """A DICOM file that was written."""

    role: str
    """Of ``roles.ROLES``, or ``quality_report``."""
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
    predecessors: Sequence[InstanceReference] = (),
    missing: str = "",
    account: Sequence[str] = (),
    objects: Collection[str] = ALWAYS,
) -> tuple[ResultObject, ...]:
    """Write captures, what else is asked for, and last the report.

    Capture and report are always written; ``left_out`` says which of the others cannot be.

    Args:
        analysis: what was found; its source files are read again for patient and study.
        folder: made where it does not exist.
        created: stored once by the caller: the same moment gives the same bytes.
        predecessors: earlier reports of the same study that this one replaces.
        missing: what the study lacks, although it was expected; the report says so.
        account: sentences on what became of every instance of the study.
        objects: the roles that destinations ask for.

    Raises:
        UnreadableInstance: a source file is gone or no longer DICOM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    header = read_header(analysis.image.frames[0].path)
    request = WriteRequest(
        analysis, explained_planes(analysis), header, created, tuple(predecessors), missing, tuple(account)
    )
    return tuple(
        write_object(dataset, role, folder)
        for role, write in WRITERS.items()
        if role in objects or role in ALWAYS
        for dataset in write(request)
    )


def left_out(analysis: Analysis, objects: Collection[str]) -> tuple[str, ...]:
    """Say which of the objects asked for are not written, and why.

    Raises:
        UnreadableInstance: a source file is gone or no longer DICOM.
    """
    planes = explained_planes(analysis)
    reasons = {"segmentation": segmentation.left_out, "parametric_map": parametric.left_out}
    return tuple(sentence for role, said in reasons.items() if role in objects for sentence in said(planes))


def write_not_analysed(
    paths: Sequence[Path],
    folder: Path,
    *,
    reason: str,
    created: datetime,
    predecessors: Sequence[InstanceReference] = (),
    missing: str = "",
    account: Sequence[str] = (),
) -> tuple[ResultObject, ...]:
    """Write the report that says why these instances were not analysed.

    Args:
        paths: instances of one study, at least one, of any SOP class.
        folder: made where it does not exist.
        reason: for a person, with the cure if there is one.
        created: stored once by the caller: the same moment gives the same bytes.
        predecessors: earlier reports of the same study that this one replaces.
        missing: what the study lacks, although it was expected; the report says so.
        account: sentences on what became of every instance of the study.

    Raises:
        UnreadableInstance: a source file is gone or no longer DICOM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    headers = [read_header(path) for path in paths]
    report = not_analysed_report(
        headers, reason, created=created, predecessors=predecessors, missing=missing, account=account
    )
    return (write_object(report, "report", folder),)


def write_object(dataset: Dataset, role: str, folder: Path) -> ResultObject:
    """Write an object to a temporary name, sync, rename, sync the folder: the file is whole or not there.

    A PNG preview of a colour picture is written beside it.

    Args:
        dataset: with file meta information.
        role: what it is among results.
        folder: an existing one.
    """
    preview = None
    if dataset.get("PhotometricInterpretation") == "RGB":
        preview = folder / f"{_stem(dataset)}.png"
        preview_png(dataset.pixel_array, preview)
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

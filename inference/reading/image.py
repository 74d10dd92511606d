"""One series as numbers: display pixels, geometry, and the way back to every source pixel."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.archive import Floats
from inference.errors import UnreadableInstance, UnsupportedImage
from inference.reading.decoding import STANDARD, DecodingLimits, DecodingProcess
from inference.reading.geometry import Orientation, depth_mm, plane_of
from inference.reading.instance import File, Frame, read_file
from inference.reading.pixels import Window, check, decode, modality_values, padding, window

__all__ = ["Frame", "Image", "Skipped", "Survey", "read_series", "read_study", "survey"]


@dataclass(frozen=True)
class Image:
    """One series, sorted by geometry, in its own pixel grid."""

    patient_key: str
    """PatientID as it stands in the files: never logged, never shown outside DICOM objects."""
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str | None
    modality: str
    body_part: str
    """Body Part Examined, upper case; empty where absent."""
    plane: str
    """axial, coronal, sagittal, oblique, or empty where the orientation is absent."""
    description: str
    """Series Description and Protocol Name, joined."""
    frames: tuple[Frame, ...]
    pixels: Floats
    """(frames, rows, columns), 0 black to 1 white, after Modality LUT, VOI LUT or window, and MONOCHROME1 inversion."""
    digest: str
    """SHA-256 over the sorted (SOP Instance UID, SHA-256 of the file) pairs."""


@dataclass(frozen=True)
class Skipped:
    """A series of a study that is not an image this product can read."""

    series_instance_uid: str
    """Empty for a file that is not DICOM."""
    reason: str


@dataclass(frozen=True)
class Survey:
    """What a study holds: its image series, and what was passed over and why."""

    images: tuple[Image, ...]
    skipped: tuple[Skipped, ...]
    unwanted: int = 0
    """Image series that could be read and that ``wanted`` did not select."""


def read_series(paths: Sequence[Path], limits: DecodingLimits = STANDARD) -> Image:
    """Read one series: decode, apply Modality LUT and VOI, sort by geometry.

    Every plane of a series is shown to a network with one and the same window, so that a plane's grey values do not
    depend on what else lies in it: the planes' own VOI LUT or window (the first of several) where all planes share
    it, otherwise the range of modality values of the whole series, padding left out. A viewer may window planes one
    by one; a network trained on series must not.

    Planes are sorted along their normal towards the patient's left, back or head; by Instance Number, then SOP
    Instance UID, where positions are unknown.

    Args:
        paths: files of one series, in any order. The same instance twice counts once.
        limits: what its pixels may ask for; compressed ones are decoded in a process that is held to them.

    Raises:
        UnreadableInstance: a file is not DICOM or lacks the UIDs that identify it.
        UnsupportedImage: no pixels, colour, undecodable, several sizes or several orientations.
    """
    if not paths:
        raise UnsupportedImage("The series has no files.")
    files = {file.sop_instance_uid: file for file in (read_file(path) for path in paths)}
    series = {file.series_instance_uid for file in files.values()}
    if len(series) != 1:
        raise UnsupportedImage(f"The files belong to {len(series)} series; give the files of one series.")
    with DecodingProcess(limits) as process:
        return _image([files[uid] for uid in sorted(files)], process)


def _every(_image: Image) -> bool:
    return True


def survey(
    paths: Sequence[Path], limits: DecodingLimits = STANDARD, wanted: Callable[[Image], bool] = _every
) -> Survey:
    """Read every series of a study; series that cannot be read are listed with the reason.

    Args:
        paths: the files of the study.
        limits: what its pixels may ask for.
        wanted: selects the series to return; the others are released one by one as they are read.
    """
    grouped: dict[str, dict[str, File]] = {}
    skipped: list[Skipped] = []
    for path in sorted(paths):
        try:
            file = read_file(path)
        except UnreadableInstance as error:
            skipped.append(Skipped("", str(error)))
            continue
        grouped.setdefault(file.series_instance_uid, {})[file.sop_instance_uid] = file
    images: list[Image] = []
    unwanted = 0
    try:
        _check_patient([file for files in grouped.values() for file in files.values()])
    except UnsupportedImage as error:
        return Survey((), (*skipped, *(Skipped(uid, str(error)) for uid in sorted(grouped))))
    with DecodingProcess(limits) as process:
        for uid in sorted(grouped):
            files = grouped.pop(uid)
            try:
                image = _image([files[key] for key in sorted(files)], process)
            except UnsupportedImage as error:
                skipped.append(Skipped(uid, str(error)))
                continue
            if wanted(image):
                images.append(image)
            else:
                unwanted += 1
            del image
    return Survey(tuple(images), tuple(skipped), unwanted)


def read_study(
    paths: Sequence[Path], limits: DecodingLimits = STANDARD, wanted: Callable[[Image], bool] = _every
) -> tuple[Image, ...]:
    """Read the image series of a study that ``wanted`` selects, in the order of their UIDs; see ``survey``.

    Raises:
        UnsupportedImage: there is none; the sentence gives the reason for each series that was passed over.
    """
    study = survey(paths, limits, wanted)
    if not study.images and not study.unwanted:
        reasons = dict.fromkeys(series.reason for series in study.skipped)
        raise UnsupportedImage(" ".join(("The study has no readable image series.", *reasons)))
    return study.images


def _image(files: list[File], process: DecodingProcess) -> Image:
    _check_patient(files)
    if _turned([frame.orientation for file in files for frame in file.frames]):
        raise UnsupportedImage(
            "The planes of the series have several orientations (0020,0037), as a localiser series has."
        )
    for file in files:
        check(file.dataset)
    sizes = {(int(file.dataset.Rows), int(file.dataset.Columns)) for file in files}
    if len(sizes) > 1:
        listed = ", ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
        raise UnsupportedImage(f"The planes of the series are of several sizes: {listed}.")
    frames = [frame for file in files for frame in file.frames]
    ((rows, columns),) = sizes
    if len(frames) * rows * columns > process.limits.values:
        raise UnsupportedImage(
            f"{len(frames)} planes of {rows} x {columns} pixels are too many; "
            f"the limit is {process.limits.values} pixels."
        )
    order = sorted(range(len(frames)), key=_place(frames))
    pixels = _shown(files, process)[order]
    head = files[0].dataset
    orientation = frames[order[0]].orientation
    words = dict.fromkeys(str(head.get(name) or "").strip() for name in ("SeriesDescription", "ProtocolName"))
    return Image(
        patient_key=str(head.get("PatientID") or ""),
        study_instance_uid=str(head.StudyInstanceUID),
        series_instance_uid=str(head.SeriesInstanceUID),
        frame_of_reference_uid=str(head.get("FrameOfReferenceUID") or "") or None,
        modality=str(head.get("Modality") or "").upper(),
        body_part=str(head.get("BodyPartExamined") or "").strip().upper(),
        plane=plane_of(orientation),
        description=" ".join(word for word in words if word),
        frames=tuple(frames[index] for index in order),
        pixels=np.ascontiguousarray(pixels),
        digest=_digest(files),
    )


def _check_patient(files: list[File]) -> None:
    """Refuse images of two patients: their findings could not be assigned to one of them."""
    for keyword, attribute in (("PatientID", "Patient ID (0010,0020)"), ("PatientName", "Patient's Name (0010,0010)")):
        if len({file.patient(keyword) for file in files} - {""}) > 1:
            raise UnsupportedImage(f"{attribute} differs between the images: they are not of one patient.")


def _turned(orientations: list[Orientation | None]) -> bool:
    """Whether any plane is turned against the first by more than a degree or so, or only some have an orientation."""
    known = [orientation for orientation in orientations if orientation is not None]
    if len(known) < len(orientations):
        return bool(known)
    return not np.allclose(known, known[0], atol=0.02)


def _place(frames: list[Frame]) -> Callable[[int], tuple[float, float, str, int]]:
    """Return the sorting key of a plane: place along the normal, instance number, UID, frame number."""
    by_geometry = all(frame.position_mm and frame.orientation for frame in frames)

    def key(index: int) -> tuple[float, float, str, int]:
        frame = frames[index]
        depth = 0.0
        if by_geometry and frame.orientation and frame.position_mm:
            depth = round(depth_mm(frame.orientation, frame.position_mm), 3)
        number = math.inf if frame.instance_number is None else float(frame.instance_number)
        return depth, number, frame.sop_instance_uid, frame.frame_number

    return key


def _shown(files: list[File], process: DecodingProcess) -> Floats:
    """Display values of all planes in the order of the files: one window for the series (see ``read_series``)."""
    planes, rows, columns = sum(len(file.frames) for file in files), files[0].dataset.Rows, files[0].dataset.Columns
    shown = np.empty((planes, rows, columns), dtype=np.float32)
    windows: set[Window | None] = set()
    inverted: list[bool] = []
    low, high = math.inf, -math.inf
    for file in files:
        stored = decode(file.dataset, process)
        for index, plane in enumerate(stored):
            header = file.header(index)
            modality = modality_values(plane, header)
            padded = padding(plane, header)
            image = modality if padded is None or padded.all() else modality[~padded]
            low, high = min(low, float(image.min())), max(high, float(image.max()))
            shown[len(inverted)] = modality
            windows.add(window(header))
            inverted.append(str(header.PhotometricInterpretation) == "MONOCHROME1")
    shared = windows.pop() if len(windows) == 1 else None
    common = shared or Window(center=(low + high) / 2, width=max(high - low, 1e-6), function="LINEAR_EXACT")
    for plane, is_inverted in zip(shown, inverted, strict=True):  # in place: a series may fill half the memory
        plane[:] = 0.0 if high <= low and shared is None else common.show(plane)
        if is_inverted:
            plane[:] = 1.0 - plane
    return shown


def _digest(files: list[File]) -> str:
    pairs = sorted(f"{file.sop_instance_uid} {file.sha256}\n" for file in files)
    return hashlib.sha256("".join(pairs).encode()).hexdigest()

"""A study as its files hold it: every series in stacks, and an account of every instance."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inference.errors import UnreadableInstance, UnsupportedImage
from inference.reading.account import Accounted, Disposition, StudyReading
from inference.reading.decoding import STANDARD, DecodingLimits, DecodingProcess
from inference.reading.elements.patients import check_patient
from inference.reading.image import Image
from inference.reading.instance import File, read_file
from inference.reading.series import read_stack, survey_series
from inference.reading.stacks import UndecodedStack

_SAME_UID = (
    "Another file of the study has the same SOP Instance UID (0008,0018) and other content; the first by name is read."
)

_TOO_MUCH = "The study's stacks hold more than {} values together, the limit of what is kept in memory."


def _every(_image: Image) -> str:
    return ""


@dataclass(eq=False)
class _Reading:
    """What has been read so far."""

    images: list[Image] = field(default_factory=list)
    instances: list[Accounted] = field(default_factory=list)

    def take(self, image: Image | None, apart: Iterable[Accounted], objection: str, most_values: int) -> None:
        """Account for the instances of one stack; keep its image unless there is an objection, or no memory for it."""
        self.instances += apart
        if image is None:
            return
        disposition, reason = (Disposition.NOT_MEANT if objection else Disposition.READ), objection
        if not objection and sum(kept.values.size for kept in self.images) + image.values.size > most_values:
            disposition, reason = Disposition.SET_APART, _TOO_MUCH.format(most_values)
        if disposition is Disposition.READ:
            self.images.append(image)
        self._account(image, disposition, reason)

    def _account(self, image: Image, disposition: Disposition, reason: str) -> None:
        counted: dict[str, int] = {}
        for frame in image.frames:
            counted[frame.sop_instance_uid] = counted.get(frame.sop_instance_uid, 0) + 1
        series = image.series_instance_uid
        self.instances += [Accounted(uid, series, disposition, reason, count) for uid, count in counted.items()]


def read_study(
    paths: Sequence[Path], limits: DecodingLimits = STANDARD, wanted: Callable[[Image], str] = _every
) -> StudyReading:
    """Read the stacks of a study that are wanted, in the order of their series' UIDs, and account for every instance.

    Args:
        paths: the files of the study, in any order. The same instance twice counts once.
        limits: what its pixels may ask for; compressed ones are decoded in a process that is held to them.
        wanted: returns the objection to an image in a sentence, empty where there is none; an image that is objected
            to is released before the next is read.

    Raises:
        UnsupportedImage: nothing is readable; the sentence gives the reasons.
    """
    series, unreadable = _by_series(paths, limits)
    reading = _Reading(instances=list(unreadable))
    warnings = check_patient([file.dataset for files in series.values() for file in files])
    with DecodingProcess(limits) as process:
        for uid in sorted(series):
            stacks, apart = survey_series(series.pop(uid))
            reading.instances += apart
            of_series = [*apart, *(entry for entry in unreadable if entry.series_instance_uid == uid)]
            for stack in stacks:
                image, failed = read_stack(stack, _lost(of_series, stack), process)
                reading.take(image, failed, wanted(image) if image is not None else "", limits.values)
                del image
    if all(instance.disposition is Disposition.SET_APART for instance in reading.instances):
        reasons = dict.fromkeys(instance.reason for instance in reading.instances)
        raise UnsupportedImage(" ".join(("The study has no readable image series.", *reasons)))
    ordered = sorted(reading.instances, key=lambda entry: (entry.series_instance_uid, entry.sop_instance_uid))
    return StudyReading(tuple(reading.images), tuple(ordered), warnings)


def read_series(paths: Sequence[Path], limits: DecodingLimits = STANDARD) -> Image:
    """Read one series of one stack.

    Args:
        paths: files of one series, in any order. The same instance twice counts once.
        limits: see ``read_study``.

    Raises:
        UnreadableInstance: a file is not DICOM or lacks the UIDs that identify it.
        UnsupportedImage: nothing can be read, or the series is of several stacks; the sentence names them.
    """
    if not paths:
        raise UnsupportedImage("The series has no files.")
    files = {file.sop_instance_uid: file for file in (read_file(path) for path in sorted(paths))}
    series = {file.series_instance_uid for file in files.values()}
    if len(series) != 1:
        raise UnsupportedImage(f"The files belong to {len(series)} series; give the files of one series.")
    check_patient(file.dataset for file in files.values())
    stacks, apart = survey_series([files[uid] for uid in sorted(files)])
    if len(stacks) > 1:
        listed = "; ".join(stack.name for stack in stacks)
        raise UnsupportedImage(f"The series is of {len(stacks)} stacks: {listed}.")
    with DecodingProcess(limits) as process:
        for stack in stacks:
            image, failed = read_stack(stack, _lost(apart, stack), process)
            if image is not None:
                return image
            apart += failed
    raise UnsupportedImage(" ".join(dict.fromkeys(instance.reason for instance in apart)))


def _by_series(paths: Iterable[Path], limits: DecodingLimits) -> tuple[dict[str, list[File]], list[Accounted]]:
    """Read the headers of files: by series, in the order of their UIDs, and what is no DICOM."""
    grouped: dict[str, dict[str, File]] = {}
    unreadable: list[Accounted] = []
    by_instance: dict[str, File] = {}
    for path in sorted(paths):
        try:
            file = read_file(path)
        except UnreadableInstance as error:
            unreadable.append(Accounted("", "", Disposition.SET_APART, str(error), unreadable=True))
        else:
            known = by_instance.setdefault(file.sop_instance_uid, file)
            if known.sha256 != file.sha256 and not _same_image(known, file, limits):
                series = file.series_instance_uid  # the UID of the instance is another's
                unreadable.append(Accounted("", series, Disposition.SET_APART, _SAME_UID, unreadable=True))
            elif known is file:
                grouped.setdefault(file.series_instance_uid, {})[file.sop_instance_uid] = file
    return {uid: [files[key] for key in sorted(files)] for uid, files in grouped.items()}, unreadable


def _same_image(first: File, second: File, limits: DecodingLimits) -> bool:
    """Whether two files of one SOP Instance UID differ by their transfer syntax alone."""
    if first.series_instance_uid != second.series_instance_uid:
        return False
    try:
        with DecodingProcess(limits) as process:
            compared = process.compare(first.path.read_bytes(), second.path.read_bytes())
            return compared.same_pixels and not compared.differing
    except UnsupportedImage:
        return False


def _lost(apart: Sequence[Accounted], stack: UndecodedStack) -> list[Accounted]:
    """Return the images of a series that could not even be sorted into a stack: they may be of any."""
    return [] if stack.localiser else [instance for instance in apart if instance.unreadable]

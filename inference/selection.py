"""Which stacks of a study a bundle analyses, and what became of every other instance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.bundle.bundle import Bundle
from inference.bundle.scope import too_many_missing
from inference.channel_series import channel_remarks, joined_series
from inference.criteria.otsu import otsu_thresholds
from inference.errors import UnsupportedImage
from inference.reading.account import Accounted, Disposition, StudyReading
from inference.reading.checks import pixel_objections
from inference.reading.decoding import STANDARD, DecodingLimits
from inference.reading.image import Image
from inference.reading.spacing import Regularity
from inference.reading.study import read_study
from inference.upright import not_one_volume

MOST_CLIPPED = 0.05
"""Share of the anatomy that a window may show wholly black or white before a result by display values says so."""

DUPLICATED = (
    "Several planes of this stack lie at the same position and no attribute tells them apart (phases, repetitions or "
    "copies): the findings of one cannot be told from those of the other."
)

MOST_SAMPLED = 1 << 22
"""Values that this share is measured on: of a larger stack every n-th."""


@dataclass(frozen=True)
class Declined:
    """A stack that is of the kind the bundle is meant for, and that it does not analyse all the same."""

    series_instance_uid: str
    stack: str
    """What tells it from the others of its series; empty where it is the only one."""
    paths: tuple[Path, ...]
    reason: str


@dataclass(frozen=True)
class StudySelection:
    """What one bundle makes of a study before any network."""

    reading: StudyReading
    """The stacks that are analysed, and the account of every instance."""
    declined: tuple[Declined, ...]


def select_stacks(
    paths: Sequence[Path], bundle: Bundle, *, limits: DecodingLimits = STANDARD, wanted: Sequence[str] = ()
) -> StudySelection:
    """Read a study for a bundle: its stacks, those declined with the reason, and the account of every instance.

    Args:
        paths: the files of the study.
        bundle: that is to analyse it.
        limits: what its pixels may ask for.
        wanted: words one of which must stand in what tells a stack from the others of its series; empty: every stack.

    Raises:
        UnsupportedImage: nothing at all is readable.
    """
    reading = read_study(paths, limits, lambda image: bundle.objection(image, wanted))
    images: list[Image] = []
    declined: list[Declined] = []
    for image in reading.images:
        for part in parts_of(image, bundle):
            reason = refusal(part, bundle)
            if reason:
                declined.append(_declined(part, reason))
                reading = _set_apart(reading, part, reason)
            else:
                images.append(part)
    if bundle.manifest.input.series:
        images, without = joined_series(images, bundle)
        for image, reason in without:
            reading = _set_apart(reading, image, reason)
        declined += [_declined(image, reason) for image, reason in without[:1] if not images]
    return StudySelection(replace(reading, images=tuple(images)), tuple(declined))


def account_for(
    paths: Sequence[Path], bundle: Bundle, *, limits: DecodingLimits = STANDARD, wanted: Sequence[str] = ()
) -> StudySelection:
    """Select as ``select_stacks`` does; where nothing at all is readable, account for every file by that reason."""
    try:
        return select_stacks(paths, bundle, limits=limits, wanted=wanted)
    except UnsupportedImage as error:
        unread = Accounted("", "", Disposition.SET_APART, str(error), unreadable=True)
        return StudySelection(StudyReading((), (unread,) * len(paths)), ())


def without(selection: StudySelection, image: Image, reason: str) -> StudySelection:
    """Return a selection in which a stack is declined that was to be analysed; once, however often it is said."""
    declined = _declined(image, reason)
    if (image.series_instance_uid, image.stack) in {(e.series_instance_uid, e.stack) for e in selection.declined}:
        return selection
    reading = _set_apart(selection.reading, image, reason)
    return StudySelection(reading, (*selection.declined, declined))


def _declined(image: Image, reason: str) -> Declined:
    files = tuple(dict.fromkeys(frame.path for frame in image.frames))
    return Declined(image.series_instance_uid, image.stack, files, reason)


def parts_of(image: Image, bundle: Bundle) -> tuple[Image, ...]:
    """Return a stack, or, for a volume bundle where the distance between planes changes, each part with one step."""
    if bundle.manifest.kind == "volume" and image.spacing.regularity is Regularity.CHANGING:
        return tuple(image.part(start, stop) for start, stop in image.spacing.runs)
    return (image,)


def refusal(image: Image, bundle: Bundle) -> str:
    """Say why a stack that a bundle is meant for is not analysed by it; empty: it is.

    Asked are the bundle's own limits again (a part of a stack may have too few planes), whether the stack is one
    volume, the share of planes that are missing inside, and the checks of the input.
    """
    reason = bundle.objection(image)
    if reason:
        return reason
    entry = bundle.manifest.input
    is_whole = bundle.manifest.kind == "volume" or entry.neighbours or entry.series
    if is_whole and (reason := not_one_volume(image)):
        return f"{reason}."
    if reason := too_many_missing(bundle.manifest, image):
        return reason
    return " ".join(pixel_objections(image, hounsfield=_wants_hounsfield(bundle)))


def _wants_hounsfield(bundle: Bundle) -> bool:
    """Whether a network was trained on Hounsfield units: it takes modality values, and of CT alone."""
    entry = bundle.manifest.input
    return entry.values == "modality" and entry.modality == ("CT",)


def remarks(image: Image, bundle: Bundle) -> tuple[str, ...]:
    """Return what a reader of the result must know of how the image was read; empty: nothing."""
    same_place = (DUPLICATED,) if image.spacing.regularity is Regularity.DUPLICATED else ()
    channels = (*same_place, *channel_remarks(image, bundle))
    if bundle.manifest.input.values == "modality" or image.colour:
        return channels
    share = clipped_share(image)
    if share <= MOST_CLIPPED:
        return channels
    return (
        *channels,
        f"This model sees the image by its window, which shows {share:.0%} of the anatomy wholly black or white "
        f"(more than {MOST_CLIPPED:.0%}): findings there cannot be seen.",
    )


def clipped_share(image: Image) -> float:
    """Return the share of the anatomy, all that is brighter than Otsu's threshold, shown wholly black or white."""
    window = image.window
    if window is None:
        return 0.0
    values = image.values.ravel() if image.padded is None else image.values[~image.padded]
    values = values[:: max(1, values.size // MOST_SAMPLED)]
    anatomy = values[values > otsu_thresholds(values[None])[0]] if values.size else values
    if not anatomy.size:
        return 0.0
    shown = window.show(anatomy)
    return float(((shown <= 0.0) | (shown >= 1.0)).mean())


def _set_apart(reading: StudyReading, image: Image, reason: str) -> StudyReading:
    """Account for the instances of a declined stack; of an instance that lies in other stacks too, for its frames."""
    counted: dict[str, int] = {}
    for frame in image.frames:
        counted[frame.sop_instance_uid] = counted.get(frame.sop_instance_uid, 0) + 1
    instances: list[Accounted] = []
    for instance in reading.instances:
        frames = counted.get(instance.sop_instance_uid, 0)
        if instance.disposition is not Disposition.READ or not frames:
            instances.append(instance)
            continue
        if instance.frames > frames:
            instances.append(replace(instance, frames=instance.frames - frames))
        instances.append(
            replace(instance, disposition=Disposition.SET_APART, reason=f"Not analysed: {reason}", frames=frames)
        )
    return replace(reading, instances=tuple(instances))

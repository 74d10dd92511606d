"""What became of every instance of a study: read, set apart, or not meant for the bundle that asks."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from inference.reading.image import Image


class Disposition(StrEnum):
    """What became of an instance."""

    READ = "read"
    SET_APART = "set apart"
    """Without image pixels, not readable, or not an image of its series; the reason says which."""
    NOT_MEANT = "not meant for this bundle"


@dataclass(frozen=True)
class Accounted:
    """One instance of a study."""

    sop_instance_uid: str
    """Empty for a file that is not DICOM."""
    series_instance_uid: str
    disposition: Disposition
    reason: str = ""
    """A sentence; empty where it was read whole."""
    frames: int = 1
    """Frames that the disposition is of."""
    unreadable: bool = False
    """Set apart although it holds image pixels: what it shows is missing from the study."""


@dataclass(frozen=True)
class StudyReading:
    """A study as read: the images that were asked for, and an account of every instance."""

    images: tuple[Image, ...]
    instances: tuple[Accounted, ...]
    """By Series and SOP Instance UID. An instance whose frames fared differently stands here once for each of them."""
    warnings: tuple[str, ...] = ()
    """Sentences on the study, as one patient's name written in two ways."""

    def count(self, disposition: Disposition) -> int:
        """Return the number of instances; one with frames of several dispositions counts as the first in the list."""
        best: dict[tuple[str, int], Disposition] = {}
        for number, instance in enumerate(self.instances):
            key = (instance.sop_instance_uid, 0 if instance.sop_instance_uid else number)
            best[key] = min(best.get(key, instance.disposition), instance.disposition, key=list(Disposition).index)
        return list(best.values()).count(disposition)

    @property
    def read(self) -> int:
        """Return the number of instances that stand in ``images``."""
        return self.count(Disposition.READ)

    @property
    def set_apart(self) -> int:
        """Return the number of instances that were set apart."""
        return self.count(Disposition.SET_APART)

    @property
    def not_meant(self) -> int:
        """Return the number of instances of stacks that the bundle is not meant for."""
        return self.count(Disposition.NOT_MEANT)

    def reasons(self, *dispositions: Disposition) -> tuple[str, ...]:
        """Return the reasons of these dispositions, each once with the number of instances that it holds for."""
        counted: dict[str, int] = {}
        for instance in self.instances:
            if instance.disposition in dispositions and instance.reason:
                counted[instance.reason] = counted.get(instance.reason, 0) + 1
        return tuple(f"{reason} ({_instances(number)})" for reason, number in counted.items())


def missing_of(unreadable: Iterable[Accounted]) -> tuple[str, ...]:
    """Return a sentence for each reason why instances or frames of a stack are missing from it."""
    counted: dict[str, int] = {}
    for instance in unreadable:
        counted[instance.reason] = counted.get(instance.reason, 0) + instance.frames
    return tuple(
        f"{number} received {'image' if number == 1 else 'images'} of this stack could not be read: {reason}"
        for reason, number in counted.items()
    )


def _instances(number: int) -> str:
    return f"{number} {'instance' if number == 1 else 'instances'}"

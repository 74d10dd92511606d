"""What an instance is whose UID is here with other bytes: the same image encoded anew, a correction, or a conflict.

The two are compared in the decoding process, under its limits and within ``COMPARING_SECONDS``, one at a time for each
peer. What cannot be told within these is a conflict.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from pydicom.datadict import keyword_for_tag
from pydicom.tag import Tag

from inference.errors import ConflictingInstance, UnsupportedImage
from inference.reading.decoding import ContentComparison, DecodingLimits, DecodingProcess
from node.receiving.inspection import Arrival, Header, Purpose
from node.receiving.part10 import file_head
from node.settings.peer import Peer
from node.studies.instance import Instance

COMPARING_SECONDS = 10.0
"""From the arrival of a conflict to the end of its comparison, the wait for another of the same peer included."""
PATIENT_ID = 0x00100020
_OF_THE_PATIENT = 0x0010
_OF_THE_ORDER = frozenset(
    Tag(keyword)
    for keyword in (
        "AccessionNumber", "IssuerOfAccessionNumberSequence", "ReferencedStudySequence", "ReferencedPatientSequence",
        "StudyID", "RequestAttributesSequence", "AdmissionID", "OriginalAttributesSequence",
    )
)  # fmt: skip
"""What goes with the patient where a study was acquired under another one's order, and what records that it did."""
_MOST_CORRECTED = 100
_NAMED = 5


class Relation(StrEnum):
    """What an instance is to the one that is kept under its UID."""

    SAME = "same"
    CORRECTION = "correction"


class Conflicts:
    """Compares instances with those that are kept, and says who may correct a Patient ID."""

    def __init__(self, folder: Path, peers: Sequence[Peer], limits: DecodingLimits) -> None:
        """Bind to the folder of the inbox, the peers that are known, and the limits of the decoding process."""
        self._folder = folder
        self._listed = {peer.ae_title for peer in peers}
        self._correcting = self._listed - {peer.ae_title for peer in peers if not peer.corrects}
        self._limits = limits
        self._comparing: set[str] = set()
        self._changed = threading.Condition()

    def relation(self, arrival: Arrival, header: Header, new: Instance, known: Instance) -> Relation:
        """Say what an instance is to the one that is kept.

        Args:
            arrival: what came.
            header: what its data set says.
            new: what would be kept of it.
            known: what is kept under its UID.

        Raises:
            ConflictingInstance: anything but the same image or a correction that its sender may make.
        """
        if (new.study_instance_uid, new.series_instance_uid, new.sop_class_uid) != (
            known.study_instance_uid, known.series_instance_uid, known.sop_class_uid,
        ):  # fmt: skip
            raise _conflict("in another study or series, or of another SOP class", "Give it a new SOP Instance UID.")
        compared = self._compare(arrival, new, known)
        if not compared.same_pixels:
            raise _conflict("with other pixels", "Give a changed image a new SOP Instance UID.")
        if not compared.differing:
            return Relation.SAME
        if PATIENT_ID not in compared.differing or not header.patient_id:
            raise _conflict(
                f"with equal pixels and other values of {_names(compared.differing)}",
                "Give a changed image a new SOP Instance UID.",
            )
        self._check_correction(arrival, new, known, compared.differing)
        return Relation.CORRECTION

    def _check_correction(self, arrival: Arrival, new: Instance, known: Instance, differing: Sequence[int]) -> None:
        """Refuse a corrected Patient ID of a peer that may not correct, or with more changed than patient and order."""
        others = [tag for tag in differing if tag >> 16 != _OF_THE_PATIENT and tag not in _OF_THE_ORDER]
        if others or len(differing) > _MOST_CORRECTED:
            raise _conflict(
                f"under another Patient ID and with other values of {_names(others or differing)}",
                "A correction may change the patient and the order alone.",
            )
        may_correct = arrival.calling_ae_title in self._correcting
        same_place = arrival.peer_address == known.peer_address or arrival.calling_ae_title in self._listed
        sent_the_first = arrival.calling_ae_title == known.calling_ae_title and same_place
        if arrival.purpose is not Purpose.STUDY or not (may_correct or sent_the_first):
            raise _conflict(
                "under another Patient ID, which its sender may not correct",
                "Send it from the system that sent the first, or set corrects = true in the sender's [[peers]].",
            )
        if new.patient in known.former_patients.split() and not may_correct:
            raise _conflict(
                "under a corrected Patient ID, and this one brings the former back",
                "Only a peer with corrects = true may take a correction back.",
            )

    def _compare(self, arrival: Arrival, new: Instance, known: Instance) -> ContentComparison:
        """Compare both files in a process of their own."""
        deadline = time.monotonic() + COMPARING_SECONDS
        try:
            with self._turn(arrival.peer_address, deadline):
                limits = replace(self._limits, seconds=deadline - time.monotonic())
                with DecodingProcess(limits) as process:
                    kept = (self._folder / known.path).read_bytes()
                    return process.compare(kept, file_head(new), arrival.encoded)
        except (UnsupportedImage, TimeoutError, OSError) as error:
            raise _conflict(
                f"with other bytes, and whether it is the same image could not be told within {COMPARING_SECONDS:g} s "
                "and limits.decoding_mebibytes",
                "Send it again, or give a changed image a new SOP Instance UID.",
            ) from error

    @contextmanager
    def _turn(self, peer_address: str, deadline: float) -> Iterator[None]:
        """Wait until no other instance of a peer is compared.

        Raises:
            TimeoutError: not before the deadline.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: peer_address not in self._comparing, deadline - time.monotonic()):
                raise TimeoutError
            self._comparing.add(peer_address)
        try:
            yield
        finally:
            with self._changed:
                self._comparing.discard(peer_address)
                self._changed.notify_all()


def _names(tags: Sequence[int]) -> str:
    """Name attributes, without their values."""
    named = [f"{keyword_for_tag(tag) or 'private'} ({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in tags[:_NAMED]]
    return ", ".join(named) + (f" and {len(tags) - _NAMED} more" if len(tags) > _NAMED else "")


def _conflict(how: str, cure: str) -> ConflictingInstance:
    return ConflictingInstance(f"An instance of this UID is already here, {how}; the first is kept.", cure=cure)

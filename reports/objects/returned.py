"""Feedback on overlays from reports, presentation states and segmentations that people sent back to the node.

A region drawn on the plane that an overlay explains is where the finding is. The map's peak within ``TOLERANCE_MM`` of
it accepts the overlay, else the finding is elsewhere: at the middle of the region that lies nearest to the peak. A
report may say instead that there is no finding (``ABSENT``), and a key object selection may reject an overlay for its
quality (113001, DCM; IHE IOCM).

Ignored are objects that are not a person's statement on a finding: segments made automatically (PS3.3 C.8.20.2) or of
anatomy, reports whose observer is a device (PS3.16 TID 1002), and regions on a plane with several findings that do not
say which finding they outline.
"""

import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from inference.errors import DAMAGE, UnreadableInstance
from inference.reading.instance import Frame
from inference.reading.outlines import PRESENTATION_STATES, REPORTS, SEGMENTATION, Outline, outlines_of

TOLERANCE_MM = 5.0
"""How far outside a region the peak may lie: the precision of drawing by hand; 0 where Pixel Spacing is absent."""
MOST_BYTES = 64 << 20
"""Of an object that is read."""
MOST_OUTLINES = 256
"""Read of one object."""
KEY_OBJECTS = ("1.2.840.10008.5.1.4.1.1.88.59",)
KINDS = {
    **dict.fromkeys((*REPORTS, *KEY_OBJECTS), "SR"),
    **dict.fromkeys(PRESENTATION_STATES, "GSPS"),
    **dict.fromkeys(SEGMENTATION, "SEG"),
}
"""What is read, by SOP Class UID."""

Coded = tuple[str, str]  # code value, coding scheme designator
ABSENT: frozenset[Coded] = frozenset(
    {
        ("373067005", "SCT"),  # No
        ("R-00339", "SRT"),  # No
        ("2667000", "SCT"),  # Absent
        ("410516002", "SCT"),  # Known absent
        ("410594000", "SCT"),  # Definitely not present
    }
)
REJECTED: Coded = ("113001", "DCM")  # for quality reasons (CID 7011): title of a key object selection
_FINDING = frozenset({("121071", "DCM"), ("404684003", "SCT"), ("705057003", "SCT")})
"""Finding, finding, presence: under these names a report says whether there is one."""
_OBSERVER, _DEVICE = ("121005", "DCM"), ("121007", "DCM")
_ANATOMY = frozenset({("123037004", "SCT"), ("91723000", "SCT"), ("T-D000A", "SRT")})
"""Anatomical structure, the category of a segment that is no finding (CID 7150); viewers call a finding "tissue"."""


@dataclass(frozen=True)
class Shown:
    """An overlay that was delivered, and what is needed to judge feedback on it."""

    capture: str
    """SOP Instance UID."""
    report: str
    """That of the report that names it; empty where there is none."""
    frame: Frame
    """The plane that is explained."""
    shape: tuple[int, int]
    """Rows and columns of it."""
    peak: tuple[int, int]
    """Row and column of the map's highest value."""
    label: str
    code: str
    """Code value of the finding; empty where the bundle has none."""

    @property
    def plane(self) -> tuple[str, int]:
        """Name the plane."""
        return self.frame.sop_instance_uid, self.frame.frame_number


@dataclass(frozen=True)
class Said:
    """Feedback of one object on one overlay."""

    capture: str
    word: Literal["accept", "reject", "elsewhere"]
    place: tuple[int, int] | None = None
    """Row and column of the finding, with elsewhere."""


def read_returned(path: Path, overlays: Sequence[Shown]) -> tuple[Said, ...]:
    """Read the feedback of one object on overlays of the same study; empty where it is about something else.

    Args:
        path: its file: of any content, at most ``MOST_BYTES`` long.
        overlays: those that no later result has replaced.

    Raises:
        UnreadableInstance: it is too large, compressed, or damaged; the message quotes nothing of it.
    """
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableInstance(f"The object is larger than {MOST_BYTES >> 20} MiB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings may quote values of the file
            return tuple(_read(path, overlays))
    except (*DAMAGE, MemoryError) as error:
        raise UnreadableInstance(f"The object cannot be read ({type(error).__name__}).") from error


def _read(path: Path, overlays: Sequence[Shown]) -> Iterator[Said]:
    syntax = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).file_meta.TransferSyntaxUID
    if syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian:
        raise UnreadableInstance("The object is compressed; send it uncompressed.")
    dataset = dcmread(path)
    kind = KINDS[str(dataset.SOPClassUID)]
    if kind == "SEG":
        dataset.SegmentSequence = [item for item in dataset.SegmentSequence if _by_a_person(item)]
    elif kind == "SR" and _observed_by_a_device(dataset):
        return
    denied = set(_denied(dataset, overlays)) if kind == "SR" else set()
    frames = {overlay.frame.sop_instance_uid: (overlay.frame, overlay.shape) for overlay in overlays}
    outlines, problems = outlines_of(dataset, frames, most=MOST_OUTLINES)
    if any("cannot be read" in problem for problem in problems):
        raise UnreadableInstance("The graphics of the object cannot be read.")
    for overlay in overlays:
        if overlay.capture in denied:
            yield Said(overlay.capture, "reject")
        elif drawn := _drawn_for(overlay, overlays, outlines):
            yield _judged(overlay, drawn)


def _by_a_person(segment: Dataset) -> bool:
    category = segment.SegmentedPropertyCategoryCodeSequence[0]
    return segment.SegmentAlgorithmType in ("MANUAL", "SEMIAUTOMATIC") and _coded(category) not in _ANATOMY


def _observed_by_a_device(report: Dataset) -> bool:
    """Whether nobody but devices observed; who is not named is a person (TID 1002)."""
    types = [
        _coded(item.ConceptCodeSequence[0])
        for item in report.get("ContentSequence") or ()
        if item.get("ValueType") == "CODE" and _name(item) == _OBSERVER
    ]
    return bool(types) and all(observer == _DEVICE for observer in types)


def _drawn_for(overlay: Shown, overlays: Sequence[Shown], outlines: Sequence[Outline]) -> list[Outline]:
    """Return the regions on an overlay's plane that are of its finding."""
    uid, number = overlay.plane
    here = [
        outline
        for outline in outlines
        if outline.sop_instance_uid == uid
        and outline.frame_number in (None, number)
        and outline.mask.shape == overlay.shape
        and outline.mask.any()
    ]
    if all(other.plane != overlay.plane or other.label == overlay.label for other in overlays):
        return here
    return [outline for outline in here if overlay.code in outline.codes or overlay.label in outline.labels]


def _judged(overlay: Shown, drawn: Sequence[Outline]) -> Said:
    spacing = overlay.frame.pixel_spacing_mm
    regions = [np.argwhere(outline.mask) for outline in drawn]
    away = [np.hypot(*((places - overlay.peak) * (spacing or (1.0, 1.0))).T).min() for places in regions]
    if min(away) <= (TOLERANCE_MM if spacing else 0.0):
        return Said(overlay.capture, "accept")
    places = regions[int(np.argmin(away))]
    middle = places[np.argmin(np.square(places - places.mean(axis=0)).sum(axis=1))]
    return Said(overlay.capture, "elsewhere", (int(middle[0]), int(middle[1])))


def _denied(report: Dataset, overlays: Sequence[Shown]) -> Iterator[str]:
    """Yield the overlays whose finding a report says is not there, or that it rejects.

    What it speaks of are the instances named beside the word, else those its nearest outer container names, else the
    overlays and reports of ours among its evidence.
    """
    evidence = {
        str(item.ReferencedSOPInstanceUID)
        for study in report.get("CurrentRequestedProcedureEvidenceSequence") or ()
        for series in study.get("ReferencedSeriesSequence") or ()
        for item in series.get("ReferencedSOPSequence") or ()
    }
    ours = {uid for overlay in overlays for uid in (overlay.capture, overlay.report)}
    if str(report.SOPClassUID) in KEY_OBJECTS:
        named = _named(report) if _name(report) == REJECTED else set()
        yield from (overlay.capture for overlay in overlays if overlay.capture in named or overlay.report in named)
    else:
        yield from _denied_in(report, evidence & ours, overlays)


def _denied_in(container: Dataset, spoken_of: Collection[str], overlays: Sequence[Shown]) -> Iterator[str]:
    known = {
        uid for overlay in overlays for uid in (overlay.capture, overlay.report, overlay.frame.sop_instance_uid)
    } - {""}
    spoken_of = (_named(container) & known) or spoken_of
    items = container.get("ContentSequence") or ()
    for overlay in overlays:
        by_name = not {overlay.capture, overlay.report}.isdisjoint(spoken_of)
        if (by_name or overlay.frame.sop_instance_uid in spoken_of) and any(
            _denies(item, overlay, by_name) for item in items
        ):
            yield overlay.capture
    for item in items:
        if item.get("ValueType") == "CONTAINER":
            yield from _denied_in(item, spoken_of, overlays)


def _denies(item: Dataset, overlay: Shown, by_name: bool) -> bool:
    """Whether an item denies the finding: by its value, or by a modifier of its value.

    Args:
        item: of a report.
        overlay: the one in question.
        by_name: whether it speaks of that very overlay; else a finding it denies must be the overlay's.
    """
    if item.get("ValueType") != "CODE" or not (
        _name(item) in _FINDING or (overlay.code and _name(item)[0] == overlay.code)
    ):
        return False
    value = _coded(item.ConceptCodeSequence[0])
    if value in ABSENT:
        return True
    further = [child for child in item.get("ContentSequence") or () if child.get("ValueType") == "CODE"]
    denied = any(_coded(child.ConceptCodeSequence[0]) in ABSENT for child in further)
    return denied and (by_name or value[0] == overlay.code)


def _named(container: Dataset) -> set[str]:
    """Return the instances that a container names itself, not in a container within."""
    uids: set[str] = set()
    for item in container.get("ContentSequence") or ():
        if item.get("ValueType") != "CONTAINER":
            uids |= {str(source.ReferencedSOPInstanceUID) for source in item.get("ReferencedSOPSequence") or ()}
            uids |= _named(item)
    return uids


def _name(item: Dataset) -> Coded:
    names = item.get("ConceptNameCodeSequence")
    return _coded(names[0]) if names else ("", "")


def _coded(code: Dataset) -> Coded:
    return str(code.get("CodeValue") or ""), str(code.get("CodingSchemeDesignator") or "")

"""One instance on its way in: what the association said, what the data set says, and whether the two hold together.

The data set is looked at once, without decoding a pixel: identity, consistency with the command set, whether it is
complete, and whether it asks for more than the node's limits. A cut image that is answered with success would be
analysed as if it were whole; one that announces 4 billion pixels would take the node down when it is read.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NoReturn

from pydicom.uid import UID, RLELossless

from inference.errors import MismatchedInstance, UnreadableInstance
from node.associations.storage_classes import is_unread_class
from node.receiving.codestream import RLE_MOST_BYTES_OF_ONE, announced
from node.receiving.elements import NUMBER_OF_FRAMES, PIXEL_TAGS, UNDEFINED_LENGTH, Element, elements_of
from node.settings.limits import STANDARD, Limits
from node.studies.instance import is_uid
from reports.product import PRODUCT

IDENTITY = {
    "sop_class_uid": 0x00080016,
    "sop_instance_uid": 0x00080018,
    "study_instance_uid": 0x0020000D,
    "series_instance_uid": 0x0020000E,
}
_IMAGE_TYPE, _MANUFACTURER, _PHOTOMETRIC, _FRAMES = 0x00080008, 0x00080070, 0x00280004, NUMBER_OF_FRAMES
_PATIENT_ID, _PATIENT_ID_ISSUER, _ACCESSION_NUMBER = 0x00100020, 0x00100021, 0x00080050
_SAMPLES, _ROWS, _COLUMNS, _BITS_ALLOCATED = 0x00280002, 0x00280010, 0x00280011, 0x00280100
_WRITTEN_AS = {
    **dict.fromkeys(IDENTITY.values(), "UI"),
    _IMAGE_TYPE: "CS", _MANUFACTURER: "LO", _PHOTOMETRIC: "CS", _FRAMES: "IS",
    **dict.fromkeys((_SAMPLES, _ROWS, _COLUMNS, _BITS_ALLOCATED), "US"),
}  # fmt: skip
"""What is read here, and the VR it must have: a reader that believes another one would read another image."""
_WANTED = PIXEL_TAGS | _WRITTEN_AS.keys() | {_PATIENT_ID, _PATIENT_ID_ISSUER, _ACCESSION_NUMBER}


class Purpose(StrEnum):
    """What an instance was sent for, by the port and AE title, or the request, that it came by."""

    STUDY = "study"
    """To be analysed, whether its study is a prior of another one or not."""
    PRIOR = "prior"
    """As part of a prior that this node asked for; anything else is refused there."""


@dataclass(frozen=True)
class Arrival:
    """What one C-STORE request brought: the claims of its command set, and the encoded data set, untouched."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    encoded: bytes
    calling_ae_title: str
    peer_address: str
    received_at: datetime
    purpose: Purpose = Purpose.STUDY


@dataclass(frozen=True)
class Header:
    """What the data set itself says, once it was found sound."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    patient_id_issuer: str
    accession_number: str
    claims_to_be_ours: bool
    """Says that this product made it: a result of another node, of an earlier store, or no result at all."""


def inspect(arrival: Arrival, limits: Limits = STANDARD) -> Header:
    """Read what identifies an arrival, and check that it is whole and within the limits.

    Raises:
        UnreadableInstance: it is no data set, is cut short, asks for too much, lacks an identifying element, or a UID
            is not one.
        MismatchedInstance: command set and data set name different instances (PS3.4 B.2.3, status A900).
    """
    _uid(arrival.sop_instance_uid, "Affected SOP Instance UID of the command set")
    _uid(arrival.sop_class_uid, "Affected SOP Class UID of the command set")
    syntax = UID(arrival.transfer_syntax_uid)
    found = _DataSet(arrival.encoded, syntax, limits)
    if not is_unread_class(arrival.sop_class_uid):
        found.check_pixels()
    identity = {name: _uid(found.text(tag), name.replace("_", " ")) for name, tag in IDENTITY.items()}
    for name in ("sop_class_uid", "sop_instance_uid"):
        if identity[name] != getattr(arrival, name):
            raise MismatchedInstance(f"The command set and the data set disagree on the {name.replace('_', ' ')}.")
    return Header(
        **identity,
        patient_id=found.text(_PATIENT_ID),
        patient_id_issuer=found.text(_PATIENT_ID_ISSUER),
        accession_number=found.text(_ACCESSION_NUMBER),
        claims_to_be_ours=found.claims_to_be_ours,
    )


class _DataSet:
    """The elements of interest, and whether the pixel data is what they say."""

    def __init__(self, encoded: bytes, syntax: UID, limits: Limits) -> None:
        self._encoded = encoded
        self._syntax = syntax
        self._limits = limits
        self._elements = elements_of(encoded, syntax, limits, wanted=_WANTED)
        for tag, vr in _WRITTEN_AS.items():
            if tag in self._elements and self._elements[tag].vr != vr:
                _refuse(f"its element {tag >> 16:04X},{tag & 0xFFFF:04X} is not of VR {vr}")
        self._rows, self._columns = self._number(_ROWS), self._number(_COLUMNS)
        self._frames = self._count_frames()
        self._pixels = next((element for tag, element in self._elements.items() if tag in PIXEL_TAGS), None)

    @property
    def claims_to_be_ours(self) -> bool:
        """Whether Manufacturer (0008,0070) is this product, of a derived image or an object without pixels."""
        derived = self.text(_IMAGE_TYPE).upper().startswith("DERIVED")
        return self.text(_MANUFACTURER).lower() == PRODUCT and (derived or self._pixels is None)

    def text(self, tag: int) -> str:
        """Return a value without its padding; empty where it is absent."""
        return self._raw(tag).decode("latin-1").strip(" \0")

    def check_pixels(self) -> None:
        """Refuse pixel data that is missing, cut, or more than the header or the limits allow."""
        if self._pixels is None:
            if self._rows:
                _refuse("an image without pixel data, or cut short before it")
        elif self._pixels.length == UNDEFINED_LENGTH:
            self._check_fragments(self._pixels)
        else:
            self._check_native(self._pixels)
        if self._frames > self._limits.frames:
            _refuse(f"{self._frames} frames, where {self._limits.frames} are the limit")
        if self._rows * self._columns * self._frames > self._limits.pixel_values:
            _refuse(
                f"{self._frames} frames of {self._rows} x {self._columns} pixels, "
                f"where {self._limits.pixel_values} pixels are the limit"
            )

    def _check_native(self, pixels: Element) -> None:
        """PS3.5 8.1.1: rows x columns x samples x bits allocated x frames, and padding of less than a frame."""
        if self._syntax.is_encapsulated:
            _refuse("native pixel data in an encapsulated transfer syntax")
        expected = self._native_bytes()
        if not expected <= pixels.length < expected + max(expected // self._frames, 2):
            _refuse(f"{pixels.length} bytes of pixel data where {expected} belong")

    def _native_bytes(self) -> int:
        bits = self._number(_BITS_ALLOCATED)
        if not (self._rows and self._columns and bits):
            _refuse("pixel data without rows, columns or bits allocated")
        total_bits = self._rows * self._columns * (self._number(_SAMPLES) or 1) * bits * self._frames
        if self.text(_PHOTOMETRIC) == "YBR_FULL_422" and not self._syntax.is_encapsulated:
            total_bits = total_bits * 2 // 3
        return -(-total_bits // 8)

    def _check_fragments(self, pixels: Element) -> None:
        """PS3.5 A.4: an offset table, at least one fragment a frame, and none that announces a larger image."""
        if not self._syntax.is_encapsulated:
            _refuse("encapsulated pixel data in a native transfer syntax")
        fragments = pixels.fragments[1:]
        if len(fragments) < self._frames:
            _refuse(f"{len(fragments)} fragments of pixel data for {self._frames} frames")
        if self._syntax == RLELossless:
            packed = sum(length for _, length in fragments)
            if packed * RLE_MOST_BYTES_OF_ONE < self._native_bytes():
                _refuse(f"{packed} bytes of run lengths cannot hold the image that its header announces")
            return
        view = memoryview(self._encoded)
        for start, length in fragments:
            rows, columns = announced(view[start : start + length]) or (0, 0)
            if rows > self._rows or columns > self._columns:
                _refuse(f"its compressed pixels announce {rows} x {columns}, its header {self._rows} x {self._columns}")

    def _count_frames(self) -> int:
        text = self.text(_FRAMES) or "1"
        if not (text.isascii() and text.removeprefix("+").isdigit() and len(text) <= 12 and int(text) > 0):
            _refuse("Number of Frames (0028,0008) is not a positive integer")
        return int(text)

    def _number(self, tag: int) -> int:
        raw = self._raw(tag)
        if len(raw) not in (0, 2):
            _refuse(f"its element {tag >> 16:04X},{tag & 0xFFFF:04X} is not one number")
        return int.from_bytes(raw, "little" if self._syntax.is_little_endian else "big")

    def _raw(self, tag: int) -> bytes:
        if tag not in self._elements:
            return b""
        element = self._elements[tag]
        return self._encoded[element.start : element.start + element.length]


def _uid(text: str, name: str) -> str:
    if not text:
        _refuse(f"it has no {name}")
    if not is_uid(text):
        _refuse(f"its {name} is not a UID")
    return text


def _refuse(reason: str) -> NoReturn:
    raise UnreadableInstance(f"The instance cannot be kept: {reason}.")

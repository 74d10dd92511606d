"""One instance on its way in: what the association said, what the data set says, and whether the two hold together.

The data set is looked at once, without decoding a pixel: identity, consistency with the command set, and whether it is
complete. A cut image that is answered with success would be analysed as if it were whole.
"""

import re
import struct
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any, NoReturn

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator, read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from inference.errors import MismatchedInstance, UnreadableInstance
from reports.equipment import PRODUCT

UNDEFINED_LENGTH = 0xFFFFFFFF
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, double and integer Pixel Data (PS3.3 C.7.6.24, C.7.6.25, C.7.6.3)."""
_ITEM, _SEQUENCE_DELIMITER = 0xFFFEE000, 0xFFFEE0DD
_UID_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError, OSError, RecursionError,
    TypeError, ValueError, struct.error,
)  # fmt: skip
"""What pydicom raises on bytes that are no data set."""

IDENTITY = {
    "sop_class_uid": 0x00080016,
    "sop_instance_uid": 0x00080018,
    "study_instance_uid": 0x0020000D,
    "series_instance_uid": 0x0020000E,
}
_TEXTS = {"image_type": 0x00080008, "manufacturer": 0x00080070, "photometric": 0x00280004, "frames": 0x00280008}
_NUMBERS = {"samples": 0x00280002, "rows": 0x00280010, "columns": 0x00280011, "bits_allocated": 0x00280100}
_WANTED = [BaseTag(tag) for tag in (*IDENTITY.values(), *_TEXTS.values(), *_NUMBERS.values(), *PIXEL_TAGS)]


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


@dataclass(frozen=True)
class Header:
    """What the data set itself says, once it was found sound."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    own_result: bool
    """Made by this product: a PACS that forwards everything sends our own results back."""


@dataclass(frozen=True)
class Instance:
    """An instance that is kept: its file is synced and its row committed."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    sha256: str
    """Of the encoded data set as it was received, without file meta information."""
    size_bytes: int
    """Of the encoded data set."""
    path: str
    """Relative to the inbox; never made of anything the network said."""
    calling_ae_title: str
    peer_address: str
    received_at: datetime


def inspect(arrival: Arrival) -> Header:
    """Read what identifies an arrival, and check that it is whole.

    Raises:
        UnreadableInstance: it is no data set, is cut short, lacks an identifying element, or a UID is not one.
        MismatchedInstance: command set and data set name different instances (PS3.4 B.2.3, status A900).
    """
    _uid(arrival.sop_instance_uid, "Affected SOP Instance UID of the command set")
    _uid(arrival.sop_class_uid, "Affected SOP Class UID of the command set")
    stream = _Stream(arrival.encoded)
    try:
        elements = _elements(stream, UID(arrival.transfer_syntax_uid))
    except _DAMAGE as error:
        raise UnreadableInstance(f"The data set cannot be read ({type(error).__name__}).") from error
    if stream.cut:
        _refuse("the data set is cut short")
    identity = {name: _uid(_text(elements, tag), name.replace("_", " ")) for name, tag in IDENTITY.items()}
    for name in ("sop_class_uid", "sop_instance_uid"):
        if identity[name] != getattr(arrival, name):
            raise MismatchedInstance(f"The command set and the data set disagree on the {name.replace('_', ' ')}.")
    return Header(**identity, own_result=_is_own(elements))


class _Stream(BytesIO):
    """Remembers that an element's header, or a value of its length, ended before its time."""

    cut = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as ever; eight bytes are what an element starts with."""
        data = super().read(size)
        if size == 8 and 0 < len(data) < 8:
            self.cut = True
        return data


def _elements(stream: _Stream, syntax: UID) -> Dataset:
    """Read the elements of interest; skip the others by their length, and check the pixel data's."""
    is_implicit, is_little = syntax.is_implicit_VR, syntax.is_little_endian
    size = len(stream.getbuffer())
    found = read_dataset(
        stream, is_implicit, is_little, specific_tags=_WANTED, stop_when=lambda tag, _vr, _length: tag in PIXEL_TAGS
    )
    stream.cut = stream.cut or any(len(element.value or b"") < element.length for element in _raw_elements(found))
    if stream.tell() >= size:
        if _number(found, _NUMBERS["rows"]):
            _refuse("an image without pixel data, or cut short before it")
        stream.cut = stream.cut or stream.tell() > size
        return found
    is_implicit, is_little = found.original_encoding
    pixels = next(data_element_generator(stream, is_implicit, is_little, defer_size=0), None)
    if not isinstance(pixels, RawDataElement) or pixels.tag not in PIXEL_TAGS:
        _refuse("its elements do not follow each other")
    if pixels.length == UNDEFINED_LENGTH:
        _check_fragments(stream, pixels.value_tell, syntax, frames=_frames(found), is_little=is_little)
    else:
        _check_native_length(found, pixels.length, syntax)
        stream.cut = stream.tell() > size
    found[pixels.tag] = pixels
    _check_rest(stream, is_implicit=is_implicit, is_little=is_little)
    return found


def _check_native_length(found: Dataset, length: int, syntax: UID) -> None:
    """PS3.5 8.1.1: rows x columns x samples x bits allocated x frames, and padding of less than a frame."""
    if syntax.is_encapsulated:
        _refuse("native pixel data in an encapsulated transfer syntax")
    rows, columns, bits = (_number(found, _NUMBERS[name]) for name in ("rows", "columns", "bits_allocated"))
    samples = _number(found, _NUMBERS["samples"]) or 1
    if not (rows and columns and bits):
        _refuse("pixel data without rows, columns or bits allocated")
    total_bits = rows * columns * samples * bits * _frames(found)
    if _text(found, _TEXTS["photometric"]) == "YBR_FULL_422":
        total_bits = total_bits * 2 // 3
    expected = -(-total_bits // 8)
    if not expected <= length < expected + max(expected // _frames(found), 2):
        _refuse(f"{length} bytes of pixel data where {expected} belong")


def _check_fragments(stream: _Stream, start: int, syntax: UID, *, frames: int, is_little: bool) -> None:
    """PS3.5 A.4: an offset table, at least one fragment a frame, and a sequence delimiter at the end."""
    if not syntax.is_encapsulated:
        _refuse("encapsulated pixel data in a native transfer syntax")
    order = "<HHL" if is_little else ">HHL"
    stream.seek(start)
    items = 0
    while True:
        group, element, length = struct.unpack(order, stream.read(8))
        if group << 16 | element == _SEQUENCE_DELIMITER:
            break
        if group << 16 | element != _ITEM or length == UNDEFINED_LENGTH:
            _refuse("the fragments of the pixel data do not follow each other")
        stream.seek(length, 1)
        items += 1
    if items < 1 + frames:
        _refuse(f"{max(items - 1, 0)} fragments of pixel data for {frames} frames")


def _check_rest(stream: _Stream, *, is_implicit: bool, is_little: bool) -> None:
    """What follows the pixel data (padding, signatures) must be whole too; zeros are let pass."""
    rest = _Stream(stream.read())
    if any(rest.getbuffer()):
        for _ in data_element_generator(rest, is_implicit, is_little, defer_size=0):
            stream.cut = stream.cut or rest.tell() > len(rest.getbuffer())
        stream.cut = stream.cut or rest.cut


def _is_own(found: Dataset) -> bool:
    manufacturer = _text(found, _TEXTS["manufacturer"]).lower()
    derived = _text(found, _TEXTS["image_type"]).upper().startswith("DERIVED")
    return manufacturer == PRODUCT and (derived or not any(tag in found for tag in PIXEL_TAGS))


def _frames(found: Dataset) -> int:
    return int(_text(found, _TEXTS["frames"]) or 1)


def _raw_elements(found: Dataset) -> list[RawDataElement]:
    return [element for element in found.values() if isinstance(element, RawDataElement)]


def _raw(found: Dataset, tag: int) -> bytes:
    value: Any = found.get_item(tag).value if tag in found else None
    return value if isinstance(value, bytes) else b""


def _text(found: Dataset, tag: int) -> str:
    return _raw(found, tag).decode("latin-1").strip(" \0")


def _number(found: Dataset, tag: int) -> int:
    return int.from_bytes(_raw(found, tag), "little" if found.original_encoding[1] else "big")


def _uid(text: str, name: str) -> str:
    """PS3.5 9.1, but for leading zeros in a component, which old modalities write."""
    if not text:
        _refuse(f"it has no {name}")
    if len(text) > 64 or not _UID_PATTERN.fullmatch(text):
        _refuse(f"its {name} is not a UID")
    return text


def _refuse(reason: str) -> NoReturn:
    raise UnreadableInstance(f"The instance cannot be kept: {reason}.")

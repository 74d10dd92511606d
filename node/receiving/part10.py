"""File meta information (PS3.10 7.1): written before every data set that is kept, read from what comes by DICOMweb."""

import struct
from io import BytesIO

from pydicom.filereader import read_dataset, read_preamble

from inference.errors import DAMAGE, UnreadableInstance
from node.studies.instance import Instance
from reports.objects.equipment import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

CLASS, INSTANCE, SYNTAX = 0x00020002, 0x00020003, 0x00020010
_LONGEST_HEAD_BYTES = 1 << 16
"""File meta information is a few hundred bytes; a file in which it is longer is refused."""


def read_file_meta(part: bytes) -> tuple[dict[int, str], int]:
    """Read the file meta information of a DICOM file; give its UIDs by tag, and where the data set begins.

    Raises:
        UnreadableInstance: there is none, it cannot be read, or no data set follows.
    """
    buffer = BytesIO(part[:_LONGEST_HEAD_BYTES])  # not by dcmread: it would inflate a deflated data set
    try:
        read_preamble(buffer, force=False)
        meta = read_dataset(buffer, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
        values = {tag: str(meta[tag].value) for tag in (CLASS, INSTANCE, SYNTAX) if tag in meta}
    except DAMAGE as error:
        raise UnreadableInstance("A part is not a DICOM file with file meta information (PS3.10 7.1).") from error
    if buffer.tell() >= len(part):
        raise UnreadableInstance("The DICOM file ends with its file meta information: it has no data set.")
    return values, buffer.tell()


def file_head(instance: Instance) -> bytes:
    """Write a zeroed preamble, the prefix, and file meta information that names this product as the writer.

    By hand, because every received instance waits for it: pydicom's writer takes a tenth of the time that all else of a
    small CT image takes.
    """
    meta = (
        _element(0x0001, b"OB", b"\0\1")
        + _element(0x0002, b"UI", instance.sop_class_uid.encode())
        + _element(0x0003, b"UI", instance.sop_instance_uid.encode())
        + _element(0x0010, b"UI", instance.transfer_syntax_uid.encode())
        + _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode())
        + _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode())
        + _element(0x0016, b"AE", instance.calling_ae_title.encode())
    )
    return b"\0" * 128 + b"DICM" + _element(0x0000, b"UL", struct.pack("<L", len(meta))) + meta


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    """PS3.5 7.1.2: one element of group 0002, Explicit VR Little Endian, padded to an even length."""
    padded = value + (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    length = struct.pack("<HL", 0, len(padded)) if vr == b"OB" else struct.pack("<H", len(padded))
    return struct.pack("<HH", 0x0002, element) + vr + length + padded

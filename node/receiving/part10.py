"""File meta information (PS3.10 7.1) of a DICOM file that came in by DICOMweb."""

import struct

from inference.errors import UnreadableInstance

CLASS, INSTANCE, SYNTAX = 0x00020002, 0x00020003, 0x00020010
_PREFIX_END = 132
_LONG_FORMS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations with a length of 32 bits (PS3.5 7.1.2)."""


def file_meta(part: bytes) -> tuple[dict[int, str], int]:
    """Read file meta information (PS3.10 7.1); give its values by tag, and where the data set begins.

    Raises:
        UnreadableInstance: there is none, or it is cut.
    """
    if part[_PREFIX_END - 4 : _PREFIX_END] != b"DICM":
        raise UnreadableInstance("A part is no DICOM file.")
    found: dict[int, str] = {}
    at = _PREFIX_END
    while part[at : at + 2] == b"\x02\x00":
        try:
            group, element, kind, length = struct.unpack_from("<HH2sH", part, at)
            at += 8
            if kind in _LONG_FORMS:
                (length,) = struct.unpack_from("<L", part, at)
                at += 4
        except struct.error as error:
            raise UnreadableInstance("The file meta information is cut short.") from error
        if length <= 64:
            found[group << 16 | element] = part[at : at + length].decode("latin-1").strip(" \0")
        at += length
    return found, at

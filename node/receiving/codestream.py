"""How large an image a compressed fragment announces, read from its first headers; nothing is decoded."""

import struct
from collections.abc import Iterator

_JPEG_START, _JPEG2000_START = b"\xff\xd8\xff", b"\xff\x4f\xff\x51"
_SEARCHED_BYTES = 1 << 16
_MOST_SEGMENTS = 1000
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Start of frame of JPEG (ITU-T T.81 B.1.1.3) and of JPEG-LS (T.87 C.1.1)."""
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_SCAN, _END, _LARGE = 0xDA, 0xD9, 0xF8
RLE_MOST_BYTES_OF_ONE = 64
"""Two bytes of PackBits give at most 128 (PS3.5 G.3.1)."""


def announced(fragment: memoryview) -> tuple[int, int] | None:
    """Return the largest (rows, columns) that the headers of a JPEG, JPEG-LS or JPEG 2000 codestream announce.

    None where the fragment starts no such codestream, as one that goes on with another does not.
    """
    head = bytes(fragment[:_SEARCHED_BYTES])
    start = head.find(_JPEG2000_START)
    if start >= 0 and (start == 0 or head[4:8] == b"jP  "):
        return _jpeg2000(head[start:])
    if head.startswith(_JPEG_START):
        sizes = tuple(_jpeg(fragment))
        return (max(rows for rows, _ in sizes), max(columns for _, columns in sizes)) if sizes else None
    return None


def _jpeg2000(head: bytes) -> tuple[int, int] | None:
    """ITU-T T.800 A.5.1: the SIZ segment, whose image area lies between an offset and the size of the grid."""
    if len(head) < 24:
        return None
    width, height, left, top = struct.unpack_from(">4L", head, 8)
    return max(height - top, 0), max(width - left, 0)


def _jpeg(fragment: memoryview) -> Iterator[tuple[int, int]]:
    """Walk the marker segments up to the scan: frame headers, and the larger sizes of JPEG-LS (T.87 C.2.4.1.4)."""
    position = 2
    for _ in range(_MOST_SEGMENTS):
        if position + 4 > len(fragment) or fragment[position] != 0xFF:
            return
        marker = fragment[position + 1]
        if marker in (0xFF, *_WITHOUT_LENGTH):
            position += 1 if marker == 0xFF else 2
            continue
        if marker in (_SCAN, _END):
            return
        (length,) = struct.unpack_from(">H", fragment, position + 2)
        segment = bytes(fragment[position + 4 : position + 2 + length])
        if marker in _FRAME_HEADERS and len(segment) >= 5:
            yield struct.unpack_from(">HH", segment, 1)
        if marker == _LARGE and len(segment) >= 6 and segment[0] == 4:
            yield _large(segment)
        position += 2 + max(length, 2)


def _large(segment: bytes) -> tuple[int, int]:
    width = segment[1]
    half = (len(segment) - 2) // 2
    size = min(width, half)
    return int.from_bytes(segment[2 : 2 + size], "big"), int.from_bytes(segment[2 + size : 2 + 2 * size], "big")

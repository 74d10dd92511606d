"""The program of the process that decodes compressed pixels; started by ``inference.reading.decoding``, never imported.

Reads from standard input a length, a JSON header and the bytes that the header announces; answers on standard output
with a length, a JSON header and the planes, or the name of what went wrong. It also compares two files of one instance,
pixel by pixel and element by element. It imports no other module of the product.

This process is the boundary: whatever a decoder raises is the answer to one request, and never the end of the process.
"""

import json
import logging
import resource
import struct
import sys
import warnings
from contextlib import suppress
from io import BytesIO
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset, dcmread, uid
from pydicom.encaps import parse_fragments
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import Decoder
from pydicom.pixels.utils import as_pixel_options
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, RLELossless

_LENGTH = struct.Struct("<Q")
_ITEM = struct.Struct("<4sL")
_EMPTY_ITEM = b"\xfe\xff\x00\xe0\0\0\0\0"
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_LOSSLESS = {
    uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.RLELossless, uid.JPEGLossless,
    uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL,
}  # fmt: skip
_EITHER = {uid.JPEG2000, uid.HTJ2K}
_OF_ENCODING = {
    *map(Tag, _PIXELS), Tag(0x7FE00001), Tag(0x7FE00002), Tag(0x7FE00003), Tag(0xFFFCFFFC),
    Tag("DerivationDescription"), Tag("DerivationCodeSequence"),
}  # fmt: skip
"""What another transfer syntax changes: pixels, their offset tables and length, padding at the end, and what a
compressor says of itself."""
_OF_COLOUR = {Tag("PhotometricInterpretation"), Tag("PlanarConfiguration")}
"""What it changes in colour images too, whose planes are compared as RGB."""
_LOSSY, _NOT_LOSSY = Tag("LossyImageCompression"), DataElement("LossyImageCompression", "CS", "")
_MOST_DIFFERING = 1000
_CODESTREAM_STARTS = (b"\xff\xd8", b"\xff\x4f", b"\0\0")
"""JPEG and JPEG-LS, JPEG 2000, and JPEG 2000 in a file format's box."""

_LARGEST_SIDE = 0xFFFF
"""Of Rows and Columns; a codestream that states more is damaged."""
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG's and JPEG-LS's frame headers (ITU-T T.81 table B.1, T.87)."""


class _Raised(logging.Handler):
    """Keeps what decoders raised: pydicom logs it, and raises RuntimeError in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[type[BaseException]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0]:
            self.kinds.add(record.exc_info[0])


def main() -> None:
    """Serve until the other end of the pipe closes."""
    address_space_bytes, cpu_seconds = (int(argument) for argument in sys.argv[1:3])
    warnings.simplefilter("ignore")  # what pydicom warns of may quote values of the image
    raised = _Raised()
    logger = logging.getLogger("pydicom")
    logger.handlers, logger.propagate = [raised], False
    for kind, limit in (
        (resource.RLIMIT_AS, address_space_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit + (kind == resource.RLIMIT_CPU)))  # SIGXCPU, and not at once SIGKILL
    asking, answering = sys.stdin.buffer, sys.stdout.buffer
    while head := asking.read(_LENGTH.size):
        request = json.loads(asking.read(_LENGTH.unpack(head)[0]))
        raised.kinds.clear()
        contents = [asking.read(length) for length in request.pop("lengths")]
        planes, answer = None, dict[str, Any]()
        try:
            if len(contents) == 1:
                planes = _decode(request, contents[0])
                answer = {"type": planes.dtype.str, "shape": planes.shape}
            else:
                answer = _compare(dcmread(BytesIO(contents[0])), dcmread(BytesIO(b"".join(contents[1:]))))
        except BaseException as error:  # noqa: BLE001 - the boundary of this process: what panics in Rust is no Exception
            short = any(issubclass(kind, MemoryError) for kind in (type(error), *raised.kinds))
            answer = {"error": type(error).__name__, "out_of_memory": short, "size": getattr(error, "size", None)}
        _answer(answering, answer)
        if planes is not None:
            answering.write(planes.data.cast("B"))
        answering.flush()


class _OtherSize(Exception):
    """A codestream is of other rows and columns than the header says."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.size = size


def _decode(request: dict[str, Any], encapsulated: bytes) -> NDArray[np.generic]:
    """Decode all frames, each of which is one fragment or more (PS3.5 A.4).

    Where as many fragments as frames lie there, offset tables say nothing further and are not looked at; the Extended
    Offset Table (PS3.3 C.7.6.3.1.8) is for nothing else. Where there are more, the Basic Offset Table tells which
    belong together. One that is wrong, or by which a frame cannot be decoded, is left out: the marker that ends a
    codestream then tells it. Bits beyond Bits Stored stay as they are: which bits hold the image, High Bit says.
    """
    syntax = UID(request.pop("transfer_syntax_uid"))
    request["correct_unused_bits"] = False
    request.pop("extended_offsets", None)
    decoder: Decoder = get_decoder(syntax)
    if not syntax.is_encapsulated:
        return np.ascontiguousarray(decoder.as_array(encapsulated, **request)[0])
    first = _ITEM.size + _ITEM.unpack_from(encapsulated)[1]
    places = parse_fragments(encapsulated[first:])[1]
    contents = [(place, first + place + _ITEM.size) for place in places]
    if syntax != RLELossless:
        _check_sizes(request, encapsulated, [content for _, content in contents])
    if first == _ITEM.size:
        return np.ascontiguousarray(decoder.as_array(encapsulated, **request)[0])
    table = np.frombuffer(encapsulated[_ITEM.size : first], "<u1" if first % 4 else "<u4").tolist()
    starts = [
        place
        for place, content in contents
        if syntax == RLELossless or encapsulated[content : content + 2] in _CODESTREAM_STARTS
    ]
    if len(places) > request["number_of_frames"] and _is_right(table, request["number_of_frames"], starts):
        with suppress(Exception):
            return np.ascontiguousarray(decoder.as_array(encapsulated, **request)[0])
    return np.ascontiguousarray(decoder.as_array(_EMPTY_ITEM + encapsulated[first:], **request)[0])


def _check_sizes(request: dict[str, Any], encapsulated: bytes, contents: list[int]) -> None:
    """Compare the rows and columns that codestreams state with those of the header.

    Raises:
        _OtherSize: they differ: read by the header, the image would be scrambled.
    """
    for content in contents:
        size = _size_of(encapsulated, content)
        if size is not None and size != (request["rows"], request["columns"]):
            raise _OtherSize(size)


def _size_of(encapsulated: bytes, at: int) -> tuple[int, int] | None:
    """Return rows and columns that a codestream states.

    JPEG and JPEG-LS by their frame header (ITU-T T.81 B.2.2, T.87 C.2.2), JPEG 2000 by SIZ (T.800 A.5.1).

    Args:
        encapsulated: the items.
        at: where the content of a fragment begins.

    Returns:
        None where no codestream begins there, or none that says it.
    """
    with suppress(struct.error, IndexError):
        if encapsulated[at : at + 4] == b"\xff\x4f\xff\x51":
            right, bottom, left, top = struct.unpack_from(">4L", encapsulated, at + 8)
            size = (bottom - top, right - left)
            return size if min(size) > 0 and max(size) <= _LARGEST_SIDE else None
        if encapsulated[at : at + 2] != b"\xff\xd8":
            return None
        at += 2
        while encapsulated[at] == 0xFF:
            marker = encapsulated[at + 1]
            if marker == 0xFF:
                at += 1
            elif marker in _FRAME_HEADERS:
                rows, columns = struct.unpack_from(">2H", encapsulated, at + 5)
                return (rows, columns) if rows and columns else None
            else:
                at += 2 + struct.unpack_from(">H", encapsulated, at + 2)[0]
    return None


def _is_right(table: list[int], frames: int, starts: list[int]) -> bool:
    """Whether a Basic Offset Table leads, for every frame and in order, to a fragment that starts a frame."""
    return len(table) == frames and table == sorted({*table}) and {*table} <= {*starts}


def _compare(first: Dataset, second: Dataset) -> dict[str, Any]:
    """Return whether two files of one instance have equal pixels, and the tags in which they differ otherwise."""
    in_colour = all(dataset.get("SamplesPerPixel", 1) > 1 for dataset in (first, second))
    tags = ({*first.keys(), *second.keys()}) - (_OF_ENCODING | _OF_COLOUR if in_colour else _OF_ENCODING)
    differing = [int(tag) for tag in sorted(tags) if tag.element and not _equal(first, second, tag)]
    return {"same_pixels": _same_pixels(first, second), "differing": differing[:_MOST_DIFFERING]}


def _equal(first: Dataset, second: Dataset, tag: BaseTag) -> bool:
    """Whether an element has the same value in both, however it is padded and ordered; items are compared alike."""
    if tag not in first or tag not in second:
        return tag == _LOSSY and all(dataset.get(tag, _NOT_LOSSY).value in ("", "00") for dataset in (first, second))
    written = [getattr(dataset.get_item(tag), "value", None) for dataset in (first, second)]
    if first.original_encoding == second.original_encoding and all(isinstance(value, bytes) for value in written):
        return len({cast("bytes", value).rstrip(b" \0") for value in written}) == 1
    mine, other = first[tag], second[tag]
    if mine.VR != "SQ" or other.VR != "SQ":
        return bool(mine.value == other.value)
    return len(mine.value) == len(other.value) and all(
        _equal(*items, inner)
        for items in zip(mine.value, other.value, strict=True)
        for inner in {*items[0].keys(), *items[1].keys()}
        if inner.element
    )


def _same_pixels(first: Dataset, second: Dataset) -> bool:
    """Whether the bytes of the pixels are equal, or their values are and both are compressed without loss."""
    keywords = [next((name for name in _PIXELS if name in dataset), "") for dataset in (first, second)]
    if keywords[0] != keywords[1] or not keywords[0]:
        return keywords[0] == keywords[1]
    syntaxes = [dataset.file_meta.TransferSyntaxUID for dataset in (first, second)]
    contents = [dataset[keywords[0]].value for dataset in (first, second)]
    if syntaxes[0] == syntaxes[1] and contents[0].rstrip(b"\0") == contents[1].rstrip(b"\0"):
        return True
    if not all(_is_lossless(dataset) for dataset in (first, second)):
        return False
    planes = [
        _decode({**as_pixel_options(dataset, pixel_keyword=keywords[0]), "transfer_syntax_uid": syntax}, content)
        for dataset, syntax, content in zip((first, second), syntaxes, contents, strict=True)
    ]
    return bool(np.array_equal(planes[0], planes[1]))


def _is_lossless(dataset: Dataset) -> bool:
    """By the transfer syntax; where that allows both (JPEG 2000), by Lossy Image Compression (0028,2110) too."""
    syntax = dataset.file_meta.TransferSyntaxUID
    return syntax in _LOSSLESS or (syntax in _EITHER and dataset.get("LossyImageCompression") in (None, "", "00"))


def _answer(stream: IO[bytes], header: dict[str, Any]) -> None:
    encoded = json.dumps(header).encode()
    stream.write(_LENGTH.pack(len(encoded)) + encoded)


if __name__ == "__main__":
    main()

"""The program of the process that decodes compressed pixels; started by ``inference.reading.decoding``, never imported.

Reads from standard input a length, a JSON header and the bytes that the header announces; answers on standard output
with a length, a JSON header and the planes, or the name of what went wrong. It imports no other module of the product.

This process is the boundary: whatever a decoder raises is the answer to one request, and never the end of the process.
"""

import json
import logging
import resource
import struct
import sys
import warnings
from contextlib import suppress
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import parse_fragments
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import UID, RLELossless

_LENGTH = struct.Struct("<Q")
_ITEM = struct.Struct("<4sL")
_EMPTY_ITEM = b"\xfe\xff\x00\xe0\0\0\0\0"
_CODESTREAM_STARTS = (b"\xff\xd8", b"\xff\x4f", b"\0\0")
"""JPEG and JPEG-LS, JPEG 2000, and JPEG 2000 in a file format's box."""


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
        try:
            planes = _decode(request, asking.read(request.pop("length")))
        except Exception as error:  # noqa: BLE001 - the boundary of this process: decoders raise what they like
            short = any(issubclass(kind, MemoryError) for kind in (type(error), *raised.kinds))
            _answer(answering, {"error": type(error).__name__, "out_of_memory": short})
        else:
            _answer(answering, {"type": planes.dtype.str, "shape": planes.shape})
            answering.write(planes.data.cast("B"))
        answering.flush()


def _decode(request: dict[str, Any], encapsulated: bytes) -> NDArray[np.generic]:
    """Decode all frames, each of which is one fragment or more (PS3.5 A.4).

    Where as many fragments as frames lie there, offset tables say nothing further and are not looked at; the Extended
    Offset Table (PS3.3 C.7.6.3.1.8) is for nothing else. Where there are more, the Basic Offset Table tells which
    belong together. One that is wrong, or by which a frame cannot be decoded, is left out: the marker that ends a
    codestream then tells it.
    """
    syntax = UID(request.pop("transfer_syntax_uid"))
    request.pop("extended_offsets", None)
    decoder: Decoder = get_decoder(syntax)
    first = _ITEM.size + _ITEM.unpack_from(encapsulated)[1]
    if first == _ITEM.size:
        return np.ascontiguousarray(decoder.as_array(encapsulated, **request)[0])
    table = np.frombuffer(encapsulated[_ITEM.size : first], "<u1" if first % 4 else "<u4").tolist()
    places = parse_fragments(encapsulated[first:])[1]
    contents = ((place, first + place + _ITEM.size) for place in places)
    starts = [
        place
        for place, content in contents
        if syntax == RLELossless or encapsulated[content : content + 2] in _CODESTREAM_STARTS
    ]
    if len(places) > request["number_of_frames"] and _is_right(table, request["number_of_frames"], starts):
        with suppress(Exception):
            return np.ascontiguousarray(decoder.as_array(encapsulated, **request)[0])
    return np.ascontiguousarray(decoder.as_array(_EMPTY_ITEM + encapsulated[first:], **request)[0])


def _is_right(table: list[int], frames: int, starts: list[int]) -> bool:
    """Whether a Basic Offset Table leads, for every frame and in order, to a fragment that starts a frame."""
    return len(table) == frames and table == sorted({*table}) and {*table} <= {*starts}


def _answer(stream: IO[bytes], header: dict[str, Any]) -> None:
    encoded = json.dumps(header).encode()
    stream.write(_LENGTH.pack(len(encoded)) + encoded)


if __name__ == "__main__":
    main()

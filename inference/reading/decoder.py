"""The program of the process that decodes compressed pixels; started by ``inference.reading.decoding``, never imported.

Reads from standard input a length, a JSON header and the pixels; answers on standard output with a length, a JSON
header and the planes, or the name of what went wrong. It imports no other module of the product.
"""

import json
import resource
import struct
import sys
import warnings
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import UID

_LENGTH = struct.Struct("<Q")
_UNDECODABLE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError, OSError, RuntimeError,
    TypeError, ValueError, struct.error,
)  # fmt: skip
"""What pydicom and its decoders raise on damaged pixels."""


def main() -> None:
    """Serve until the other end of the pipe closes."""
    address_space_bytes, cpu_seconds = (int(argument) for argument in sys.argv[1:3])
    warnings.simplefilter("ignore")  # what pydicom warns of may quote values of the image
    for kind, limit in (
        (resource.RLIMIT_AS, address_space_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    asking, answering = sys.stdin.buffer, sys.stdout.buffer
    while head := asking.read(_LENGTH.size):
        request = json.loads(asking.read(_LENGTH.unpack(head)[0]))
        try:
            planes = _decode(request, asking.read(request.pop("length")))
        except _UNDECODABLE as error:
            _answer(answering, {"error": type(error).__name__})
        else:
            _answer(answering, {"type": planes.dtype.str, "shape": planes.shape})
            answering.write(planes.data.cast("B"))
        answering.flush()


def _decode(request: dict[str, Any], encapsulated: bytes) -> NDArray[np.generic]:
    decoder: Decoder = get_decoder(UID(request.pop("transfer_syntax_uid")))
    planes, _ = decoder.as_array(encapsulated, **request)
    return np.ascontiguousarray(planes)


def _answer(stream: IO[bytes], header: dict[str, Any]) -> None:
    encoded = json.dumps(header).encode()
    stream.write(_LENGTH.pack(len(encoded)) + encoded)


if __name__ == "__main__":
    main()

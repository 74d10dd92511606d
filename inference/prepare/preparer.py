"""The program of the process that prepares images; started by ``inference.prepare.bounded``, never imported.

Reads from standard input a length, a JSON header and the bytes of an image's arrays; answers on standard output with a
length, a JSON header and the network's input, or the error that says why there is none.
"""

import json
import math
import resource
import struct
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from inference.archive import put_together
from inference.bundle.bundle import Bundle, load_bundle
from inference.errors import BundleRefused, HeatproofError, OutOfScope
from inference.prepare.inputs import prepare
from inference.reading.image import Image

_LENGTH = struct.Struct("<Q")


def main() -> None:
    """Serve until the other end of the pipe closes."""
    address_space_bytes = int(sys.argv[1])
    for kind, limit in (
        (resource.RLIMIT_AS, address_space_bytes), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        resource.setrlimit(kind, (limit, limit))
    asking, answering = sys.stdin.buffer, sys.stdout.buffer
    loaded: dict[str, Bundle] = {}
    while head := asking.read(_LENGTH.size):
        request = json.loads(asking.read(_LENGTH.unpack(head)[0]))
        answer: dict[str, Any] = {}
        values: np.ndarray[Any, Any] | None = None
        if request["image"] is not None:  # else whether it has started is asked
            answer, values = _answer(request, asking, loaded)
        encoded = json.dumps(answer).encode()
        answering.write(_LENGTH.pack(len(encoded)) + encoded)
        if values is not None:
            answering.write(values.data.cast("B"))
        answering.flush()


def _answer(
    request: dict[str, Any], asking: IO[bytes], loaded: dict[str, Bundle]
) -> tuple[dict[str, Any], np.ndarray[Any, Any] | None]:
    """Return the header of an answer, and the network's input where there is one."""
    arrays = _arrays(request, asking)
    _limit_time(request)
    try:
        return _prepared(_bundle(request, loaded), put_together(Image, request["image"], arrays))
    except HeatproofError as error:
        return {"error": type(error).__name__, "message": error.args[0], "cure": error.cure}, None
    except MemoryError:
        message = "The preprocessing needs more memory than its process may have."
        return {"error": OutOfScope.__name__, "message": message, "cure": ""}, None


def _arrays(request: dict[str, Any], asking: IO[bytes]) -> dict[str, np.ndarray[Any, Any]]:
    arrays = {}
    for (key, kind, shape), length in zip(request["arrays"], request["lengths"], strict=True):
        arrays[key] = np.frombuffer(bytearray(asking.read(length)), np.dtype(kind)).reshape(shape)
    return arrays


def _limit_time(request: dict[str, Any]) -> None:
    """Bound the processor time: of a process whose parent is gone, nobody else ends what does not end."""
    torch.set_num_threads(int(request["threads"]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    seconds = spent + (float(request["seconds"]) + 60.0) * max(1, int(request["threads"]))
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), hard))


def _bundle(request: dict[str, Any], loaded: dict[str, Bundle]) -> Bundle:
    """Return the bundle that is meant, the last one kept."""
    digest = str(request["digest"])
    if digest not in loaded:
        loaded.clear()
        bundle = load_bundle(Path(request["bundle"]))
        if bundle.identity.digest != digest:
            raise BundleRefused(f"{bundle.manifest.name} was sealed anew after it was loaded.", cure="Try again.")
        loaded[digest] = bundle
    return loaded[digest]


def _prepared(bundle: Bundle, image: Image) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    given = prepare(bundle, image)
    values = given.tensor.numpy()
    answer = {
        "type": values.dtype.str,
        "shape": values.shape,
        "to_source": given.to_source.tolist(),
        "source_shape": given.source_shape,
        "is_volume": given.is_volume,
        "places": given.places,
    }
    return answer, values


if __name__ == "__main__":
    main()

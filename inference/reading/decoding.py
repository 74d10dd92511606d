"""Decodes compressed pixels in a sandboxed child process, so that a malformed image cannot harm the caller.

Decoders are C libraries with a history of buffer overflows and decompression bombs. The process has limits of address
space and time, may not write files and gets none of the environment; it reads pixels from one pipe and writes planes
to another. If it crashes, that one image is refused with ``UnsupportedImage``. It is started at the first compressed
image and reused until it is closed or fails.
"""

import json
import math
import os
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from inference.errors import UnsupportedImage

PROGRAM = Path(__file__).with_name("decoder.py")
_LENGTH = struct.Struct("<Q")
_CHUNK_BYTES = 1 << 20
_ENDING_SECONDS = 1.0
_SHORT_OF_MEMORY = (signal.SIGABRT, signal.SIGKILL)
"""What ends a C++ decoder that gets no memory, and what the system ends processes with where there is none."""
_MEMORY_CURE = "Raise limits.decoding_mebibytes, or have the image sent uncompressed."
_START_CURE = "That is no fault of the image: check the installation of the node."
_DAMAGE_CURE = "Compare it with another viewer; where that shows the image, have it sent uncompressed."


@dataclass(frozen=True)
class DecodingLimits:
    """Limits of decoding the pixels of one study."""

    values: int = 1 << 29
    """Rows x columns x frames of one series."""
    seconds: float = 300.0
    """Decoding time of all files together."""
    mebibytes: int = 4096
    """Address space of the process."""


STANDARD = DecodingLimits()


@dataclass(frozen=True)
class ContentComparison:
    """How two files of one instance differ."""

    same_pixels: bool
    """The bytes are equal, or the values are and both are compressed without loss; also where neither has pixels."""
    differing: tuple[int, ...]
    """Tags of the outermost level, in order, whose values differ beyond what another transfer syntax changes."""


class DecodingProcess:
    """Decodes one image after another; close it, or use it as a context manager."""

    def __init__(self, limits: DecodingLimits = STANDARD) -> None:
        self.limits = limits
        self._seconds_left = limits.seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def decode(self, transfer_syntax_uid: str, encapsulated: bytes, header: dict[str, Any]) -> NDArray[np.generic]:
        """Decode the frames of one image of one sample a pixel.

        Args:
            transfer_syntax_uid: how it is compressed.
            encapsulated: the value of Pixel Data (PS3.5 A.4), offset table first.
            header: what pydicom's decoders need: rows, columns, number_of_frames, bits_allocated and so on.

        Returns:
            (frames, rows, columns) of the type that the header asks for.

        Raises:
            UnsupportedImage: no decoder can read it, or it is beyond the limits; the sentence says which.
        """
        answer, planes = self._answer({**header, "transfer_syntax_uid": transfer_syntax_uid}, encapsulated)
        if planes is None:
            raise self._refused(answer)
        return planes

    def compare(self, first: bytes, *second: bytes) -> ContentComparison:
        """Compare two DICOM files of one instance; both are read and decoded in the process.

        Args:
            first: one file, whole.
            second: the other, in any number of parts.

        Raises:
            UnsupportedImage: one of them cannot be read, or is beyond the limits; the sentence says which.
        """
        answer, _ = self._answer({}, first, *second)
        if "error" in answer:
            raise self._refused(answer)
        return ContentComparison(same_pixels=answer["same_pixels"], differing=tuple(answer["differing"]))

    def _answer(self, asked: dict[str, Any], *contents: bytes) -> tuple[dict[str, Any], NDArray[np.generic] | None]:
        """Send a request; return the answer, and the planes where it has any."""
        started = time.monotonic()
        try:
            return self._ask(asked, *contents, deadline=started + self._seconds_left)
        except TimeoutError as error:
            self.close()
            raise self._too_long() from error
        except (EOFError, OSError) as error:
            raise self._ended() from error
        except ValueError as error:
            self.close()
            raise UnsupportedImage(f"The compressed pixels cannot be decoded: {error}.") from error
        finally:
            self._seconds_left -= time.monotonic() - started

    def close(self) -> None:
        """End the process; another image starts a new one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in _pipes(process):
            with suppress(OSError):
                pipe.close()
        process.wait()

    def _ask(
        self, asked: dict[str, Any], *contents: bytes, deadline: float
    ) -> tuple[dict[str, Any], NDArray[np.generic] | None]:
        process = self._process = self._process or self._start()
        into, out_of = _pipes(process)
        header = json.dumps({**asked, "lengths": [len(content) for content in contents]}).encode()
        _write(into, _LENGTH.pack(len(header)) + header, deadline)
        for content in contents:
            _write(into, content, deadline)
        (length,) = _LENGTH.unpack(_read(out_of, _LENGTH.size, deadline))
        answer = json.loads(_read(out_of, min(length, _CHUNK_BYTES), deadline))
        if "type" not in answer:
            return answer, None
        kind, shape = np.dtype(answer["type"]), tuple(answer["shape"])
        if math.prod(shape) > self.limits.values:
            raise ValueError(f"they hold {math.prod(shape)} values, where {self.limits.values} are the limit")
        return answer, np.frombuffer(_read(out_of, math.prod(shape) * kind.itemsize, deadline), kind).reshape(shape)

    def _too_long(self) -> UnsupportedImage:
        return UnsupportedImage(
            "The compressed pixels take too long to decode.", cure=f"The limit is {self.limits.seconds:g} s."
        )

    def _refused(self, answer: dict[str, Any]) -> UnsupportedImage:
        """Say what a decoder raised; that memory was short only where it was."""
        if answer["out_of_memory"]:
            return UnsupportedImage(
                f"Decoding the compressed pixels needs more memory than {self.limits.mebibytes} MiB.",
                cure=_MEMORY_CURE,
            )
        if answer.get("size"):
            rows, columns = answer["size"]
            return UnsupportedImage(
                f"The compressed image has {rows} rows and {columns} columns, Rows (0028,0010) and Columns (0028,0011) "
                "say otherwise."
            )
        return UnsupportedImage(f"No decoder can read the compressed pixels ({answer['error']}).", cure=_DAMAGE_CURE)

    def _ended(self) -> UnsupportedImage:
        """Say how the process ended; the next image starts a new one."""
        process = self._process
        with suppress(subprocess.TimeoutExpired):
            if process is not None:
                process.wait(_ENDING_SECONDS)
        code = process.returncode if process is not None else None
        number = -code if code and code < 0 else 0
        self.close()
        if number == signal.SIGXCPU:
            return self._too_long()
        if not number:
            return UnsupportedImage(f"The decoding process ended by itself (exit status {code}).", cure=_START_CURE)
        name = signal.Signals(number).name
        if number in _SHORT_OF_MEMORY:
            return UnsupportedImage(
                f"The decoding process failed on the compressed pixels ({name}), as where memory runs out: its limit "
                f"is {self.limits.mebibytes} MiB.",
                cure=_MEMORY_CURE,
            )
        return UnsupportedImage(f"The decoding process failed on the compressed pixels ({name}).", cure=_DAMAGE_CURE)

    def _start(self) -> subprocess.Popen[bytes]:
        limits = (self.limits.mebibytes << 20, math.ceil(self.limits.seconds) + 5)
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a program of our own
            [sys.executable, "-P", "-s", str(PROGRAM), *map(str, limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
        )
        for pipe in _pipes(process):
            os.set_blocking(pipe.fileno(), False)
        return process


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return standard input and standard output of a process."""
    return cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)


def _wait(pipe: IO[bytes], event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(deadline - time.monotonic(), 0.0) * 1000):
        raise TimeoutError


def _write(pipe: IO[bytes], content: bytes, deadline: float) -> None:
    rest = memoryview(content)
    while rest:
        _wait(pipe, select.POLLOUT, deadline)
        rest = rest[os.write(pipe.fileno(), rest[:_CHUNK_BYTES]) :]


def _read(pipe: IO[bytes], size: int, deadline: float) -> bytearray:
    content = bytearray(size)
    rest = memoryview(content)
    while rest:
        _wait(pipe, select.POLLIN, deadline)
        count = os.readv(pipe.fileno(), [rest[:_CHUNK_BYTES]])
        if not count:
            raise EOFError
        rest = rest[count:]
    return content

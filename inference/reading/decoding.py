"""Decodes compressed pixels in a sandboxed child process, so that a malformed image cannot harm the caller.

Decoders are C libraries with a history of buffer overflows and decompression bombs. If the process crashes, that one
image is refused with ``UnsupportedImage``.
"""

import math
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import UnsupportedImage
from inference.limited import LimitedProcess

PROGRAM = Path(__file__).with_name("decoder.py")
_SHORT_OF_MEMORY = (signal.SIGABRT, signal.SIGKILL)
"""What ends a C++ decoder that gets no memory, and what the system ends processes with where there is none."""
_MEMORY_CURE = "Raise limits.decoding_mebibytes, or have the image sent uncompressed."
_START_CURE = "That is no fault of the image: check the installation of the node."
_DAMAGE_CURE = "Compare it with another viewer; where that shows the image, have it sent uncompressed."


@dataclass(frozen=True)
class DecodingLimits:
    """Limits of decoding the pixels of one study."""

    values: int = 1 << 29
    """Rows x columns x frames of one series, and of all stacks of a study that are kept together."""
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


class DecodingProcess(LimitedProcess):
    """Decodes one image after another; close it, or use it as a context manager."""

    def __init__(self, limits: DecodingLimits = STANDARD) -> None:
        super().__init__()
        self.limits = limits
        self._seconds_left = limits.seconds

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
            deadline = started + self._seconds_left
            return self.ask(asked, *contents, deadline=deadline, most_values=self.limits.values)
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
        code = self.ended()
        number = -code if code and code < 0 else 0
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

    def program(self) -> Path:
        """Return the program of the process."""
        return PROGRAM

    def limits_given(self) -> Sequence[int]:
        """Return address space in bytes, and processor time in seconds."""
        return self.limits.mebibytes << 20, math.ceil(self.limits.seconds) + 5

    def environment(self) -> Mapping[str, str]:
        """Return the number of threads of the numerics that its modules import."""
        return {"OPENBLAS_NUM_THREADS": "1"}

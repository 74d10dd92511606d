"""A child process with limits that answers one request after another: for what may crash, hang or take all memory.

It gets none of the environment and may write no file; its program limits its own address space and processor time, by
the arguments it is started with. A request and an answer are each a length, a JSON header and bytes.
"""

import json
import math
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<Q")
_CHUNK_BYTES = 1 << 20
_ENDING_SECONDS = 1.0


class LimitedProcess:
    """Started at the first request and reused until it is closed or fails; close it, or use it as a context manager."""

    most_header_bytes: ClassVar[int] = _CHUNK_BYTES
    """Of an answer's header."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_started(self) -> bool:
        """Whether there is a process, and it has not ended."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End the process; another request starts a new one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in _pipes(process):
            with suppress(OSError):
                pipe.close()
        process.wait()

    def program(self) -> Path:
        """Return the program of the process."""
        raise NotImplementedError

    def limits_given(self) -> Sequence[int]:
        """Return the arguments it is started with."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return the environment it gets beside the path of its modules."""
        return {}

    def ask(
        self, asked: dict[str, Any], *contents: bytes | memoryview, deadline: float, most_values: int
    ) -> tuple[dict[str, Any], NDArray[np.generic] | None]:
        """Send a request; return the answer's header, and the array where it has any.

        Args:
            asked: header of the request.
            contents: its bytes, in any number of parts.
            deadline: by ``time.monotonic``.
            most_values: that the array may hold.

        Raises:
            TimeoutError: there is no whole answer by the deadline; the process goes on until it is closed.
            EOFError: it has ended.
            OSError: it has ended, or could not be started.
            ValueError: the answer is not one, or the array holds more values.
        """
        process = self._process = self._process or self._start()
        into, out_of = _pipes(process)
        header = json.dumps({**asked, "lengths": [len(content) for content in contents]}).encode()
        _write(into, _LENGTH.pack(len(header)) + header, deadline)
        for content in contents:
            _write(into, content, deadline)
        (length,) = _LENGTH.unpack(_read(out_of, _LENGTH.size, deadline))
        answer = json.loads(_read(out_of, min(length, self.most_header_bytes), deadline))
        if "type" not in answer:
            return answer, None
        kind, shape = np.dtype(answer["type"]), tuple(answer["shape"])
        if math.prod(shape) > most_values:
            raise ValueError(f"they hold {math.prod(shape)} values, where {most_values} are the limit")
        return answer, np.frombuffer(_read(out_of, math.prod(shape) * kind.itemsize, deadline), kind).reshape(shape)

    def ended(self) -> int | None:
        """Close what has ended, and return its exit status; negative: the signal that ended it."""
        process = self._process
        with suppress(subprocess.TimeoutExpired):
            if process is not None:
                process.wait(_ENDING_SECONDS)
        code = process.returncode if process is not None else None
        self.close()
        return code

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a program of our own
            [sys.executable, "-P", "-s", str(self.program()), *map(str, self.limits_given())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={"PYTHONPATH": os.pathsep.join(sys.path), **self.environment()},
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


def _write(pipe: IO[bytes], content: bytes | memoryview, deadline: float) -> None:
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

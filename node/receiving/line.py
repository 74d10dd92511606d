"""The line between the node and one of its receivers: messages over a Unix socket, and open files with them."""

import json
import os
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_LENGTHS = struct.Struct("<LL")
MOST_BYTES = 1 << 20
"""Of the header or the content of one message; what is longer goes in a file."""


@dataclass(frozen=True)
class LineMessage:
    """One message."""

    word: str
    """What is asked, told or answered."""
    details: Mapping[str, Any]
    """Values of JSON."""
    content: bytes = b""
    file: bytes = field(default=b"", repr=False)
    """What the file that came with it holds."""


class ReceiverLine:
    """One end of a line; a message is sent whole, whatever thread sends it."""

    def __init__(self, end: socket.socket) -> None:
        """Bind to a connected Unix stream socket, which is closed with the line."""
        self._end = end
        self._asking = threading.Lock()

    def send(self, word: str, content: bytes = b"", *, descriptor: int | None = None, **details: Any) -> None:
        """Send one message, and an open file with it: its descriptor is closed here.

        Raises:
            OSError: the other end is closed.
        """
        header = json.dumps({"word": word, **details}).encode()
        message = _LENGTHS.pack(len(header), len(content)) + header + content
        sent = 0
        if descriptor is not None:
            try:
                sent = socket.send_fds(self._end, [message], [descriptor])
            finally:
                os.close(descriptor)  # who reads it holds the last reference to its memory
        self._end.sendall(message[sent:])

    def receive(self) -> LineMessage | None:
        """Wait for one message; None: the other end is closed.

        Raises:
            OSError: the other end has ended within a message.
            ValueError: it is no message, or too long.
        """
        start, descriptors, _, _ = socket.recv_fds(self._end, _LENGTHS.size, 1, socket.MSG_CMSG_CLOEXEC)
        try:
            if not start and not descriptors:
                return None
            header_bytes, content_bytes = _LENGTHS.unpack(start + self._read(_LENGTHS.size - len(start)))
            if max(header_bytes, content_bytes) > MOST_BYTES:
                raise ValueError("A message of the line is too long")
            details = json.loads(self._read(header_bytes))
            content = self._read(content_bytes)
            return LineMessage(details.pop("word"), details, content, _content_of(descriptors))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def ask(self, word: str, content: bytes = b"", *, descriptor: int | None = None, **details: Any) -> LineMessage:
        """Send one message and wait for the answer.

        Raises:
            OSError: the other end is closed.
            ValueError: the answer is none.
        """
        with self._asking:
            self.send(word, content, descriptor=descriptor, **details)
            answer = self.receive()
        if answer is None:
            raise ConnectionResetError("The other end of the line is closed")
        return answer

    def tell(self, word: str, **details: Any) -> None:
        """Send one message that is not answered, beside those of other threads.

        Raises:
            OSError: the other end is closed.
        """
        with self._asking:
            self.send(word, **details)

    def cut(self) -> None:
        """End it from another thread: whoever waits for a message sees the end."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _read(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            chunk = self._end.recv(size - len(received))
            if not chunk:
                raise ConnectionResetError("The line has ended within a message")
            received += chunk
        return bytes(received)


def file_of(content: memoryview) -> int:
    """Return the descriptor of a new file in memory that holds these bytes, and has no name in any folder.

    Raises:
        OSError: there is no memory for it.
    """
    descriptor = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _content_of(descriptors: list[int]) -> bytes:
    """Read the file that came with a message, from its beginning."""
    if not descriptors:
        return b""
    with open(descriptors[0], "rb", buffering=0, closefd=False) as file:
        file.seek(0)
        return file.readall()

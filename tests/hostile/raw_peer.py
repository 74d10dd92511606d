"""A DICOM peer of our own on a bare socket: it can say anything, well-formed or broken, and see what comes back."""

import socket
import struct
import time
from collections.abc import Sequence
from typing import Self

from tests.patience import patient

VERIFICATION = b"1.2.840.10008.1.1"
MR_IMAGE = b"1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, DEFLATED = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99"
APPLICATION = b"1.2.840.10008.3.1.1.1"
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
ECHO_CONTEXT, IMAGE_CONTEXT = 1, 3

Context = tuple[int, bytes, Sequence[bytes]]
CONTEXTS: tuple[Context, ...] = (
    (ECHO_CONTEXT, VERIFICATION, (IMPLICIT,)),
    (IMAGE_CONTEXT, MR_IMAGE, (EXPLICIT, IMPLICIT)),
)


def pdu(kind: int, content: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">BBL", kind, 0, len(content) if length is None else length) + content


def item(kind: int, content: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content) if length is None else length) + content


def context(context_id: int, abstract: bytes, transfer: Sequence[bytes]) -> bytes:
    inside = item(0x30, abstract) + b"".join(item(0x40, syntax) for syntax in transfer)
    return item(0x20, struct.pack(">BBBB", context_id, 0, 0, 0) + inside)


def identity(kind: int, primary: bytes, secondary: bytes = b"") -> bytes:
    fields = struct.pack(">H", len(primary)) + primary + struct.pack(">H", len(secondary)) + secondary
    return item(0x58, struct.pack(">BB", kind, 0) + fields)


def user(*, longest: int = 16384, further: bytes = b"") -> bytes:
    inside = item(0x51, struct.pack(">L", longest)) + item(0x52, b"1.2.826.0.1.3680043.9.9") + item(0x55, b"RAW")
    return item(0x50, inside + further)


def request_body(
    contexts: Sequence[Context] = CONTEXTS,
    *,
    called: bytes = b"HEATPROOF",
    calling: bytes = b"RAW",
    version: int = 1,
    application: bytes = APPLICATION,
    users: bytes | None = None,
    further: bytes = b"",
) -> bytes:
    titles = called.ljust(16)[:16] + calling.ljust(16)[:16] + bytes(32)
    offered = b"".join(context(*one) for one in contexts)
    said = user() if users is None else users
    return struct.pack(">HH", version, 0) + titles + item(0x10, application) + offered + said + further


def request(contexts: Sequence[Context] = CONTEXTS, **parts: bytes | int) -> bytes:
    return pdu(ASSOCIATE_RQ, request_body(contexts, **parts))  # type: ignore[arg-type]


def fragment(context_id: int, control: int, content: bytes) -> bytes:
    """One P-DATA with one fragment: control 1 command, 2 last, 3 both."""
    return pdu(P_DATA, struct.pack(">LBB", len(content) + 2, context_id, control) + content)


def command(*elements: tuple[int, bytes]) -> bytes:
    inside = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(inside)) + inside


def even(value: bytes) -> bytes:
    return value + b"\0" * (len(value) % 2)


def echo_request(message_id: int = 1) -> bytes:
    said = command(
        (0x0002, even(VERIFICATION)),
        (0x0100, struct.pack("<H", 0x0030)),
        (0x0110, struct.pack("<H", message_id)),
        (0x0800, struct.pack("<H", 0x0101)),
    )
    return fragment(ECHO_CONTEXT, 3, said)


def store_command(sop_instance_uid: bytes = b"1.2.3.4", message_id: int = 1) -> bytes:
    said = command(
        (0x0002, even(MR_IMAGE)),
        (0x0100, struct.pack("<H", 0x0001)),
        (0x0110, struct.pack("<H", message_id)),
        (0x0700, struct.pack("<H", 0)),
        (0x0800, struct.pack("<H", 0x0001)),
        (0x1000, even(sop_instance_uid)),
    )
    return fragment(IMAGE_CONTEXT, 3, said)


class RawPeer:
    """One connection, from any address of loopback; all its time limits are scaled to this machine."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", seconds: float = 5.0, buffer: int = 0) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(patient(seconds))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> Self:
        self.socket.sendall(content)
        return self

    def answer(self) -> tuple[int, bytes]:
        """The next PDU: its type and content; (0, b"") where the connection was closed instead."""
        head = self._read(6)
        if len(head) < 6:
            return 0, b""
        kind, _, length = struct.unpack(">BBL", head)
        return kind, self._read(length)

    def associate(self, *contexts: Context, **parts: bytes | int) -> Self:
        kind, content = self.send(request(contexts or CONTEXTS, **parts)).answer()
        assert kind == ASSOCIATE_AC, (kind, content)
        return self

    def is_closed_within(self, seconds: float) -> bool:
        """Whether the node ends the connection in this time, whatever it says before."""
        deadline = time.monotonic() + patient(seconds)
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self.socket.recv(65536):
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True
        return False

    def _read(self, length: int) -> bytes:
        received = b""
        try:
            while len(received) < length:
                chunk = self.socket.recv(length - len(received))
                if not chunk:
                    break
                received += chunk
        except ConnectionError:
            pass
        return received


def echo_seconds(port: int, *, source: str = "127.0.0.1") -> float:
    """How long an honest peer waits for association, echo and release."""
    started = time.monotonic()
    with RawPeer(port, source=source) as peer:
        peer.associate().send(echo_request())
        kind, content = peer.answer()
        assert kind == P_DATA
        assert content[-2:] == b"\0\0"  # Status is the last element of the response
        assert peer.send(pdu(RELEASE_RQ, bytes(4))).answer()[0] == RELEASE_RP
    return time.monotonic() - started


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection, as far as is known here now."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.setblocking(True)

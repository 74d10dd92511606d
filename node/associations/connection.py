"""The socket of one association: limits on the length of a PDU, timeouts of reading and writing it, and TCP_NODELAY."""

import queue
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from node.associations.tls import fingerprint

MAXIMUM_PDU_LENGTH_BYTES = 128 * 1024
"""Of P-DATA, as negotiated: half the time of pynetdicom's default for large images."""
MAXIMUM_PDU_BYTES = 2 * MAXIMUM_PDU_LENGTH_BYTES
"""A longer PDU ends the connection before a byte of it is read; senders that count their headers wrongly stay below."""
PDU_SECONDS = 15.0
"""Timeout from the first to the last byte of a PDU, against a peer that sends byte by byte."""
SEND_SECONDS = 15.0
"""Timeout of sending one PDU, against a peer that does not read."""
LEAVING_SECONDS = 0.5
"""How long a peer may take to read the last PDU."""
HEADER_BYTES = 6
"""Of a PDU: its type, a reserved byte, its length."""
_CHUNK_BYTES = 1 << 16


def abort_pdu(source: int, reason: int) -> bytes:
    """Return an A-ABORT (PS3.8 9.3.8): source 2 is the provider, reason 6 an invalid parameter value."""
    return struct.pack(">BBLBBBB", 7, 0, 4, 0, 0, source, reason)


def reject_pdu(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return struct.pack(">BBLBBBB", 3, 0, 4, 0, result, source, reason)


class BoundedSocket(AssociationSocket):
    """The socket of one association, with limits on what a peer can make it read or wait for."""

    def __init__(
        self,
        assoc: Association,
        client_socket: socket.socket | None = None,
        address: AddressInformation | None = None,
        *,
        pin: str = "",
    ) -> None:
        super().__init__(assoc, client_socket, address)
        self.socket: socket.socket | None  # None once it is closed
        self.problem = ""
        self.pin = pin
        self._deadline = 0.0
        self._returned = bytearray()
        if self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect, by TLS where ``tls_args`` is set; what went wrong stands in ``problem`` afterwards."""
        try:
            self._open(primitive.address_info)
        except OSError as error:
            self.problem = getattr(error, "verify_message", "") or error.strerror or str(error) or type(error).__name__
            self._shutdown_socket()
            self.socket = None
            primitive.result = "Evt17"
        else:
            self._is_connected = True
            primitive.result = "Evt2"
            evt.trigger(self.assoc, evt.EVT_CONN_OPEN, {"address": primitive.address_info.as_tuple})
        self.provider_queue.put(primitive)
        self._ready.set()

    def _open(self, address: AddressInformation) -> None:
        assert self.socket is not None  # noqa: S101 - just made by the constructor
        self.socket.settimeout(self.assoc.connection_timeout)
        self.socket.connect(address.as_tuple)
        if self.tls_args:
            context, host = self.tls_args
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        if self.pin and (not isinstance(self.socket, ssl.SSLSocket) or _digest(self.socket) != self.pin):
            raise OSError("it shows another certificate than the one in the settings")
        self.assoc.requestor.address_info = AddressInformation.from_tuple(self.socket.getsockname())

    @property
    def ready(self) -> bool:
        """Whether there is something to read; where the connection is broken, the state machine hears of it."""
        if self.socket is None or not self._is_connected:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        try:
            return bool(_poll(0.0, self.socket))
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer where the peer closed the connection.

        Raises:
            OSError: the peer announced a PDU that is too long, or took too long over one; the connection is shut.
        """
        if self.socket is None:
            raise OSError("The connection is closed")
        if nr_bytes > MAXIMUM_PDU_BYTES:
            self.send(abort_pdu(2, 6))
            self._shutdown_socket()
            raise OSError(f"A PDU of {nr_bytes} bytes was announced; at most {MAXIMUM_PDU_BYTES} are read")
        if nr_bytes == HEADER_BYTES:  # a PDU begins: type and length
            self._deadline = time.monotonic() + PDU_SECONDS
        if self._returned:
            received, self._returned = self._returned, bytearray()
            return received
        received = bytearray(nr_bytes)
        here = 0
        with memoryview(received) as view:
            while here < nr_bytes:
                self.socket.settimeout(max(self._deadline - time.monotonic(), 0.001))
                try:
                    came = self.socket.recv_into(view[here:])
                except TimeoutError:
                    self._shutdown_socket()
                    raise
                if not came:
                    break
                here += came
        del received[here:]
        return received

    def put_back(self, header: bytearray) -> None:
        """Push back the bytes of a PDU's header for the next read."""
        self._returned = header

    def send(self, bytestream: bytes) -> None:
        """Send one PDU; where the peer does not take it in time, shut the connection."""
        left = memoryview(bytestream)
        deadline = time.monotonic() + SEND_SECONDS
        try:
            while left and self.socket is not None:
                self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                left = left[self.socket.send(left) :]
        except OSError:
            self._shutdown_socket()
            self.event_queue.put("Evt17")
        else:
            evt.trigger(self.assoc, evt.EVT_DATA_SENT, {"data": bytestream})

    def leave(self) -> None:
        """Let the peer read the last PDU, then close: closing with unread bytes would reset it."""
        if self.socket is not None:
            deadline = time.monotonic() + LEAVING_SECONDS
            with suppress(OSError, ValueError):
                self.socket.shutdown(socket.SHUT_WR)
                while (left := deadline - time.monotonic()) > 0:
                    self.socket.settimeout(left)
                    if not self.socket.recv(_CHUNK_BYTES):
                        break
        self.close()

    def cut(self) -> None:
        """Shut the connection down from another thread; the reading thread sees its end."""
        with suppress(OSError, AttributeError):  # gone already
            self.socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]

    def _shutdown_socket(self) -> None:
        """Close the connection even where the peer did so first, on which shutting it down fails."""
        if self.socket is None:
            return
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Bell:
    """Wakes a thread that waits for a socket (self-pipe)."""

    def __init__(self) -> None:
        self._inside, self._outside = socket.socketpair()
        self._inside.setblocking(False)
        self._outside.setblocking(False)

    def ring(self) -> None:
        """Wake it."""
        with suppress(OSError):  # it was rung already, or nobody waits any more
            self._outside.send(b"\0")

    def wait(self, connection: socket.socket | None, seconds: float) -> None:
        """Wait until it is woken, the connection is readable, or the timeout has passed."""
        with suppress(OSError, ValueError):  # closed meanwhile, which the next turn finds out
            ready = _poll(seconds, *(readable for readable in (self._inside, connection) if readable is not None))
            if any(descriptor == self._inside.fileno() for descriptor, _ in ready):
                self._inside.recv(4096)

    def close(self) -> None:
        """Close the two descriptors."""
        self._inside.close()
        self._outside.close()


class RingingQueue(queue.Queue[Any]):
    """A queue with a callback on ``put`` and one on ``get``."""

    def __init__(self, *, filled: Callable[[], None] = lambda: None, taken: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._filled = filled
        self._taken = taken

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item, and call back."""
        super().put(item, block, timeout)
        self._filled()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Get the first item, and call back."""
        item = super().get(block, timeout)
        self._taken()
        return item


def _digest(connection: ssl.SSLSocket) -> str:
    return fingerprint(connection.getpeercert(binary_form=True) or b"")


def _poll(seconds: float, *connections: socket.socket) -> list[tuple[int, int]]:
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return poll.poll(int(seconds * 1000))

"""What pynetdicom leaves open on a connection: how long a PDU may be, how long it may take, and Nagle's delay."""

import socket
import time
from contextlib import suppress
from typing import Any

from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

MAXIMUM_PDU_BYTES = 1 << 20
"""A longer PDU ends the connection before a byte of it is read; eight times what is negotiated for data."""
PDU_SECONDS = 15.0
"""From the first to the last byte of a PDU; a byte now and then does not hold a connection open."""
_CHUNK_BYTES = 1 << 16


class BoundedSocket(AssociationSocket):
    """The socket of one association, with a ceiling on what a peer can make it read or wait for."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer where the peer closed the connection.

        Raises:
            OSError: the peer announced a PDU that is too long, or took too long over one; the connection is shut.
        """
        if nr_bytes > MAXIMUM_PDU_BYTES:
            self._shutdown_socket()
            raise OSError(f"A PDU of {nr_bytes} bytes was announced; at most {MAXIMUM_PDU_BYTES} are read")
        received = bytearray()
        deadline = time.monotonic() + PDU_SECONDS
        while len(received) < nr_bytes:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                chunk = self.socket.recv(min(nr_bytes - len(received), _CHUNK_BYTES))
            except TimeoutError:
                self._shutdown_socket()
                raise
            if not chunk:
                break
            received += chunk
        self.socket.settimeout(None)
        return received

    def _shutdown_socket(self) -> None:
        """Close the connection even where the peer did so first, on which shutting it down fails."""
        if self.socket is None:
            return
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class _Handler(RequestHandler):
    """Makes an association of a connection."""

    def _create_association(self) -> Any:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association = super()._create_association()
        # super() made the plain socket; making a second one would announce the connection twice to the state machine.
        association.dul.socket.__class__ = BoundedSocket
        return association


class AssociationServer(ThreadedAssociationServer):
    """pynetdicom's server, on bounded sockets."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, request_handler=_Handler, **options)
        self.ae._servers.append(self)  # what shutdown() takes it from again

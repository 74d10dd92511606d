"""The listener of one port: one thread reads each connection until its association request is complete and valid.

Up to then a connection costs a descriptor and the bytes that came, however many there are and whatever they do: no
thread, no association, no time of anybody else. TLS handshakes are made here too, without waiting for them.
"""

import ipaddress
import selectors
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from node.associations.connection import LEAVING_SECONDS, abort_pdu
from node.associations.peers import Caller, PeerCertificate
from node.associations.request import MAXIMUM_REQUEST_BYTES, MalformedRequest, Refusal, printable, titles_of
from node.associations.tls import common_names, fingerprint
from node.associations.upper_layer import FAULTS

REQUEST_SECONDS = 10.0
"""From the connection to the last byte of the request, the TLS handshake included."""
MAXIMUM_WAITING = 256
"""Limit of connections without a complete request; above it, the oldest one of the busiest address is closed."""
BACKLOG = 128
_SEND_BUFFER_BYTES = 1 << 16
_HEADER_BYTES = 6
_TLS_HELLO = 0x16
_ASSOCIATE_RQ = 0x01
_KNOWN_PDUS = range(1, 8)
_LONGEST_REST_SECONDS = 0.5


@dataclass(eq=False)
class _PendingConnection:
    """One connection before its association request is complete, or after it was refused."""

    connection: socket.socket
    address: str
    deadline: float
    shaking_hands: bool
    leaving: bool = False
    received: bytearray = field(default_factory=bytearray)
    needed: int = _HEADER_BYTES


Visit = Callable[[socket.socket, Caller, bytes], bytes]
"""Takes a connection whose request is here (the PDU without its header) over and gives nothing; or gives the PDU that
refuses it."""


class Entrance:
    """One port. ``start`` returns when connections are accepted."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        tls: ssl.SSLContext | None,
        visit: Visit,
        refused: Callable[[Refusal], None],
    ) -> None:
        self._tls = tls
        self._visit = visit
        self._refused = refused
        self._pending_connections: set[_PendingConnection] = set()
        self._closing = threading.Event()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._door = socket.create_server(address, family=family, backlog=BACKLOG)
        self._door.setblocking(False)
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)  # connections inherit it
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._door, selectors.EVENT_READ)
        self._inside, self._outside = socket.socketpair()
        self._selector.register(self._inside, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._keep, name="entrance", daemon=True)

    @property
    def port(self) -> int:
        """The port; where 0 was asked for, the one that the system gave."""
        return int(self._door.getsockname()[1])

    def start(self) -> None:
        """Accept connections."""
        self._thread.start()

    def close(self) -> None:
        """Stop accepting, and close the connections that are not associations yet."""
        self._closing.set()
        with suppress(OSError):  # it was awake, has seen it, and is gone
            self._outside.send(b"\0")
        self._thread.join()

    def _keep(self) -> None:
        while not self._closing.is_set():
            for key, _ in self._selector.select(self._rest_seconds()):
                if key.fileobj is self._door:
                    self._accept()
                elif key.data in self._pending_connections:
                    self._advance(key.data)
            self._expire()
        for pending in tuple(self._pending_connections):
            self._drop(pending)
        self._selector.close()
        for held in (self._door, self._inside, self._outside):
            held.close()

    def _rest_seconds(self) -> float:
        first = min((pending.deadline for pending in self._pending_connections), default=float("inf"))
        return min(max(first - time.monotonic(), 0.0), _LONGEST_REST_SECONDS)

    def _accept(self) -> None:
        try:
            connection, place = self._door.accept()
        except OSError:  # gone again, or no descriptor left: whoever waits longest makes room
            self._shed()
            return
        connection.setblocking(False)
        address = _plain(place[0])
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        pending = _PendingConnection(connection, address, time.monotonic() + REQUEST_SECONDS, self._tls is not None)
        self._pending_connections.add(pending)
        self._selector.register(connection, selectors.EVENT_READ, pending)
        if len(self._pending_connections) > MAXIMUM_WAITING:
            self._shed()

    def _shed(self) -> None:
        if self._pending_connections:
            greedy, _ = Counter(pending.address for pending in self._pending_connections).most_common(1)[0]
            self._drop(
                min((k for k in self._pending_connections if k.address == greedy), key=lambda pending: pending.deadline)
            )

    def _expire(self) -> None:
        now = time.monotonic()
        for pending in [pending for pending in self._pending_connections if pending.deadline <= now]:
            if pending.received and not pending.leaving:
                self._record(
                    pending, "The association request did not come in time.", "Check the network between the two."
                )
            self._drop(pending)

    def _advance(self, pending: _PendingConnection) -> None:
        try:
            if pending.shaking_hands:
                self._tls_handshake(pending)
            while pending in self._pending_connections and self._read(pending):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            self._selector.modify(pending.connection, selectors.EVENT_READ, pending)
        except ssl.SSLWantWriteError:
            self._selector.modify(pending.connection, selectors.EVENT_WRITE, pending)
        except ssl.SSLError as error:
            if pending.shaking_hands:
                self._record(pending, *_handshake_problem(error))
            self._drop(pending)
        except FAULTS:
            self._drop(pending)

    def _tls_handshake(self, pending: _PendingConnection) -> None:
        assert isinstance(pending.connection, ssl.SSLSocket)  # noqa: S101 - made in _accept
        pending.connection.do_handshake()
        pending.shaking_hands = False

    def _read(self, pending: _PendingConnection) -> bool:
        """Read what is available; give whether more may follow."""
        most = 4096 if pending.leaving else pending.needed - len(pending.received)
        chunk = pending.connection.recv(most)
        if not chunk:
            self._drop(pending)
            return False
        if pending.leaving:
            return False
        pending.received += chunk
        if len(pending.received) == pending.needed:
            self._parse_request(pending)
        return True

    def _parse_request(self, pending: _PendingConnection) -> None:
        kind, length = pending.received[0], int.from_bytes(pending.received[2:6], "big")
        if kind != _ASSOCIATE_RQ:
            self._reject(pending, *_no_request(kind))
        elif length > MAXIMUM_REQUEST_BYTES:
            problem = f"The association request is {length} bytes long; at most {MAXIMUM_REQUEST_BYTES} are read."
            self._reject(pending, abort_pdu(2, 6), problem, "Check whether the sender speaks DICOM.")
        elif pending.needed == _HEADER_BYTES and length:
            pending.needed += length
        else:
            self._hand_over(pending)

    def _hand_over(self, pending: _PendingConnection) -> None:
        pdu = bytes(pending.received[_HEADER_BYTES:])
        caller = Caller(pending.address, self._tls is not None, _certificate(pending.connection))
        self._selector.unregister(pending.connection)
        self._pending_connections.discard(pending)
        try:
            refusal = self._visit(pending.connection, caller, pdu)
        except MalformedRequest as error:
            self._record(
                pending, f"The association request {error}.", "Ask the sender's manufacturer: it violates PS3.8 9.3.2."
            )
            refusal = abort_pdu(2, 6)
        if refusal:
            self._selector.register(pending.connection, selectors.EVENT_READ, pending)
            self._pending_connections.add(pending)
            self._close_in_order(pending, refusal)

    def _reject(self, pending: _PendingConnection, pdu: bytes, problem: str, cure: str) -> None:
        self._record(pending, problem, cure)
        self._close_in_order(pending, pdu)

    def _close_in_order(self, pending: _PendingConnection, pdu: bytes) -> None:
        """Send the refusal and let the peer read it: a connection with unread bytes that is closed takes it back."""
        pending.leaving, pending.deadline = True, time.monotonic() + LEAVING_SECONDS
        with suppress(OSError):
            pending.connection.send(pdu)
            if not isinstance(pending.connection, ssl.SSLSocket):
                pending.connection.shutdown(socket.SHUT_WR)

    def _record(self, pending: _PendingConnection, problem: str, cure: str) -> None:
        called, calling = titles_of(bytes(pending.received[_HEADER_BYTES:]))
        self._refused(Refusal(problem, cure, pending.address, calling_ae_title=calling, called_ae_title=called))

    def _drop(self, pending: _PendingConnection) -> None:
        self._pending_connections.discard(pending)
        with suppress(KeyError, ValueError):
            self._selector.unregister(pending.connection)
        pending.connection.close()


def _no_request(kind: int) -> tuple[bytes, str, str]:
    if kind == _TLS_HELLO:
        return b"", "The sender speaks TLS on the plain port.", "Configure it to call the port of [tls]."
    if kind in _KNOWN_PDUS:
        return abort_pdu(2, 2), f"A PDU of type {kind} came before any association request.", "Restart the sender."
    problem = f"The first byte is 0x{kind:02X}, which no DICOM connection begins with."
    return abort_pdu(2, 1), problem, "Check what calls this port: it does not speak DICOM, or not without TLS."


def _certificate(connection: socket.socket) -> PeerCertificate | None:
    if not isinstance(connection, ssl.SSLSocket):
        return None
    whole = connection.getpeercert(binary_form=True)
    return None if whole is None else PeerCertificate(fingerprint(whole), common_names(connection.getpeercert() or {}))


def _handshake_problem(error: ssl.SSLError) -> tuple[str, str]:
    reason = printable(error.reason or type(error).__name__, 100).lower().replace("_", " ")
    detail = printable(getattr(error, "verify_message", ""), 100)
    problem = f"The TLS handshake failed: {reason}" + (f" ({detail})." if detail else ".")
    if "certificate" in reason:
        return problem, "The sender needs a certificate of an authority in tls.ca_file, and one that has not expired."
    if "http request" in reason or "wrong version" in reason:
        return problem, "The sender does not speak TLS: switch it on there, or have it call node.port."
    return problem, "The sender must offer TLS 1.2 with ECDHE and AES-GCM or ChaCha20, or TLS 1.3."


def _plain(address: str) -> str:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)

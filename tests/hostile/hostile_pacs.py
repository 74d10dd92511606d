"""A destination that does to us what it likes: it answers one connection by a script."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from node.settings.destination import Destination
from tests.hostile.raw_peer import APPLICATION, ASSOCIATE_AC, item, pdu, user
from tests.patience import patient

FIND = b"1.2.840.10008.5.1.4.1.2.2.1"
Script = Callable[[socket.socket], None]


def accepted(context_ids: tuple[int, ...] = (1, 3), *, syntax: bytes, longest: int = 16384) -> bytes:
    """An A-ASSOCIATE-AC that takes these contexts with one transfer syntax."""
    results = b"".join(item(0x21, bytes((number, 0, 0, 0)) + item(0x40, syntax)) for number in context_ids)
    titles = b"PACS".ljust(16) + b"HEATPROOF".ljust(16) + bytes(32)
    return pdu(
        ASSOCIATE_AC, struct.pack(">HH", 1, 0) + titles + item(0x10, APPLICATION) + results + user(longest=longest)
    )


class HostilePacs:
    """Listens on a free port, and runs the script on whoever calls first."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._door = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def destination(self) -> Destination:
        return Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=self._door.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()
        self._thread.join(patient(5))

    def _serve(self) -> None:
        try:
            connection, _ = self._door.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(patient(10))
            with suppress(OSError):
                self._script(connection)


def read_pdu(connection: socket.socket) -> bytes:
    head = connection.recv(6, socket.MSG_WAITALL)
    return connection.recv(struct.unpack(">L", head[2:])[0], socket.MSG_WAITALL)


def wait_for_end(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass

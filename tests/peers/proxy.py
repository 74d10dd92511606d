"""A TCP proxy before a DICOM peer that loses what it is told to lose."""

import select
import socket
import threading
from typing import Self

_STORE_RESPONSE = b"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x80"
"""Command Field (0000,0100) with the value 8001H (PS3.7 E.1)."""


class LossyProxy:
    """Passes everything on to a port of loopback; ``lose_store_responses`` C-STORE responses close the connection."""

    def __init__(self, peer_port: int) -> None:
        self.lose_store_responses = 0
        self.lost = 0
        self._peer_port = peer_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(near,), daemon=True).start()

    def _pass_on(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._peer_port))
        except OSError:
            near.close()
            return
        with near, far:
            while True:
                for source in select.select([near, far], [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is far and self.lose_store_responses and _STORE_RESPONSE in data:
                        self.lose_store_responses -= 1
                        self.lost += 1
                        return
                    (near if source is far else far).sendall(data)

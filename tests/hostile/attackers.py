"""One address that attacks a node in every way at once, in a process of its own, and counts what it offers.

Patterns (F1), memory (F5), a dripping DICOMweb destination (F6), refused instances (F12), idle connections and dripping
STOW-RS bodies (F14). ``share`` holds the process to a share of one core; without it every thread is as fast as it can.
"""

import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Event, Lock, Thread
from typing import Any

from pydicom import DataElement, config
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from node.web.stow import PATH
from tests.hostile.byte_sender import ByteSender
from tests.hostile.raw_peer import IMAGE_CONTEXT, RawPeer, fragment, is_closed, store_command
from tests.node.receiving.intake import encode, mr_image

SOURCE = "127.0.0.1"
LONG = "t1" * 500_000
"""A Series Description in which Python's engine looks for `t1.*ce` in time quadratic in its length."""
SECONDS_BETWEEN_LONG = 2.0
"""One such image is enough to stop a node that backtracks; more would only be many images."""
STOPPING_SECONDS = 60.0
CONNECTIONS = 300
UNFINISHED = 10
PIECE = bytes((1 << 17) - 20)
"""Of an unfinished message."""
STUDY, SERIES, INSTANCE = (f"1.2.826.0.1.3680043.10.9.{kind}.1{'0' * 19}" for kind in (1, 2, 3))


@dataclass(frozen=True)
class Target:
    """A node, and the port that its DICOMweb destination is to be on."""

    dicom_port: int
    http_port: int
    drip_port: int
    token: str


class Attack:
    """The threads of one attack, and how much they offered by kind."""

    def __init__(self, target: Target, stopping: Any, share: float | None) -> None:
        self.offered: Counter[str] = Counter()
        self._target = target
        self._stopping = stopping
        self._share = share
        self._began, self._cpu_before = time.monotonic(), time.process_time()
        self._lock = Lock()

    def run(self) -> dict[str, float]:
        """Attack until told to stop; give what was offered, and the seconds and CPU seconds it took."""
        kinds: tuple[Callable[[], None], ...] = (
            self.send_long_texts,
            self.leave_messages_unfinished,
            self.drip_as_destination,
            self.send_what_is_refused,
            self.hold_connections,
            self.drip_bodies,
            self.drip_bodies,
        )
        threads = [Thread(target=self._again, args=(kind,), daemon=True) for kind in kinds]
        for thread in threads:
            thread.start()
        self._stopping.wait()
        seconds = {"seconds": time.monotonic() - self._began, "cpu_seconds": time.process_time() - self._cpu_before}
        return {**self.offered, **seconds}

    def send_long_texts(self) -> None:
        """F1: each a new study whose Series Description is a thousand times too long."""
        image = mr_image(STUDY, series=SERIES)
        image.Modality, image.SOPInstanceUID = "OT", INSTANCE
        image.add(DataElement(0x0008103E, "LO", LONG, validation_mode=config.IGNORE))
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        template = encode(image)
        with ByteSender(self._target.dicom_port, ImplicitVRLittleEndian) as sender:
            while self._go_on():
                uid, encoded = INSTANCE, template
                for old in (STUDY, SERIES, INSTANCE):
                    uid = f"{old[:-20]}1{time.time_ns():019d}"
                    encoded = encoded.replace(old.encode(), uid.encode())
                sender.store(encoded, instance=uid, syntax=ImplicitVRLittleEndian)
                self._count("long texts", len(encoded))
                self._stopping.wait(SECONDS_BETWEEN_LONG)

    def leave_messages_unfinished(self) -> None:
        """F5: messages that grow and never end, on as many associations as are taken."""
        piece = fragment(IMAGE_CONTEXT, 0, PIECE)
        peers: list[RawPeer] = []
        while self._go_on():
            if len(peers) < UNFINISHED:
                peers.append(RawPeer(self._target.dicom_port, source=SOURCE).associate().send(store_command()))
                self._count("unfinished messages", 0)
            for peer in tuple(peers):
                try:
                    peer.send(piece)
                    self._count("pieces of them", len(piece))
                except OSError:
                    peer.socket.close()
                    peers.remove(peer)

    def drip_as_destination(self) -> None:
        """F6: a DICOMweb service that answers a byte every two seconds."""
        with socket.create_server((SOURCE, self._target.drip_port)) as door:
            door.settimeout(0.5)
            while self._go_on():
                with suppress(TimeoutError):
                    Thread(target=self._drip_answer, args=(door.accept()[0],), daemon=True).start()

    def _drip_answer(self, caller: socket.socket) -> None:
        self._count("dripping answers", 0)
        with caller, suppress(OSError):
            caller.recv(65536)
            caller.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not self._stopping.wait(2.0):
                caller.sendall(b" ")

    def send_what_is_refused(self) -> None:
        """F12: data sets of another instance than the command names."""
        encoded = encode(mr_image(size=8))
        with ByteSender(self._target.dicom_port, "1.2.840.10008.1.2.1") as sender:
            while self._go_on():
                sender.store(encoded, instance=generate_uid(), syntax="1.2.840.10008.1.2.1")
                self._count("refused instances", len(encoded))

    def hold_connections(self) -> None:
        """F14: connections to both ports that say nothing; those that are closed are opened anew."""
        held: dict[int, list[socket.socket]] = {self._target.dicom_port: [], self._target.http_port: []}
        while self._go_on():
            for port, connections in held.items():
                for connection in tuple(connections):
                    if is_closed(connection):
                        connection.close()
                        connections.remove(connection)
                while len(connections) < CONNECTIONS and self._go_on():
                    connections.append(socket.create_connection(("127.0.0.1", port), 5, (SOURCE, 0)))
                    self._count("idle connections", 0)
            self._stopping.wait(0.2)

    def drip_bodies(self) -> None:
        """F14: a STOW-RS request with the credentials of a sender, of which a byte comes every second."""
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._target.token}\r\n"
            'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\nContent-Length: 1000000\r\n\r\n'
        )
        address = ("127.0.0.1", self._target.http_port)
        with socket.create_connection(address, 5, (SOURCE, 0)) as connection:
            connection.sendall(head.encode())
            self._count("dripping bodies", len(head))
            while self._go_on() and not is_closed(connection):
                connection.sendall(b"-")
                self._count("bytes of them", 1)
                self._stopping.wait(1.0)

    def _again(self, kind: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                kind()
            except (OSError, AssertionError, RuntimeError, ValueError, AttributeError):  # refused, or cut
                self._count("times cut off or refused", 0)
                self._stopping.wait(0.2)

    def _go_on(self) -> bool:
        """Wait until this process is within its share; say whether to go on."""
        while not self._stopping.is_set() and self._is_ahead():
            time.sleep(0.02)
        return not self._stopping.is_set()

    def _is_ahead(self) -> bool:
        if self._share is None:
            return False
        used = time.process_time() - self._cpu_before
        return used > self._share * (time.monotonic() - self._began)

    def _count(self, kind: str, size: int) -> None:
        with self._lock:
            self.offered[kind] += 1
            self.offered["bytes"] += size


class Attackers:
    """The process; ``stop`` gives what it offered."""

    def __init__(self, target: Target, share: float | None) -> None:
        context = get_context("spawn")
        self._stopping = context.Event()
        self._hears, tells = context.Pipe(duplex=False)
        arguments = (target, self._stopping, share, tells)
        self.process: BaseProcess = context.Process(target=_attack, args=arguments, daemon=True)
        self.process.start()
        tells.close()

    def stop(self) -> dict[str, float]:
        """End the attack.

        Raises:
            TimeoutError: its process does not say what it offered.
        """
        self._stopping.set()
        if not self._hears.poll(STOPPING_SECONDS):
            self.process.kill()
            raise TimeoutError(f"The attackers' process has ended with {self.process.exitcode}, or hangs")
        told: dict[str, float] = self._hears.recv()
        self.process.kill()
        self.process.join()
        return told


def _attack(target: Target, stopping: Event, share: float | None, tells: Connection) -> None:
    tells.send(Attack(target, stopping, share).run())

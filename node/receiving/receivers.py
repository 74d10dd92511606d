"""The receivers of a node: processes that read and answer associations, so that several cores receive.

The node accepts each connection and decides on its request; a receiver then speaks with the peer, and brings what it
sends to the node, which alone writes files, rows and figures. One that ends, for whatever reason, loses nothing that
was acknowledged: its associations end, and another takes its place.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

import structlog

from node.associations.peers import Caller
from node.associations.provider import Accounts, OpenAssociation
from node.associations.shares import Lease
from node.receiving.contexts import Terms
from node.receiving.delegated import DelegatedAssociation, NodeAnswers
from node.receiving.line import ReceiverLine

PROGRAM = "node.receiving.receiver"
_LONG_LIFE_SECONDS = 10.0
"""A receiver that ends after less waits before it is started again, each time twice as long."""
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_ENDING_SECONDS = 1.0


class Receivers:
    """So many processes; each is started again where it ends."""

    def __init__(self, count: int, terms: Terms, answers: NodeAnswers, *, log_level: str) -> None:
        """Make them; ``start`` starts them.

        Args:
            count: how many.
            terms: on which associations are accepted.
            answers: what answers what their peers ask for.
            log_level: least level of what they log.
        """
        self._answers = answers
        configuration = json.dumps({"terms": asdict(terms), "log_level": log_level}).encode()
        self._seats = [_Seat(number + 1, configuration) for number in range(count)]

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Of the receivers that are ready."""
        return tuple(seat.process_id for seat in self._seats if seat.process_id is not None)

    def start(self) -> None:
        """Start all; returns at once, and associations are handed over as soon as one is ready."""
        for seat in self._seats:
            seat.start()

    def stop(self) -> None:
        """End all; associations that are still open end with them."""
        for seat in self._seats:
            seat.release()
        deadline = time.monotonic() + _ENDING_SECONDS
        for seat in self._seats:
            seat.stop(deadline)

    def associate(
        self, connection: socket.socket, caller: Caller, pdu: bytes, lease: Lease, accounts: Accounts
    ) -> OpenAssociation | None:
        """Hand a connection and its request to the least busy receiver; None: none is ready."""
        for seat in sorted(self._seats, key=lambda seat: seat.burden):
            here, there = socket.socketpair()
            with there:
                if not seat.hand(connection, there):
                    here.close()
                    continue
            counted = Accounts(accounts.accepted, accounts.refused, _ending(seat, accounts))
            return DelegatedAssociation(connection, caller, pdu, ReceiverLine(here), lease, counted, self._answers)
        return None


class _Seat:
    """The place of one receiver: the process that has it now, and the thread that starts the next."""

    def __init__(self, number: int, configuration: bytes) -> None:
        self._number = number
        self._configuration = configuration
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = False
        self._open = 0
        self._handed = 0
        self._changing = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = structlog.get_logger("receivers")

    @property
    def process_id(self) -> int | None:
        """Of its receiver, where that is ready."""
        process = self._process
        return process.pid if process is not None and self._ready else None

    @property
    def burden(self) -> tuple[int, int]:
        """How many associations its receiver has, and had."""
        return self._open, self._handed

    def start(self) -> None:
        """Start a receiver, and another whenever it ends."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._keep, name=f"receiver {self._number}", daemon=True)
        self._thread.start()

    def hand(self, connection: socket.socket, line: socket.socket) -> bool:
        """Give a connection and a line to its receiver; say whether that was possible."""
        with self._changing:
            if self._control is None or not self._ready:
                return False
            try:
                descriptors = [connection.fileno(), line.fileno()]
                socket.send_fds(self._control, [b"\0"], descriptors, socket.MSG_DONTWAIT)
            except OSError:  # it has ended just now, or takes nothing
                return False
            self._open += 1
            self._handed += 1
            return True

    def ended(self) -> None:
        """Count an association less."""
        with self._changing:
            self._open -= 1

    def release(self) -> None:
        """Have its receiver end."""
        self._stopping.set()
        with self._changing:
            self._ready = False
            if self._control is not None:
                with suppress(OSError):
                    self._control.shutdown(socket.SHUT_RDWR)

    def stop(self, deadline: float) -> None:
        """Wait until its receiver has ended, and kill it at the deadline."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join(max(deadline - time.monotonic(), 0.0))
        if thread.is_alive() and self._process is not None:
            self._process.kill()
        thread.join()

    def _keep(self) -> None:
        pause_seconds = 0.0
        while not self._stopping.wait(pause_seconds):
            began = time.monotonic()
            try:
                status: int | None = self._run()
            except OSError:  # no memory, no process or no descriptor left
                status = None
            if self._stopping.is_set():
                return
            lived_seconds = time.monotonic() - began
            longer = min(max(2 * pause_seconds, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            pause_seconds = 0.0 if lived_seconds > _LONG_LIFE_SECONDS else longer
            self._log.error(
                "receiver_ended",
                id=f"receiver {self._number}",
                problem=f"It ended by {_cause(status)}; its associations have ended, and it is started again.",
                cure="Nothing that was acknowledged is lost; senders repeat what was not.",
                seconds=round(lived_seconds, 1),
            )

    def _run(self) -> int:
        """Start a receiver and wait for its end; give its exit status."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with here:
            with there:
                process = subprocess.Popen(  # noqa: S603 - this interpreter, and a program of our own
                    [sys.executable, "-P", "-s", "-m", PROGRAM, str(there.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[there.fileno()],
                    env={"PYTHONPATH": os.pathsep.join(sys.path)},
                )
            with self._changing:
                self._process, self._control = process, here
            with suppress(OSError):  # it has ended already
                here.send(self._configuration)
                is_ready = bool(here.recv(1))
                with self._changing:
                    self._ready = is_ready and not self._stopping.is_set()
            if self._stopping.is_set():
                self.release()
            status = process.wait()
            with self._changing:
                self._ready, self._control, self._process = False, None, None
        return status


def _ending(seat: _Seat, accounts: Accounts) -> Callable[[OpenAssociation], None]:
    def ended(association: OpenAssociation) -> None:
        seat.ended()
        accounts.ended(association)

    return ended


def _cause(status: int | None) -> str:
    """Say how a process ended: by which signal, or with which exit status."""
    if status is None:
        return "an error of the system, which did not start it"
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"

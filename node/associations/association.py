"""Associations within bounds: what pynetdicom leaves open to a peer, closed without touching pynetdicom.

A message is not read beyond a size; while a request is served nothing more of its peer is read; what a peer makes
pynetdicom stumble over ends this association only; and the two threads of an association sleep until there is
something to do, where pynetdicom's own ask a thousand times a second.
"""

import queue
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import A_P_ABORT, P_DATA

from node.associations.connection import Bell, RingingQueue, abort_pdu

_config.LOG_HANDLER_LEVEL = "none"  # pynetdicom's own log would name patients, and takes a tenth of the time
MAXIMUM_COMMAND_BYTES = 1 << 16
"""A command set has some hundred bytes."""
IDLE_SECONDS = 60.0
"""An association on which nothing comes for this long is aborted."""
_LONGEST_REST_SECONDS = 0.5
_LAST_WORD_SECONDS = 2.0
_MOST_ANSWERS_WAITING = 64
_NOTHING = (None, None)
FAULTS = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    *(struct.error, queue.Empty, InvalidEventError, Warning),
)
"""What pynetdicom and pydicom raise over bytes that they did not expect; warnings where they are errors."""


@dataclass(frozen=True)
class Bounds:
    """What one association may cost."""

    message_bytes: int = 512 << 20
    """Of one message, its data set included."""


class _UpperLayer(DULServiceProvider):
    """Reads and writes PDUs; sleeps until there are some, and what it stumbles over ends this association only."""

    def __init__(self, association: "BoundedAssociation") -> None:
        super().__init__(association)
        self.daemon = True
        self._kill_thread: bool = False
        self.reading = False
        self._bell = Bell()
        self.to_provider_queue = RingingQueue(filled=self._bell.ring)
        if association.is_acceptor:
            self.to_user_queue = RingingQueue(filled=lambda: association.dimse.msg_queue.put(_NOTHING))

    def wake(self) -> None:
        """Look again whether there is something to do."""
        self._bell.ring()

    def kill_dul(self) -> None:
        """End the thread."""
        super().kill_dul()
        self._bell.ring()

    def stop_dul(self) -> bool:
        """End the thread if the association is over; say whether it has ended."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        self.join()
        return True

    def run_reactor(self) -> None:
        """Work until the association is over."""
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        try:
            while not self._kill_thread:
                self._turn()
        except FAULTS:
            self._collapse()
        finally:
            self._kill_thread = True
            self.socket._shutdown_socket()
            self._bell.close()

    def _turn(self) -> None:
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        over = self.state_machine.current_state == "Sta13"
        if not self._process_recv_primitive() and (over or not self.assoc.busy):
            self._read()
        try:
            event = self.event_queue.get(block=False)
        except queue.Empty:
            self._bell.wait(None if self.assoc.busy else self.socket.socket, self._rest_seconds())
        else:
            self.state_machine.do_action(event)

    def _read(self) -> None:
        self.reading = True
        if self._is_transport_event():
            self._idle_timer.restart()
            self.assoc.active_at = time.monotonic()
        self.reading = False

    def _is_transport_event(self) -> bool:
        if self.state_machine.current_state == "Sta13":  # all is said: what still comes is not even read as PDUs
            self.socket.leave()
            return True
        return bool(super()._is_transport_event())

    def _rest_seconds(self) -> float:
        if self.state_machine.current_state == "Sta13":
            return 0.0
        return max(0.0, min(_LONGEST_REST_SECONDS, self.artim_timer.remaining)) + 0.001

    def _collapse(self) -> None:
        """Abort without the state machine, which is where it went wrong."""
        self.socket.send(abort_pdu(2, 0))
        self.assoc.problem = "What was sent on the open association breaks PS3.8 or PS3.7."
        self.assoc.is_aborted = True
        self.assoc.is_established = False
        primitive = A_P_ABORT()
        primitive.provider_reason = 0x00
        self.to_user_queue.put(primitive)
        self.assoc.dimse.msg_queue.put(_NOTHING)
        self.state_machine.current_state = "Sta1"


class _Messages(DIMSEServiceProvider):
    """Puts messages together of PDUs, up to a size."""

    def __init__(self, association: "BoundedAssociation", bounds: Bounds) -> None:
        super().__init__(association)
        self.msg_queue = RingingQueue(taken=association.dul.wake)
        self._bounds = bounds
        self._bytes = {"command": 0, "data": 0}

    def receive_primitive(self, primitive: Any) -> None:
        """Take the content of one PDU; a message that grows too long ends the association."""
        for _, fragment in primitive.presentation_data_value_list:
            self._bytes["command" if fragment[0] & 1 else "data"] += len(fragment)
        for part, found, most in (
            ("command set", self._bytes["command"], MAXIMUM_COMMAND_BYTES),
            ("message", sum(self._bytes.values()), self._bounds.message_bytes),
        ):
            if found > most:
                self._give_up(f"A {part} grew beyond {most >> 10} KiB.")
                return
        super().receive_primitive(primitive)
        if self.message is None:
            self._bytes = {"command": 0, "data": 0}

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; the one that is sent for every image is written by hand, in a tenth of the time."""
        answered = primitive.MessageIDBeingRespondedTo
        if not isinstance(primitive, C_STORE) or answered is None or primitive.Status != 0x0000:
            super().send_msg(primitive, context_id)
            return
        pdata = P_DATA()
        command = stored_response(answered, str(primitive.AffectedSOPClassUID), str(primitive.AffectedSOPInstanceUID))
        pdata.presentation_data_value_list.append((context_id, b"\x03" + command))
        self.dul.send_pdu(pdata)

    def _give_up(self, problem: str) -> None:
        self.message = None
        self.assoc.problem = problem
        self.dul.event_queue.put("Evt19")


def stored_response(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """Give the command set of C-STORE-RSP with success (PS3.7 9.3.1.2), Implicit VR Little Endian."""
    fields = (
        (0x0002, _padded(sop_class_uid)),
        (0x0100, struct.pack("<H", 0x8001)),
        (0x0120, struct.pack("<H", message_id)),
        (0x0800, struct.pack("<H", 0x0101)),
        (0x0900, struct.pack("<H", 0x0000)),
        (0x1000, _padded(sop_instance_uid)),
    )
    command = b"".join(struct.pack("<HHL", 0x0000, element, len(value)) + value for element, value in fields)
    return struct.pack("<HHLL", 0x0000, 0x0000, 4, len(command)) + command


def _padded(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


class BoundedAssociation(Association):
    """One association, ours or a peer's."""

    def __init__(self, ae: Any, mode: str, *, bounds: Bounds, ended: Callable[[Any], None] | None = None) -> None:
        super().__init__(ae, mode)
        self.is_established: bool = False
        self._serving = False
        self._ended = ended
        self.active_at = time.monotonic()
        self.problem = ""
        self.dul = _UpperLayer(self)
        self.dimse = _Messages(self, bounds)
        # What super() set went to the layer that was replaced.
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout

    def take_request(self, primitive: Any) -> None:
        """Begin with the request that was read already (PS3.8 state 3), not by waiting for it."""
        with suppress(queue.Empty):
            self.dul.event_queue.get(block=False)  # Evt5, the connection
        self.dul.to_user_queue.put(primitive)
        self.dul.state_machine.current_state = "Sta3"

    @property
    def busy(self) -> bool:
        """Whether there is enough to do: nothing more is read of a peer until what it asked or answered was taken."""
        waiting = self.dimse.msg_queue.qsize()
        return waiting > _MOST_ANSWERS_WAITING if self.is_requestor else self._serving or waiting > 0

    def idle_seconds(self) -> float:
        """Say for how long nothing has come; 0 while a PDU or a message is received, or a request served."""
        if self.busy or self.dul.reading or self.dimse.message is not None:
            return 0.0
        return time.monotonic() - self.active_at

    def run(self) -> None:
        """Serve the peer until the association is over."""
        try:
            super().run()
        except FAULTS:
            self.dul.kill_dul()
        finally:
            if self._ended is not None:
                self._ended(self)

    def kill(self) -> None:
        """End it; where the layer below does not end with its last word, it is cut off."""
        self._reactor_checkpoint.set()
        self._kill, self.is_established, self._is_paused = True, False, True
        deadline = time.monotonic() + _LAST_WORD_SECONDS
        while self.dul.is_alive() and not self.dul.stop_dul():
            if time.monotonic() > deadline:
                self.dul.kill_dul()
                self.dul.socket.cut()
            time.sleep(0.005)

    def _run_reactor(self) -> None:
        if self.is_requestor:
            super()._run_reactor()
            return
        while not self._kill and not self._is_over():
            self._is_paused = True
            try:
                context_id, message = self.dimse.msg_queue.get(timeout=_LONGEST_REST_SECONDS)
            except queue.Empty:
                continue
            if message is not None:
                self._serve(message, context_id)
        self.kill()

    def _serve(self, message: Any, context_id: int) -> None:
        self._serving = True
        try:
            self._serve_request(message, context_id)
        finally:
            self._serving = False
            self.active_at = time.monotonic()
            self.dul._idle_timer.restart()
            self.dul.wake()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        if self.is_acceptor and threading.current_thread() is not self:
            # N-EVENT-REPORT, for which pynetdicom makes a thread each: it waits its turn like everything else.
            self.dimse.msg_queue.put((context_id, msg))
            return
        super()._serve_request(msg, context_id)

    def _is_over(self) -> bool:
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released, self.is_established = True, False
            evt.trigger(self, evt.EVT_RELEASED, {})
            return True
        if self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self.is_aborted, self.is_established = True, False
            evt.trigger(self, evt.EVT_ABORTED, {})
            return True
        if self.dul.is_alive() and self.dul.idle_timer_expired():
            self.abort()
        return not self.dul.is_alive()

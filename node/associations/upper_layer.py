"""The upper layer of one association (PS3.8): reads and writes PDUs, and blocks until there are some.

pynetdicom's polls a thousand times a second and copies every byte eight times, and an error in its thread would leave
the association open.
"""

import queue
import struct
import time

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import A_P_ABORT, P_DATA

from node.associations.connection import HEADER_BYTES, Bell, RingingQueue, abort_pdu

LONGEST_REST_SECONDS = 0.5
NOTHING = (None, None)
"""Wakes whoever waits for messages."""
FAULTS = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    *(struct.error, queue.Empty, InvalidEventError, Warning),
)
"""What pynetdicom and pydicom raise over bytes that they did not expect; warnings where they are errors."""
_P_DATA_TF = 0x04
_PDU_HEADER = struct.Struct(">BBL")
_VALUE_HEADER = struct.Struct(">LB")


class UpperLayer(DULServiceProvider):
    """Reads and writes PDUs; blocks until there are some, and an error ends this association only."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self.daemon = True
        self._kill_thread: bool = False
        self.reading = False
        self._bell = Bell()
        self.to_provider_queue = RingingQueue(filled=self._bell.ring)
        if association.is_acceptor:
            self.to_user_queue = RingingQueue(filled=lambda: association.dimse.msg_queue.put(NOTHING))

    def wake(self) -> None:
        """Wake the thread."""
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
        """Run until the association is over."""
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

    def _read_pdu_data(self) -> None:
        """Pass P-DATA on without a copy; pynetdicom decodes every other PDU."""
        if self.state_machine.current_state != "Sta6" or not self.event_queue.empty():
            super()._read_pdu_data()
            return
        try:
            header = self.socket.recv(HEADER_BYTES)
            is_data = len(header) == HEADER_BYTES and header[0] == _P_DATA_TF
            length = _PDU_HEADER.unpack(header)[2] if is_data else 0
            content = self.socket.recv(length) if is_data else header
        except OSError:
            self.event_queue.put("Evt17")
            return
        if not is_data:
            self.socket.put_back(header)
            super()._read_pdu_data()
        elif len(content) < length:
            self.event_queue.put("Evt17")
        else:
            self._take(content)

    def _take(self, content: bytearray) -> None:
        primitive = P_DATA()
        try:
            primitive._presentation_data_value_list = presentation_data_values(content)
        except (struct.error, ValueError):
            self.event_queue.put("Evt19")
            return
        self.assoc.dimse.receive_primitive(primitive)  # PS3.8 9.2.2, DT-2: the state stays what it is

    def _rest_seconds(self) -> float:
        if self.state_machine.current_state == "Sta13":
            return 0.0
        return max(0.0, min(LONGEST_REST_SECONDS, self.artim_timer.remaining)) + 0.001

    def _collapse(self) -> None:
        """Abort without the state machine, which raised the error."""
        self.socket.send(abort_pdu(2, 0))
        self.assoc.problem = "What was sent on the open association violates PS3.8 or PS3.7."
        self.assoc.is_aborted = True
        self.assoc.is_established = False
        primitive = A_P_ABORT()
        primitive.provider_reason = 0x00
        self.to_user_queue.put(primitive)
        self.assoc.dimse.msg_queue.put(NOTHING)
        self.state_machine.current_state = "Sta1"


def presentation_data_values(content: bytearray) -> list[tuple[int, memoryview]]:
    """Parse the variable field of a P-DATA-TF PDU (PS3.8 9.3.5.1), without copying it.

    Returns:
        for each value its presentation context ID and its bytes, which begin with the message control header.

    Raises:
        ValueError, struct.error: the lengths do not add up, or a value is empty.
    """
    view = memoryview(content)
    values = []
    at = 0
    while at < len(view):
        length, context_id = _VALUE_HEADER.unpack_from(view, at)
        end = at + 4 + length
        if length < 2 or end > len(view):
            raise ValueError("A presentation data value has another length than it says")
        values.append((context_id, view[at + 5 : end]))
        at = end
    return values

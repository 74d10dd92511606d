"""The DIMSE messages of one association (PS3.7), assembled from PDUs within limits of size, time and memory."""

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from node.associations.connection import RingingQueue
from node.associations.shares import Holding
from node.associations.store_request import StoreRequest, store_request

MAXIMUM_COMMAND_BYTES = 1 << 16
"""A command set has some hundred bytes."""
MESSAGE_SECONDS = 60.0
"""From the first fragment of a message to the last, and the time that ``LEAST_BYTES_A_SECOND`` gives it beside."""
LEAST_BYTES_A_SECOND = 8192
MAXIMUM_ATTRIBUTES_BYTES = 8 << 20
"""Of the data set of any message but C-STORE; a performed step that lists 65,536 instances takes 7.6 MB."""
DECODED_BYTES_OF_ONE = 84
"""Memory for each byte of such a data set once it is decoded: empty items, which take most, are objects of Python."""
_WHOLE_COMMAND = 0x03
"""Message control header (PS3.8 E.2) of the only fragment of a command set."""
_STEP_BYTES = 1 << 20
"""Memory is taken from the share of a peer in pieces of this size."""


@dataclass(frozen=True)
class Bounds:
    """Limits of one association."""

    message_bytes: int = 512 << 20
    """Of one message, its data set included."""


class Messages(DIMSEServiceProvider):
    """Aborts on a message that is too long or too slow; encodes C-STORE-RSP with success itself, for speed.

    The data set of a message for which the peer's share of memory is too small is dropped as it comes, and ``dropped``
    is set: its request is to be answered with a failure.
    """

    message: Any
    """What has come of a message that is not complete; None between two messages."""

    def __init__(self, association: Association, bounds: Bounds, lease: Holding | None = None) -> None:
        super().__init__(association)
        self.msg_queue = RingingQueue(taken=association.dul.wake)
        self.dropped = False
        self._over = False
        self._bounds = bounds
        self._lease = lease
        self._bytes = {"command": 0, "data": 0}
        self._began_seconds = 0.0

    def receive_primitive(self, primitive: Any) -> None:
        """Take the content of one PDU; a message that is too long or too slow aborts the association."""
        if self._over:
            return
        if not any(self._bytes.values()):
            self._began_seconds = time.monotonic()
        for _, fragment in primitive.presentation_data_value_list:
            self._bytes["command" if fragment[0] & 1 else "data"] += len(fragment)
        if problem := self._problem():
            self._give_up(problem)
            return
        if self.dropped or not self._has_memory():
            self._drop(primitive)
        if not self._receive_store(primitive.presentation_data_value_list):
            super().receive_primitive(primitive)
        if self.message is None:
            self._bytes = {"command": 0, "data": 0}

    def _receive_store(self, values: Sequence[tuple[int, bytes | memoryview]]) -> bool:
        """Take the content of one PDU where it is of a C-STORE request that is read by hand; say whether it is."""
        message = self.message
        if message is None and len(values) == 1 and values[0][1][0] & 3 == _WHOLE_COMMAND:
            request = store_request(bytes(values[0][1][1:]))
            if request is not None:
                self.message = StoreRequest(request, values[0][0])
            return request is not None
        if not isinstance(message, StoreRequest):
            return False
        for _, fragment in values:
            if fragment[0] & 1:
                self._give_up("A command set came within a data set.")
                return True
            message.data_set.write(fragment[1:])
            if fragment[0] & 2:
                self.message = None
                self.msg_queue.put((message.context_id, message.complete()))
                return True
        return True

    def served(self) -> None:
        """Give back the memory of the message that was served."""
        self.dropped = False
        if self._lease is not None:
            self._lease.release()

    def end(self) -> None:
        """Let go of the message under way and of those that wait, once the association is over.

        An association, its layers and its threads refer to each other in circles, which Python frees at its next full
        collection of garbage: in a node that has loaded its models after hours. The messages must not wait for it.
        """
        self._over = True
        self.message = None
        if self.assoc.is_acceptor:
            with self.msg_queue.mutex:
                self.msg_queue.queue.clear()
        self.served()

    def _drop(self, primitive: Any) -> None:
        """Take the bytes out of the data set, those that came before and those of one PDU."""
        values = primitive.presentation_data_value_list
        primitive._presentation_data_value_list = [
            (context, fragment if fragment[0] & 1 else fragment[:1]) for context, fragment in values
        ]
        if self.message is not None:
            self.message.data_set = BytesIO()
        if self._lease is not None:
            self._lease.release()
        self.dropped = True

    def _problem(self) -> str:
        """Say what is wrong with the length or the pace of the message; empty: nothing is."""
        most_bytes = MAXIMUM_ATTRIBUTES_BYTES if self._is_decoded else self._bounds.message_bytes
        for part, length, most in (
            ("command set", self._bytes["command"], MAXIMUM_COMMAND_BYTES),
            ("message", sum(self._bytes.values()), most_bytes),
        ):
            if length > most:
                return f"A {part} grew beyond {most >> 10} KiB."
        allowed_seconds = MESSAGE_SECONDS + self._bytes["data"] / LEAST_BYTES_A_SECOND
        if time.monotonic() - self._began_seconds > allowed_seconds:
            return f"A message came more slowly than {LEAST_BYTES_A_SECOND >> 10} KiB/s."
        return ""

    @property
    def _is_decoded(self) -> bool:
        """Whether the data set under way will be decoded here: that of every message but C-STORE."""
        return type(self.message) not in (type(None), DIMSEMessage, C_STORE_RQ, StoreRequest)

    def _has_memory(self) -> bool:
        """Hold the peer's memory for what has come so far, and for what it is decoded to, in steps."""
        needed = self._bytes["data"] * (DECODED_BYTES_OF_ONE if self._is_decoded else 1)
        steps = -(-needed // _STEP_BYTES)
        return self._lease is None or self._lease.hold(steps * _STEP_BYTES)

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; C-STORE-RSP with success, sent for every image, is encoded here in a tenth of the time."""
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
    """Return the command set of C-STORE-RSP with success (PS3.7 9.3.1.2), Implicit VR Little Endian."""
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

"""The DIMSE messages of one association (PS3.7), assembled from PDUs up to a maximum size."""

import struct
from dataclasses import dataclass
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from node.associations.connection import RingingQueue

MAXIMUM_COMMAND_BYTES = 1 << 16
"""A command set has some hundred bytes."""


@dataclass(frozen=True)
class Bounds:
    """Limits of one association."""

    message_bytes: int = 512 << 20
    """Of one message, its data set included."""


class Messages(DIMSEServiceProvider):
    """Aborts on a message that is too long; encodes C-STORE-RSP with success itself, for speed."""

    def __init__(self, association: Association, bounds: Bounds) -> None:
        super().__init__(association)
        self.msg_queue = RingingQueue(taken=association.dul.wake)
        self._bounds = bounds
        self._bytes = {"command": 0, "data": 0}

    def receive_primitive(self, primitive: Any) -> None:
        """Take the content of one PDU; a message that is too long aborts the association."""
        for _, fragment in primitive.presentation_data_value_list:
            self._bytes["command" if fragment[0] & 1 else "data"] += len(fragment)
        for part, length, most in (
            ("command set", self._bytes["command"], MAXIMUM_COMMAND_BYTES),
            ("message", sum(self._bytes.values()), self._bounds.message_bytes),
        ):
            if length > most:
                self._give_up(f"A {part} grew beyond {most >> 10} KiB.")
                return
        super().receive_primitive(primitive)
        if self.message is None:
            self._bytes = {"command": 0, "data": 0}

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

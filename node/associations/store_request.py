"""The request of C-STORE (PS3.7 9.3.1.1), read by hand: it comes with every image, and pynetdicom decodes it slowly.

Only a command set as the standard writes it is read here; whatever else comes is pynetdicom's to judge.
"""

import re
import struct
from io import BytesIO

from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE

_ELEMENT = struct.Struct("<HHL")
_NUMBER = struct.Struct("<H")
_UID = re.compile(rb"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*\0?")
_LONGEST_UID = 64
_GROUP_LENGTH, _CLASS, _COMMAND, _MESSAGE_ID, _PRIORITY = 0x0000, 0x0002, 0x0100, 0x0110, 0x0700
_DATA_SET_TYPE, _INSTANCE = 0x0800, 0x1000
_NEEDED = {_CLASS, _COMMAND, _MESSAGE_ID, _PRIORITY, _DATA_SET_TYPE, _INSTANCE}
_C_STORE_RQ, _NO_DATA_SET = 0x0001, 0x0101
_PRIORITIES = (0x0000, 0x0001, 0x0002)


class StoreRequest:
    """A request whose command set is here, and what has come of its data set."""

    def __init__(self, primitive: C_STORE, context_id: int) -> None:
        self.primitive = primitive
        self.context_id = context_id
        self.data_set = BytesIO()

    def complete(self) -> C_STORE:
        """Return the request with its data set."""
        self.primitive._dataset = self.data_set
        self.primitive._context_id = self.context_id
        return self.primitive


def store_request(command: bytes) -> C_STORE | None:
    """Read a command set, Implicit VR Little Endian.

    Returns:
        the request, without its data set; None where it is another one, or has anything but the elements that a
        request of C-STORE must have, each of them once.
    """
    values = _elements(command)
    if values is None or values.keys() != _NEEDED:
        return None
    if any(len(values[element]) != _NUMBER.size for element in (_COMMAND, _MESSAGE_ID, _PRIORITY, _DATA_SET_TYPE)):
        return None
    numbers = {element: _NUMBER.unpack(values[element])[0] for element in (_COMMAND, _PRIORITY, _DATA_SET_TYPE)}
    if numbers[_COMMAND] != _C_STORE_RQ or numbers[_DATA_SET_TYPE] == _NO_DATA_SET:
        return None
    uids = [_uid(values[element]) for element in (_CLASS, _INSTANCE)]
    if None in uids or numbers[_PRIORITY] not in _PRIORITIES:
        return None
    request = C_STORE()
    (request._message_id,) = _NUMBER.unpack(values[_MESSAGE_ID])
    request._affected_sop_class_uid, request._affected_sop_instance_uid = uids
    request._priority = numbers[_PRIORITY]
    return request


def _elements(command: bytes) -> dict[int, bytes] | None:
    """Return the values of group 0000 by element; None where they are not in order, or cut."""
    values: dict[int, bytes] = {}
    at, last = 0, -1
    while at < len(command):
        if len(command) - at < _ELEMENT.size:
            return None
        group, element, length = _ELEMENT.unpack_from(command, at)
        at += _ELEMENT.size + length
        if group or element <= last or at > len(command):
            return None
        last = element
        if element != _GROUP_LENGTH:
            values[element] = command[at - length : at]
    return values


def _uid(value: bytes) -> UID | None:
    """Return a UID (PS3.5 9.1) without its padding; pydicom's own check takes longer than all else here."""
    if len(value) > _LONGEST_UID or _UID.fullmatch(value) is None:
        return None
    return str.__new__(UID, value.rstrip(b"\0").decode("ascii"))

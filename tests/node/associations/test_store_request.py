import struct
from typing import Any

import pytest
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dsutils import decode

from node.associations.store_request import StoreRequest, store_request

CLASS, INSTANCE = b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.113619.2.5.1762583153"
GOOD = {
    0x0002: CLASS,
    0x0100: struct.pack("<H", 0x0001),
    0x0110: struct.pack("<H", 7),
    0x0700: struct.pack("<H", 2),
    0x0800: struct.pack("<H", 0),
    0x1000: INSTANCE + b"\0" * (len(INSTANCE) % 2),
}


def command(elements: dict[int, bytes]) -> bytes:
    inside = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements.items())
    return struct.pack("<HHLL", 0, 0, 4, len(inside)) + inside


def pynetdicoms(content: bytes) -> Any:
    """The request as pynetdicom reads it."""
    from io import BytesIO

    message = C_STORE_RQ()
    message.command_set = decode(BytesIO(content), True, True)
    return message.message_to_primitive()


def test_a_request_is_read_as_pynetdicom_reads_it() -> None:
    ours, theirs = store_request(command(GOOD)), pynetdicoms(command(GOOD))
    assert ours is not None
    for name in ("MessageID", "MessageIDBeingRespondedTo", "AffectedSOPClassUID", "AffectedSOPInstanceUID", "Priority"):
        assert getattr(ours, name) == getattr(theirs, name)
        assert type(getattr(ours, name)) is type(getattr(theirs, name))
    request = StoreRequest(ours, 5)
    assert not ours.is_valid_request
    request.data_set.write(b"data")
    assert request.complete().is_valid_request
    assert (ours.DataSet.getvalue(), ours._context_id) == (b"data", 5)


@pytest.mark.parametrize(
    "change",
    [
        {0x0100: struct.pack("<H", 0x8001)},
        {0x0800: struct.pack("<H", 0x0101)},
        {0x0110: b"\1\0\2\0"},
        {0x0700: struct.pack("<H", 9)},
        {0x1000: b""},
        {0x1000: b"1.2..3"},
        {0x1000: b"1.02.3"},
        {0x1000: b"1.2.3\\1.2.4\0"},
        {0x1000: b"1." * 32 + b"1\0"},
        {0x0002: b"../../etc"},
        {0x1030: b"ARCHIVE "},
        {0x0120: struct.pack("<H", 3)},
    ],
)
def test_anything_unusual_is_left_to_pynetdicom(change: dict[int, bytes]) -> None:
    assert store_request(command(dict(sorted({**GOOD, **change}.items())))) is None


def test_what_is_cut_repeated_or_out_of_order_is_left_to_pynetdicom() -> None:
    whole = command(GOOD)
    assert all(store_request(whole[:length]) is None for length in range(len(whole)))
    assert store_request(command(dict(reversed(GOOD.items())))) is None
    assert store_request(whole + whole) is None
    assert store_request(whole.replace(b"\0\0\0\1", b"\x08\0\0\1", 1)) is None
    assert all(store_request(command({k: v for k, v in GOOD.items() if k != element})) is None for element in GOOD)

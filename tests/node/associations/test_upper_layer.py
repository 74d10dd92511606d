"""P-DATA is taken apart where it lies; what is said of it is what pynetdicom says."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import P_DATA_TF

from node.associations.upper_layer import presentation_data_values

ODD = st.integers(0, 127).map(lambda number: 2 * number + 1)
VALUES = st.lists(st.tuples(ODD, st.binary(min_size=1, max_size=64)), max_size=5)


def encoded(values: list[tuple[int, bytes]]) -> bytes:
    return b"".join(struct.pack(">LB", len(value) + 1, context_id) + value for context_id, value in values)


@given(VALUES)
def test_the_values_of_a_pdu_are_those_that_pynetdicom_reads(values: list[tuple[int, bytes]]) -> None:
    content = encoded(values)
    theirs = P_DATA_TF()
    theirs.decode(struct.pack(">BBL", 4, 0, len(content)) + content)
    ours = presentation_data_values(bytearray(content))
    assert [[context_id, bytes(value)] for context_id, value in ours] == [
        [item.context_id, item.data] for item in theirs.presentation_data_value_items
    ]


@given(VALUES.filter(bool), st.integers(1, 5))
def test_a_pdu_that_ends_within_a_value_is_none(values: list[tuple[int, bytes]], missing: int) -> None:
    with pytest.raises((ValueError, struct.error)):
        presentation_data_values(bytearray(encoded(values)[:-missing] + b"\xff" * (missing > 4)))


@pytest.mark.parametrize("length", [0, 1, 0xFFFFFFFF])
def test_a_value_without_control_header_or_longer_than_its_pdu_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="another length"):
        presentation_data_values(bytearray(struct.pack(">LB", length, 1) + b"\x03"))

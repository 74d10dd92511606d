"""Elements whose value representation is damaged: the element is named, and its value is never taken for another."""

import struct

import pytest
from pydicom.datadict import tag_for_keyword

from inference.errors import UnsupportedImage
from inference.reading.study import read_series, read_study


def damage(path, keyword, vr):
    """Overwrite the value representation of an element of an explicit little-endian file."""
    tag = tag_for_keyword(keyword)
    content = path.read_bytes()
    header = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    assert content.count(header) == 1
    at = content.index(header) + 4
    path.write_bytes(content[:at] + vr + content[at + 2 :])


@pytest.mark.parametrize(
    ("keyword", "vr", "sentence"),
    [
        ("RescaleSlope", b"ZZ", "Rescale Slope (0028,1053) cannot be read: its value representation 'ZZ' is damaged, "
                                "it has to be DS (PS3.6)."),
        ("RescaleSlope", b"D\0", "Rescale Slope (0028,1053) cannot be read: its value representation is damaged, "
                                 "it has to be DS (PS3.6)."),
        ("RescaleSlope", b"FL", "Rescale Slope (0028,1053) cannot be read: its value representation 'FL' is damaged"),
        ("RescaleSlope", b"FD", "Rescale Slope (0028,1053) cannot be read: its value representation 'FD' is damaged"),
        ("ImagePositionPatient", b"UL", "Image Position (Patient) (0020,0032) cannot be read: its value represent"),
        ("ImagePositionPatient", b"Q ", "Image Position (Patient) (0020,0032) cannot be read: its value represent"),
        ("Rows", b"ZZ", "Rows (0028,0010) cannot be read: its value representation 'ZZ' is damaged, it has to be US"),
        ("Rows", b"UL", "Rows (0028,0010) cannot be read: its value representation 'UL' is damaged, it has to be US"),
        ("Rows", b"LO", "Rows (0028,0010) cannot be read: its value representation 'LO' is damaged, it has to be US"),
        ("PixelRepresentation", b"ZZ", "Pixel Representation (0028,0103) cannot be read: its value representation"),
        ("BitsStored", b"U\x01", "Bits Stored (0028,0101) cannot be read: its value representation is damaged"),
    ],
)  # fmt: skip
def test_a_damaged_value_representation_is_said_with_its_element_and_takes_only_its_plane(
    write_series, head, keyword, vr, sentence
):
    paths = write_series(head, RescaleSlope="2.5 ", RescaleIntercept="0", PixelRepresentation=1)
    damage(paths[3], keyword, vr)
    reading = read_study(paths)
    (reason,) = [entry.reason for entry in reading.instances if entry.reason]
    assert reason.startswith(sentence)
    assert "not a number" not in reason
    assert (reading.read, reading.set_apart) == (5, 1)


@pytest.mark.parametrize("vr", [b"LO", b"CS", b"SH"])
def test_a_number_in_text_may_be_written_in_another_representation_of_text(write_series, head, vr):
    paths = write_series(head, RescaleSlope="2.5 ", RescaleIntercept="0")
    plain = read_series(paths).values
    for path in paths:
        damage(path, "RescaleSlope", vr)
    assert (read_series(paths).values == plain).all()


def test_what_decides_nothing_may_be_damaged(write_series, head):
    paths = write_series(head)
    for path in paths:
        damage(path, "InstanceNumber", b"FD")
    assert len(read_series(paths).frames) == 6


def test_a_value_that_is_no_number_is_still_said_to_be_none(write_series, head):
    (path,) = write_series(head[:1], RescaleSlope="1.5", RescaleIntercept="0")
    path.write_bytes(path.read_bytes().replace(b"1.5 ", b"1,5 "))
    with pytest.raises(UnsupportedImage, match="is '1,5', which is not a number"):
        read_series([path])

"""What the rules see of a value: no more than its VR allows, whatever VR and length the sender wrote."""

import struct
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.rules.series_header import MOST_VALUES, SeriesHeader
from node.settings.patterns import LONGEST_EXPRESSION, check_expression, is_found
from tests.node.receiving.intake import mr_image

DESCRIPTION, IMAGE_TYPE, MODALITY, FIELD = 0x0008103E, 0x00080008, 0x00080060, 0x00180087
LONG_FORM = ("OB", "OW", "UC", "UN", "UT")


def header(folder: Path, tag: int, vr: str, value: bytes, *, implicit: bool = False) -> SeriesHeader:
    """Write a file with one element as these bytes, and read it as the node does."""
    value += b" " * (len(value) % 2)
    group, element = tag >> 16, tag & 0xFFFF
    if implicit:
        head = struct.pack("<HHL", group, element, len(value))
    elif vr in LONG_FORM:
        head = struct.pack("<HH2sHL", group, element, vr.encode(), 0, len(value))
    else:
        head = struct.pack("<HH2sH", group, element, vr.encode(), len(value))
    meta = mr_image().file_meta
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    path = folder / "image.dcm"
    with path.open("wb") as file:
        file.write(b"\0" * 128 + b"DICM")
        syntax = meta.TransferSyntaxUID.encode() + b"\0" * (len(meta.TransferSyntaxUID) % 2)
        content = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
        file.write(struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(content)) + content + head + value)
    return SeriesHeader.read(path)


@pytest.mark.parametrize(
    ("vr", "length"),
    [
        *((vr, length) for vr in ("UT", "UN", "OB", "implicit") for length in (100, 60_000, 1_000_000)),
        *(("LO", length) for length in (100, 60_000)),  # an explicit LO has a length of 16 bits
    ],
)
def test_a_text_is_cut_to_the_length_of_its_dictionary_vr_whatever_vr_was_written(
    tmp_path: Path, vr: str, length: int
) -> None:
    implicit = vr == "implicit"
    (value,) = header(tmp_path, DESCRIPTION, vr, b"a" * length, implicit=implicit).values("SeriesDescription")
    assert len(value) == 64
    assert set(value) <= set("a" if vr != "OB" else "b'a")


def test_each_value_of_several_is_cut_and_their_number_is_bounded(tmp_path: Path) -> None:
    values = header(tmp_path, IMAGE_TYPE, "CS", b"\\".join([b"X" * 20] * 2500)).values("ImageType")
    assert set(values) == {"X" * 16}
    assert len(values) == 2500
    many = header(tmp_path, IMAGE_TYPE, "CS", b"\\".join([b"Y"] * 30_000)).values("ImageType")
    assert len(many) == MOST_VALUES


def test_padding_and_nul_are_no_part_of_a_value(tmp_path: Path) -> None:
    assert header(tmp_path, MODALITY, "CS", b"  M\0R \0").values("Modality") == ("MR",)


@pytest.mark.parametrize(
    ("vr", "value"), [("FD", b"abcd"), ("IS", b"9" * 5000), ("ZZ", b"ab"), ("DS", b""), ("OW", b"")]
)
def test_a_value_that_is_not_of_its_vr_counts_as_missing_and_the_others_are_read(
    tmp_path: Path, vr: str, value: bytes
) -> None:
    assert header(tmp_path, FIELD, vr, value).values("MagneticFieldStrength") == ()


def test_a_number_longer_than_its_vr_allows_is_not_cut_into_another(tmp_path: Path) -> None:
    assert header(tmp_path, FIELD, "DS", b"1.00000000000000000E+01").values("MagneticFieldStrength") == (
        "1.00000000000000000E+01",
    )


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("flair", "Ax FLAIR 3D", True),
        ("^flair$", "flair", True),
        ("^flair", "t2 flair", False),
        ("knie|hüfte", "HÜFTE links", True),
        (r"\bt1\b.*\bce\b", "T1 TSE CE", True),
        ("^$", "x", False),
        ("a{0,2}b", "aab", True),
        ("x", "\ud800x", True),
    ],
)
def test_an_expression_is_searched_for_without_regard_to_case(expression: str, text: str, found: bool) -> None:
    assert is_found(check_expression(expression), text) is found


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(?=a)", "look-around"), ("(?<!a)b", "look-around"), (r"(a)\1", "backreferences"), ("a++", "possessive"),
        ("(?>a)", "atomic"), (r"a\Z", r"\\Z"), ("(?x) a", "x"), ("a{,3}", "{0,n}"), ("[[:alpha:]]", "nested set"),
        ("[", "unterminated"), ("a" * (LONGEST_EXPRESSION + 1), str(LONGEST_EXPRESSION)), (r"\pL", "bad escape"),
    ],
)  # fmt: skip
def test_an_expression_that_needs_backtracking_or_reads_otherwise_is_refused(expression: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        check_expression(expression)
    assert reason.replace("\\\\", "\\") in str(refused.value)

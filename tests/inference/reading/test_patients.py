"""One patient in two character sets is one patient; two names of one id are a warning, two ids a refusal."""

import pytest
from pydicom.uid import generate_uid

from inference.errors import UnsupportedImage
from inference.reading.study import read_study
from tests.inference.reading.files import copied, put


@pytest.fixture
def two_series(write_series, head):
    paths = write_series(head[:2])
    return paths, copied(paths, "other", SeriesInstanceUID=generate_uid(entropy_srcs=["other"]))


def raw(paths, character_set, written):
    """Write the bytes of a name as they are: pydicom would encode one that it has read."""
    value = written + b" " * (len(written) % 2)
    for path in paths:
        put(path, 0x00080005, "CS", character_set)
        put(path, 0x00100010, "PN", b"X" * len(value))
        content = path.read_bytes()
        path.write_bytes(content.replace(b"X" * len(value), value))


def test_one_name_in_two_character_sets_is_one_patient(two_series):
    first, second = two_series
    raw(first, b"ISO_IR 100", "Müller^Jürgen".encode("latin-1"))
    raw(second, b"ISO_IR 192", "Müller^Jürgen".encode())
    found = read_study([*first, *second])
    assert len(found.images) == 2
    assert not found.warnings


def test_a_character_that_a_sender_could_not_encode_makes_no_other_patient(two_series):
    first, second = two_series
    raw(first, b"ISO_IR 6", b"M?ller^J?rgen")
    raw(second, b"ISO_IR 192", "Müller^Jürgen".encode())
    assert not read_study([*first, *second]).warnings


def test_two_names_of_one_id_are_a_warning(two_series):
    first, second = two_series
    raw(first, b"ISO_IR 192", b"Able^Ann")
    raw(second, b"ISO_IR 192", b"Baker^Ann")
    found = read_study([*first, *second])
    assert len(found.images) == 2
    (warning,) = found.warnings
    assert "Patient's Name (0010,0010)" in warning
    assert "Able" not in warning


def test_two_ids_are_refused(two_series):
    first, second = two_series
    for path in second:
        put(path, 0x00100020, "LO", b"SOMEBODY")
    with pytest.raises(UnsupportedImage, match=r"Patient ID \(0010,0020\) differs"):
        read_study([*first, *second])

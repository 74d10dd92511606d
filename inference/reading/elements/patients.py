"""Whether images are of one patient: text compared as text, whatever character set it is written in."""

import unicodedata
from collections.abc import Iterable
from itertools import combinations

from pydicom import Dataset

from inference.errors import UnsupportedImage
from inference.reading.elements.header import text_of

_NOT_ENCODED = "?\ufffd"


def check_patient(headers: Iterable[Dataset]) -> tuple[str, ...]:
    """Compare the patients of data sets; return warnings.

    Raises:
        UnsupportedImage: the images are of several patients: findings could not be assigned to one of them.
    """
    ids, names = set[str](), set[str]()
    for header in headers:
        ids.add(_comparable(text_of(header, "PatientID")))
        names.add(_comparable(text_of(header, "PatientName").partition("=")[0].replace("^", " ")))
    if len(ids - {""}) > 1:
        raise UnsupportedImage("Patient ID (0010,0020) differs between the images: they are not of one patient.")
    if all(_alike(first, second) for first, second in combinations(names - {""}, 2)):
        return ()
    if not ids - {""}:
        raise UnsupportedImage(
            "Patient's Name (0010,0010) differs between the images, and Patient ID (0010,0020) is absent: they are "
            "not of one patient."
        )
    return (
        "Patient's Name (0010,0010) differs between the images of one Patient ID (0010,0020): check that they are of "
        "one patient.",
    )


def _alike(first: str, second: str) -> bool:
    """Whether two names are one; a question mark stands for a character that a sender could not encode."""
    return len(first) == len(second) and all(
        a == b or a in _NOT_ENCODED or b in _NOT_ENCODED for a, b in zip(first, second, strict=True)
    )


def _comparable(text: str) -> str:
    """Return text upper case, in one form of Unicode, without what only separates or pads."""
    return " ".join(unicodedata.normalize("NFKC", text).strip(" \0").upper().split())

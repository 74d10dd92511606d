"""Whether images are of one patient: text compared as text, whatever character set it is written in."""

import unicodedata
from collections.abc import Iterable

from inference.errors import UnsupportedImage
from inference.reading.header import text_of
from inference.reading.instance import File


def check_patient(files: Iterable[File]) -> tuple[str, ...]:
    """Compare the patients of files; return warnings.

    Raises:
        UnsupportedImage: the images are of several patients: findings could not be assigned to one of them.
    """
    ids, names = set[str](), set[str]()
    for file in files:
        ids.add(_comparable(text_of(file.dataset, "PatientID")))
        names.add(_comparable(text_of(file.dataset, "PatientName").partition("=")[0].replace("^", " ")))
    if len(ids - {""}) > 1:
        raise UnsupportedImage("Patient ID (0010,0020) differs between the images: they are not of one patient.")
    if len(names - {""}) < 2:
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


def _comparable(text: str) -> str:
    """Return text upper case, in one form of Unicode, without what only separates or pads."""
    return " ".join(unicodedata.normalize("NFKC", text).strip(" \0").upper().split())

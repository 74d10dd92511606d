"""Studies with a canary in every attribute there is, whatever its value representation: whoever prints one is heard."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID

from tests.node.receiving.intake import mr_image, with_meta

CANARY = "KANARI"
"""Stands in every text, every private and every binary attribute."""
NUMBER = "492756108"
"""Stands in every UID, and in every whole number that can hold it."""
KEPT_GROUPS = frozenset({0x0000, 0x0002, 0x0004, 0x0028, 0x7FE0})
"""Commands, file meta information, directories, and what describes the pixels."""
REPLACED = frozenset({"PatientName", "PatientID", "SeriesDescription", "BodyPartExamined", "ImageType"})
BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
TEXTS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"})
WHOLE = frozenset({"UL", "SL", "UV", "SV"})


@contextmanager
def anything_goes() -> Iterator[None]:
    """Let pydicom write values that their value representation does not allow, as modalities do."""
    modes = pydicom.config.settings.reading_validation_mode, pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pydicom.config.settings.reading_validation_mode, pydicom.config.settings.writing_validation_mode = modes


def canary_image(study: int, number: int, *, modality: str = "MR") -> Dataset:
    """An image that the inbox takes: identity, modality and pixels are sound, and all the rest are canaries."""
    image = mr_image(uid(study), series=uid(study, 1), seed=number)
    kept = {element.tag for element in image if element.keyword not in REPLACED}
    fill(image, {*kept, 0x00080005})
    image.SOPInstanceUID = uid(study, 1, number)
    image.Modality = modality
    return with_meta(image, image.file_meta.TransferSyntaxUID)


def uid(*numbers: int) -> UID:
    return UID(".".join(["1.2.826.0.1", NUMBER, *map(str, numbers)]))


def fill(dataset: Dataset, kept: set[int], *, depth: int = 3) -> None:
    """Put a canary into every attribute that is not kept."""
    for count, (tag, (representation, *_)) in enumerate(sorted(DicomDictionary.items())):
        if tag in kept or tag >> 16 in KEPT_GROUPS or tag & 0xFFFF == 0:
            continue
        if representation in TEXTS | BYTES:
            dataset[tag] = raw(tag, representation, f"{CANARY}{count}")
        elif representation == "UI":
            dataset[tag] = raw(tag, "UI", uid(9, count))
        elif representation in WHOLE:
            dataset.add_new(tag, representation, int(NUMBER))
        elif representation == "SQ" and depth and count % 40 == 0:
            item = Dataset()
            item.PatientName, item.PatientComments = f"{CANARY}^{count}", CANARY
            fill_private(item)
            inner = Dataset()
            inner.PatientID = f"{CANARY}{depth}"
            item.OtherPatientIDsSequence = Sequence([inner])
            dataset.add_new(tag, "SQ", Sequence([item]))
    fill_private(dataset)


def fill_private(dataset: Dataset) -> None:
    block = dataset.private_block(0x0011, f"{CANARY} MAKER", create=True)
    for element, representation in enumerate(sorted(TEXTS | BYTES), start=1):
        tag = block.get_tag(element)
        dataset[tag] = raw(tag, representation, f"{CANARY}{element}")


def raw(tag: int, representation: str, text: str) -> RawDataElement:
    """An element with a value that its value representation does not allow, as modalities write them."""
    value = text.encode() + b" " * (len(text) % 2)
    return RawDataElement(Tag(tag), representation, len(value), value, 0, False, True)


def strange_charset(image: Dataset) -> Dataset:
    """The same, in a character set that nobody knows."""
    image[0x00080005] = raw(0x00080005, "CS", f"{CANARY} 1")
    return image


def dicom_file(image: Dataset, path: Path) -> bytes:
    """The image as a file whose preamble and meta information are canaries too."""
    image.preamble = (CANARY.encode() * 32)[:128]
    image.file_meta.SourceApplicationEntityTitle = CANARY
    image.file_meta.PrivateInformationCreatorUID = uid(8)
    image.file_meta.PrivateInformation = CANARY.encode()
    image.save_as(path, enforce_file_format=True)
    return path.read_bytes()

"""What the rules see of a series: one header, and the values of its attributes as text."""

import struct
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

from node.rules.texts import cut, vr_of
from node.settings.section import tag_of

MOST_VALUES = 4096
"""Values of one attribute of one series that the rules see: the first of them."""
_READ_BYTES = 0xFFFE
"""Of an element outside of sequences, the most that a length of 16 bits holds: the rest is not read."""
_UNREADABLE = (
    ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError, OSError, struct.error,
    BytesLengthException,
)  # fmt: skip
"""What pydicom raises where a value is not what its VR says."""

SHOWN = frozenset(
    {
        "AnatomicRegionSequence", "BodyPartExamined", "BitsAllocated", "BitsStored", "CodeValue", "Columns",
        "ImageOrientationPatient", "ImageType", "Laterality", "MagneticFieldStrength", "Manufacturer",
        "ManufacturerModelName", "Modality", "MRAcquisitionType", "NumberOfFrames", "PatientPosition",
        "PhotometricInterpretation", "PixelSpacing", "PresentationIntentType", "Rows", "SamplesPerPixel", "ScanOptions",
        "ScanningSequence", "SequenceVariant", "SliceThickness", "SOPClassUID", "ViewPosition",
    }
)  # fmt: skip
"""Attributes whose values may stand in a reason: technical ones without free text."""


@dataclass(frozen=True)
class SeriesHeader:
    """What the rules see of one series: the data set of one of its instances, without pixels."""

    dataset: Dataset
    foreign_result: bool = False
    """Whether it says that this product made it, and no node of this store did."""

    @classmethod
    def read(cls, path: Path, *, foreign_result: bool = False) -> "SeriesHeader":
        """Read one kept file up to its pixel data."""
        return cls(dcmread(path, stop_before_pixels=True, defer_size=_READ_BYTES), foreign_result)

    def values(self, attribute: str) -> tuple[str, ...]:
        """Return the first values of an attribute as text, none where it is missing, empty or cannot be read.

        Each is cut to the length that its VR allows (PS3.5 table 6.2-1), however long the network's was.

        Args:
            attribute: keyword or tag (``0008,0060``); a dotted path leads into sequences, through all their items.
        """
        return tuple(islice(_values([self.dataset], attribute.split(".")), MOST_VALUES))


def may_show(attribute: str) -> bool:
    """Say whether values of this attribute may stand in a reason."""
    tag = tag_of(attribute.split(".")[-1])
    return tag is not None and keyword_for_tag(tag) in SHOWN


def is_about_patient(attribute: str) -> bool:
    """Say whether even what a rule wants of this attribute could name a patient."""
    tag = tag_of(attribute.split(".")[-1])
    if tag is None or tag >> 16 in (0x0010, 0x0032, 0x0038, 0x0040) or tag in (0x00080050, 0x00080051):
        return True
    return tag >> 16 & 1 == 0 and keyword_for_tag(tag) != "" and dictionary_VR(tag) == "PN"


def _values(datasets: Iterable[Dataset], path: list[str]) -> Iterator[str]:
    tag = tag_of(path[0])
    if tag is None:
        return
    vr = vr_of(tag)
    for dataset in datasets:
        element = _element(dataset, tag, vr)
        if element is None:
            continue
        if element.VR == "SQ":
            if path[1:]:
                yield from _values(element.value, path[1:])
        elif len(path) == 1:
            many = element.value if isinstance(element.value, (MultiValue, list)) else [element.value]
            texts = (cut(str(value), element.VR, vr) for value in many if value is not None)
            yield from (text for text in texts if text)


def _element(dataset: Dataset, tag: int, vr: str) -> DataElement | None:
    """Read one element, of a long value the beginning; None where it is missing or its value is not of its VR."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values are common, and a warning would print them
        try:
            raw = dataset.get_item(tag, keep_deferred=True)
            if raw is None:
                return None
            if isinstance(raw, RawDataElement) and raw.value is None and raw.length and "SQ" not in (raw.VR, vr):
                dataset[tag] = raw._replace(value=_beginning(dataset, raw), length=_READ_BYTES)
            return dataset[tag]
        except _UNREADABLE:
            return None


def _beginning(dataset: Dataset, element: RawDataElement) -> bytes:
    """Read the beginning of a value that was too long to be read with its data set."""
    with Path(str(dataset.filename)).open("rb") as file:
        file.seek(element.value_tell)
        return file.read(_READ_BYTES)

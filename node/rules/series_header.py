"""What the rules see of a series: one header, and the values of its attributes as text."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.settings.section import tag_of

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

    @classmethod
    def read(cls, path: Path) -> "SeriesHeader":
        """Read one kept file up to its pixel data."""
        return cls(dcmread(path, stop_before_pixels=True, defer_size=1 << 16))

    def values(self, attribute: str) -> tuple[str, ...]:
        """Give the values of an attribute as text, none where it is missing or empty.

        Args:
            attribute: keyword or tag (``0008,0060``); a dotted path leads into sequences, through all their items.
        """
        return tuple(_values([self.dataset], attribute.split(".")))


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
    for dataset in datasets:
        if tag is None or tag not in dataset:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are common, and a warning would print them
            element = dataset[tag]
        if element.VR == "SQ":
            if path[1:]:
                yield from _values(element.value, path[1:])
        elif len(path) == 1:
            many = element.value if isinstance(element.value, (MultiValue, list)) else [element.value]
            yield from (text for text in (str(value).strip() for value in many if value is not None) if text)

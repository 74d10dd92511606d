"""The routing table: which bundles look at a study, and why, in words."""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.section import tag_of
from node.rule import Clause, Rule

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

_HIDDEN = "(value not shown)"


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


@dataclass(frozen=True)
class Route:
    """Where a study goes: the part of a rule that is not its condition."""

    name: str
    bundles: tuple[str, ...]
    destinations: tuple[str, ...]
    method: str | None
    """Saliency method; None: the bundle's own."""
    planes_explained: int


@dataclass(frozen=True)
class Decision:
    """Which route, if any, and every clause that was asked on the way to it."""

    route: Route | None
    trace: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The trace as one text, a line for each series that a rule was held against."""
        return "\n".join(self.trace)


def decide(rules: Sequence[Rule], headers: Sequence[SeriesHeader]) -> Decision:
    """Take the first rule whose clauses all hold on the same series of the study.

    Args:
        rules: the routing table, in order.
        headers: one for each series of the study.
    """
    trace: list[str] = []
    for rule in rules:
        for number, header in enumerate(headers, start=1):
            held, sentence = _ask(rule.when, header)
            trace.append(f"rule {rule.name!r}, series {number} of {len(headers)}: {sentence}")
            if held:
                return Decision(_route(rule), tuple(trace))
    if not rules:
        trace.append("there are no rules in the settings")
    return Decision(None, (*trace, "no rule matches this study"))


def _route(rule: Rule) -> Route:
    return Route(
        name=rule.name,
        bundles=rule.bundles,
        destinations=rule.destinations,
        method=rule.method,
        planes_explained=rule.planes_explained,
    )


def _ask(clauses: Iterable[Clause], header: SeriesHeader) -> tuple[bool, str]:
    """Hold the clauses against one series, up to the first that fails."""
    told: list[str] = []
    for clause in clauses:
        values = header.values(clause.attribute)
        held = any(_holds(clause, value) for value in values)
        told.append(_tell(clause, values, held=held))
        if not held:
            return False, "; ".join(told)
    return True, "; ".join(told) or "no condition"


def _holds(clause: Clause, value: str) -> bool:
    if clause.equals is not None and value.casefold() not in {wanted.casefold() for wanted in clause.wanted}:
        return False
    return clause.matches is None or re.search(clause.matches, value, re.IGNORECASE) is not None


def _tell(clause: Clause, values: tuple[str, ...], *, held: bool) -> str:
    if not values:
        return f"{clause.attribute} is missing, wanted {_wish(clause)}"
    shown = "\\".join(values) if _may_show(clause.attribute) else _HIDDEN
    return f"{clause.attribute} is {shown}, {'as wanted' if held else f'wanted {_wish(clause)}'}"


def _wish(clause: Clause) -> str:
    """Say what a clause asks for; where it asks about the patient, not even that."""
    if _is_about_patient(clause.attribute):
        return _HIDDEN
    wishes = [" or ".join(clause.wanted)] if clause.equals is not None else []
    return " and ".join([*wishes, f"a match of {clause.matches!r}"] if clause.matches is not None else wishes)


def _may_show(attribute: str) -> bool:
    tag = tag_of(attribute.split(".")[-1])
    return tag is not None and keyword_for_tag(tag) in SHOWN


def _is_about_patient(attribute: str) -> bool:
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

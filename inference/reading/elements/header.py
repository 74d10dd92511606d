"""Elements of a header as numbers and text: the one place where a written value becomes a number."""

import math
import re
import warnings
from functools import cache
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import VR

from inference.errors import DAMAGE, UnsupportedImage

_LONGEST_QUOTE = 32
_LIKE_A_NUMBER = re.compile(r"[0-9+\-.,eE\\\[\]' ]*|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_READ_ALIKE = (frozenset({"CS", "DS", "IS", "LO", "SH", "UC"}), frozenset({"SS", "US"}), frozenset({"SL", "UL"}))
"""Value representations that read the same numbers from the same bytes, but for their sign."""
_LIKE_A_VR = re.compile(r"[A-Z]{2}")
NOT_SHOWN = "(text, not shown)"
"""In place of a value that is no number at all: text in the wrong element may name a patient."""


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an element; None where it is absent, empty or cannot be converted to its VR."""
    tag = _tag(keyword)
    if tag not in dataset:
        return None
    try:
        element = dataset.get_item(tag)
        if isinstance(element, DataElement):  # already converted
            value = element.value
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's warnings may quote values of the file
                value = dataset[tag].value
    except DAMAGE:
        return None
    return None if value is None or value == "" else value


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return an element as text in the Specific Character Set of its data set, stripped; empty where unusable."""
    try:
        return str(value_of(dataset, keyword) or "").strip(" \0")
    except DAMAGE:
        return ""


def texts_of(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of an element as stripped text in upper case; empty where it is absent or unusable."""
    value = value_of(dataset, keyword)
    several = (value,) if value is None or isinstance(value, str) else value
    try:
        return tuple(str(part or "").strip(" \0").upper() for part in several)
    except DAMAGE:
        return (str(value).strip(" \0").upper(),)


def numbers_of(dataset: Dataset, keyword: str, count: int | None = None) -> tuple[float, ...] | None:
    """Return an element as finite numbers; None where it is absent or empty.

    Args:
        dataset: the data set or the item of a functional group that holds the element.
        keyword: of the element.
        count: how many values it must have; None: any number.

    Raises:
        UnsupportedImage: not numbers, not finite, or another count; the sentence names the element and its value, or
            says that its value representation is damaged.
    """
    if keyword not in dataset:
        return None
    damaged = damaged_vr(dataset, keyword)
    if damaged:
        raise UnsupportedImage(f"{title_of(keyword)} cannot be read: {damaged}.")
    value = value_of(dataset, keyword)
    if value is None and not written(dataset, keyword):
        return None
    try:
        several = (value,) if isinstance(value, str | bytes) or not hasattr(value, "__len__") else tuple(value)
        converted = tuple(float(part) for part in several)
    except (TypeError, ValueError):
        converted = ()
    if not converted or not all(math.isfinite(number) for number in converted):
        raise UnsupportedImage(f"{named(dataset, keyword)}, which is not a number.")
    if count is not None and len(converted) != count:
        wanted = "one value" if count == 1 else f"{count} values"
        raise UnsupportedImage(f"{named(dataset, keyword)}, which is not {wanted}.")
    return converted


def damaged_vr(dataset: Dataset, keyword: str) -> str:
    """Say that an element of numbers is written in a value representation that reads its bytes as something else.

    Empty where it is that of the standard (PS3.6) or reads the same, is not written or unknown (UN), and where the
    element is absent or empty.
    """
    tag = _tag(keyword)
    element = dataset.get_item(tag)
    expected = dictionary_VR(tag)
    vr = str(getattr(element, "VR", None) or VR.UN)
    same = vr in (VR.UN, expected, *expected.split(" or ")) or any({vr, expected} <= alike for alike in _READ_ALIKE)
    if same or getattr(element, "value", None) in (None, b"", ""):
        return ""
    quoted = f" '{vr}'" if _LIKE_A_VR.fullmatch(vr) else ""
    return f"its value representation{quoted} is damaged, it has to be {expected} (PS3.6)"


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """Return an element as one finite number; None where it is absent or empty; see ``numbers_of``."""
    numbers = numbers_of(dataset, keyword, 1)
    return None if numbers is None else numbers[0]


def integer_of(dataset: Dataset, keyword: str) -> int | None:
    """Return an element as one integer; None where it is absent or empty; see ``numbers_of``."""
    number = number_of(dataset, keyword)
    if number is not None and number != int(number):
        raise UnsupportedImage(f"{named(dataset, keyword)}, which is not a whole number.")
    return None if number is None else int(number)


def hint_of(dataset: Dataset, keyword: str) -> float | None:
    """Return the first number of an element that decides nothing; None where it is absent or not a finite number."""
    try:
        numbers = numbers_of(dataset, keyword)
    except UnsupportedImage:
        return None
    return numbers[0] if numbers else None


def title_of(keyword: str) -> str:
    """Return name and tag of an element, as "Rescale Slope (0028,1053)"."""
    tag = Tag(tag_for_keyword(keyword) or 0)
    return f"{dictionary_description(tag)} ({tag.group:04X},{tag.element:04X})"


def named(dataset: Dataset, keyword: str) -> str:
    """Return name, tag and value of an element, as "Rescale Slope (0028,1053) is 'NaN'"; text is not shown."""
    quoted = written(dataset, keyword)
    if not _LIKE_A_NUMBER.fullmatch(quoted):
        return f"{title_of(keyword)} is {NOT_SHOWN}"
    cut = quoted if len(quoted) <= _LONGEST_QUOTE else quoted[:_LONGEST_QUOTE] + "..."
    return f"{title_of(keyword)} is '{cut}'"


def written(dataset: Dataset, keyword: str) -> str:
    """Return the value of an element as it stands in the file, printable characters alone; empty where empty."""
    value = value_of(dataset, keyword)
    if value is None:
        value = getattr(dataset.get_item(keyword), "value", None)
    if value is None:
        return ""
    if isinstance(value, bytes):
        text = value.decode("latin-1")
    elif isinstance(value, str) or not hasattr(value, "__len__"):
        text = str(value)
    else:
        text = "\\".join(str(part) for part in value)
    return "".join(character for character in text.strip(" \0") if character.isprintable())

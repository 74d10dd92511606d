"""Dates and times of a header as seconds that can be compared (PS3.5 6.2: DA, TM, DT)."""

import re
from datetime import date

from pydicom import Dataset

from inference.reading.elements.header import text_of

_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(\.\d{1,6})?\d*")
_DATE_AND_TIME = re.compile(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)?\d*([+-]\d{4})?")
_FIRST_DAY = date(1970, 1, 1)


def moment_of(dataset: Dataset, keyword: str) -> float | None:
    """Return a date and time (DT) in seconds since 1970; None where it is absent or none.

    Args:
        dataset: that holds the element.
        keyword: of the element. A time without an offset from UTC counts as UTC: only differences mean something.
    """
    parts = _DATE_AND_TIME.fullmatch(text_of(dataset, keyword))
    if parts is None:
        return None
    day, seconds = _days(parts[1]), _seconds(parts[2] or "00")
    if day is None or seconds is None:
        return None
    offset = 0.0
    if parts[3]:
        hours, minutes = int(parts[3][1:3]), int(parts[3][3:])
        offset = (hours * 3600.0 + minutes * 60.0) * (-1 if parts[3][0] == "-" else 1)
    return day * 86400.0 + seconds - offset


def time_of(dataset: Dataset, date_keyword: str, time_keyword: str) -> float | None:
    """Return a time of day (TM) with its date (DA) in seconds since 1970; None where the time is absent or none.

    A time without a date counts as of 1970-01-01.
    """
    seconds = _seconds(text_of(dataset, time_keyword))
    return None if seconds is None else (_days(text_of(dataset, date_keyword)) or 0) * 86400.0 + seconds


def _days(text: str) -> int | None:
    parts = _DATE.fullmatch(text)
    try:
        return None if parts is None else (date(*map(int, parts.groups())) - _FIRST_DAY).days
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    parts = _TIME.fullmatch(text)
    if parts is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in parts.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return hours * 3600.0 + minutes * 60.0 + seconds + float(parts[4] or 0)

"""What came back from a node, as its reports say it."""

from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage

from node.demo.pacs import FilingScp


def reports_of(pacs: FilingScp) -> list[Path]:
    """Return the structured reports that a PACS holds."""
    paths = pacs.received().values()
    return [path for path in paths if dcmread(path, stop_before_pixels=True).SOPClassUID == Comprehensive3DSRStorage]


def texts(item: Dataset) -> Iterator[str]:
    """Yield every text of a report, depth first."""
    if item.get("ValueType") == "TEXT":
        yield str(item.TextValue)
    for inner in item.get("ContentSequence", ()):
        yield from texts(inner)


def said(report: str) -> list[str]:
    """Return what a report says of findings and probabilities."""
    return [line for line in report.splitlines() if line.startswith(("Found:", "Nothing found", "Probabilit"))]

"""A folder of annotated cases, whatever it holds."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from inference.bundle.bundle import Bundle
from inference.cases.annotated_dicom import read_annotated_dicom
from inference.cases.cases import AnnotatedSeries, Excluded
from inference.cases.labels_folder import LABELS, read_labels_folder

Source = Callable[[Bundle, Sequence[str]], Iterable[AnnotatedSeries | Excluded]]
"""Reads the cases of some splits."""


def source_of(data: Path) -> Source:
    """Read a folder with ``labels.csv``, or else one of DICOM files."""

    def read(bundle: Bundle, splits: Sequence[str]) -> Iterable[AnnotatedSeries | Excluded]:
        if (data / LABELS).is_file():
            return read_labels_folder(data, splits, is_volume=bundle.manifest.kind == "volume")
        return read_annotated_dicom(data, splits, bundle)

    return read

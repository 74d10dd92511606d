"""One DICOM file of a series: what identifies it, where its planes lie, and how its values are to be shown."""

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from inference.errors import DAMAGE, UnreadableInstance
from inference.reading.geometry import Orientation, Vector, numbers
from inference.reading.pixels import frame_count


@dataclass(frozen=True)
class Frame:
    """One plane of a series: where its pixels came from and where they lie (PS3.3 C.7.6.2)."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int
    """1-based; 1 for a single-frame instance."""
    instance_number: int | None
    position_mm: tuple[float, float, float] | None
    """Image Position (Patient), the centre of the first pixel."""
    orientation: tuple[float, float, float, float, float, float] | None
    """Image Orientation (Patient): direction cosines of a row, then of a column."""
    pixel_spacing_mm: tuple[float, float] | None
    """Between rows, between columns."""


SHOWN_BY = (
    "PhotometricInterpretation", "BitsStored", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "VOILUTSequence", "WindowCenter", "WindowWidth",
    "VOILUTFunction",
)  # fmt: skip
"""What decides how stored values are shown, in the data set or in functional groups (PS3.3 C.7.6.16.2)."""


@dataclass(frozen=True)
class File:
    """One file, read whole; its pixels are decoded later."""

    sop_instance_uid: str
    series_instance_uid: str
    sha256: str
    dataset: Dataset
    frames: tuple[Frame, ...]

    def patient(self, keyword: str) -> str:
        """Return PatientID or PatientName to be compared: upper case, without what only separates or pads."""
        written = self.dataset.get_item(keyword)
        value = getattr(written, "value", None) or ""
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        return " ".join(text.partition("=")[0].replace("^", " ").strip(" \0").upper().split())

    def header(self, index: int) -> Dataset:
        """Return what decides how frame ``index`` (0-based) is shown."""
        return of_frame(self.dataset, index, SHOWN_BY)


def of_frame(dataset: Dataset, index: int, keywords: Iterable[str]) -> Dataset:
    """Return these attributes as they hold for frame ``index`` (0-based): its functional groups before the data set."""
    header = Dataset()
    for source in (dataset, *_groups(dataset, index)):
        for keyword in keywords:
            if source.get(keyword) is not None:
                header[keyword] = source[keyword]
    return header


def read_file(path: Path) -> File:
    """Read one DICOM file without decoding its pixels.

    Raises:
        UnreadableInstance: not DICOM, cut short before its pixels, or without the UIDs that identify it.
    """
    content = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings may quote values of the file
            dataset = dcmread(BytesIO(content))
            identified = [str(dataset.get(f"{name}InstanceUID") or "") for name in ("SOP", "Series", "Study")]
            frames = tuple(_frame(dataset, path, index) for index in range(frame_count(dataset)))
    except InvalidDicomError as error:
        raise UnreadableInstance("The file is not DICOM: it lacks the preamble and prefix of PS3.10 7.1.") from error
    except DAMAGE as error:
        raise UnreadableInstance(f"The DICOM file is damaged ({type(error).__name__}).") from error
    if not all(identified):
        raise UnreadableInstance(
            "The file is cut short, or lacks SOP Instance UID (0008,0018), Series Instance UID (0020,000E) or "
            "Study Instance UID (0020,000D)."
        )
    return File(identified[0], identified[1], hashlib.sha256(content).hexdigest(), dataset, frames)


def _frame(dataset: Dataset, path: Path, index: int) -> Frame:
    enhanced = "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset
    several_without_places = not enhanced and frame_count(dataset) > 1
    sources = (dataset, *_groups(dataset, index))
    position = None if several_without_places else numbers(_last(sources, "ImagePositionPatient"), 3)
    orientation = numbers(_last(sources, "ImageOrientationPatient"), 6)
    spacing = numbers(_last(sources, "PixelSpacing"), 2)
    number = dataset.get("InstanceNumber")
    return Frame(
        path=path,
        sop_class_uid=str(dataset.get("SOPClassUID") or ""),
        sop_instance_uid=str(dataset.get("SOPInstanceUID") or ""),
        frame_number=index + 1,
        instance_number=None if number is None else int(number),
        position_mm=cast("Vector | None", position),
        orientation=cast("Orientation | None", orientation if _square(orientation) else None),
        pixel_spacing_mm=cast("tuple[float, float] | None", spacing if spacing and min(spacing) > 0 else None),
    )


def _square(orientation: tuple[float, ...] | None) -> bool:
    """Whether the direction cosines are two unit vectors at a right angle, as PS3.3 C.7.6.2.1.1 demands."""
    if orientation is None:
        return False
    row, column = orientation[:3], orientation[3:]
    products = [
        sum(a * b for a, b in zip(*pair, strict=True)) for pair in ((row, row), (column, column), (row, column))
    ]
    return abs(products[0] - 1) < 0.02 and abs(products[1] - 1) < 0.02 and abs(products[2]) < 0.02


def _groups(dataset: Dataset, index: int) -> tuple[Dataset, ...]:
    """Every functional group of one frame, flattened: shared groups first, the frame's own after (PS3.3 C.7.6.16)."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    chosen = [*shared[:1], *per_frame[index : index + 1]]
    return tuple(group.value[0] for item in chosen for group in item if group.VR == "SQ" and group.value)


def _last(sources: tuple[Dataset, ...], keyword: str) -> Any:
    values = [source.get(keyword) for source in sources if source.get(keyword) is not None]
    return values[-1] if values else None

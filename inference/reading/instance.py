"""One DICOM file of a series: what identifies it, where its planes lie, and where its pixels begin."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from inference.errors import DAMAGE, UnreadableInstance, UnsupportedImage
from inference.reading.elements.header import hint_of, integer_of, numbers_of, text_of, title_of
from inference.reading.elements.macros import is_enhanced, source_of
from inference.reading.geometry import Orientation, Vector

MAXIMUM_FRAMES = 1 << 20
"""Most frames of one file: its functional groups are read frame by frame before its pixels are decoded."""


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


@dataclass(frozen=True, eq=False)
class File:
    """One file: its header is held, its pixels stay on disk."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    sha256: str
    dataset: Dataset
    """Every element before the pixels; every element where the data set is deflated."""
    pixels_at: int | None
    """Offset of the pixel data element in the file; None where there is none, or the data set is deflated."""
    deflated: bool = False

    @property
    def has_pixels(self) -> bool:
        """Return whether there is pixel data, of integers or not."""
        return self.pixels_at is not None or (self.deflated and "PixelData" in self.dataset)

    def whole(self) -> Dataset:
        """Read the data set with its pixels.

        Raises:
            UnreadableInstance: damaged.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's warnings may quote values of the file
                return dcmread(self.path)
        except DAMAGE as error:
            raise UnreadableInstance(f"The DICOM file is damaged ({type(error).__name__}).") from error

    def frame_count(self) -> int:
        """Return Number of Frames (0028,0008), 1 where it is absent or empty.

        Raises:
            UnsupportedImage: not a number, negative, or more than ``MAXIMUM_FRAMES``.
        """
        count = integer_of(self.dataset, "NumberOfFrames")
        if count is None or count == 0:
            return 1
        if not 0 < count <= MAXIMUM_FRAMES:
            raise UnsupportedImage(f"{title_of('NumberOfFrames')} is {count}, which is not from 1 to {MAXIMUM_FRAMES}.")
        return count

    def frame(self, index: int) -> Frame:
        """Return where frame ``index`` (0-based) lies.

        Raises:
            UnsupportedImage: an element of its geometry is not the numbers that it has to be.
        """

        def geometry(keyword: str, count: int) -> tuple[float, ...] | None:
            return numbers_of(source_of(self.dataset, index, keyword), keyword, count)

        several_without_places = self.frame_count() > 1 and not is_enhanced(self.dataset)
        position = None if several_without_places else geometry("ImagePositionPatient", 3)
        orientation = geometry("ImageOrientationPatient", 6)
        spacing = geometry("PixelSpacing", 2)
        number = hint_of(self.dataset, "InstanceNumber")
        return Frame(
            path=self.path,
            sop_class_uid=self.sop_class_uid,
            sop_instance_uid=self.sop_instance_uid,
            frame_number=index + 1,
            instance_number=None if number is None else int(number),
            position_mm=cast("Vector | None", position),
            orientation=cast("Orientation | None", orientation if _square(orientation) else None),
            pixel_spacing_mm=cast("tuple[float, float] | None", spacing if spacing and min(spacing) > 0 else None),
        )


def read_file(path: Path) -> File:
    """Read the header of one DICOM file.

    Raises:
        UnreadableInstance: not DICOM, cut short before its pixels, or without the UIDs that identify it.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings may quote values of the file
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            dataset = dcmread(file, stop_before_pixels=True)
            deflated = dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
            if deflated:
                file.seek(0)
                dataset = dcmread(file)
            pixels_at = None if deflated or not file.read(1) else file.tell() - 1
    except InvalidDicomError as error:
        raise UnreadableInstance("The file is not DICOM: it lacks the preamble and prefix of PS3.10 7.1.") from error
    except DAMAGE as error:
        raise UnreadableInstance(f"The DICOM file is damaged ({type(error).__name__}).") from error
    identified = [text_of(dataset, f"{name}InstanceUID") for name in ("SOP", "Series", "Study")]
    if not all(identified):
        raise UnreadableInstance(
            "The file is cut short, or lacks SOP Instance UID (0008,0018), Series Instance UID (0020,000E) or "
            "Study Instance UID (0020,000D)."
        )
    instance, series, _study = identified
    return File(path, text_of(dataset, "SOPClassUID"), instance, series, sha256, dataset, pixels_at, deflated)


def _square(orientation: tuple[float, ...] | None) -> bool:
    """Whether the direction cosines are two unit vectors at a right angle, as PS3.3 C.7.6.2.1.1 demands."""
    if orientation is None:
        return False
    row, column = orientation[:3], orientation[3:]
    products = [
        sum(a * b for a, b in zip(*pair, strict=True)) for pair in ((row, row), (column, column), (row, column))
    ]
    return abs(products[0] - 1) < 0.02 and abs(products[1] - 1) < 0.02 and abs(products[2]) < 0.02

"""Stored pixel values as a viewer would show them: decoding, Modality LUT, VOI (PS3.3 C.7.6.3, C.11.1, C.11.2)."""

import re
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import pixel_array

from inference.errors import UnreadableInstance, UnsupportedImage
from inference.reading.decoding import DecodingProcess

MAXIMUM_FRAMES = 1 << 20
"""Most frames of one file: its functional groups are read frame by frame before its pixels are decoded."""
_DECODED_BY = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PhotometricInterpretation",
    "PixelRepresentation",
)  # fmt: skip
"""What a decoder must know beside the compressed pixels (PS3.3 C.7.6.3)."""

_UNDECODABLE = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError, OSError, RuntimeError,
    TypeError, ValueError, struct.error,
)  # fmt: skip
"""What pydicom and its decoders raise on damaged pixels."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """How modality values become display values: a window, or a table."""

    center: float
    width: float
    function: str = "LINEAR"
    """LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    table: tuple[int, ...] = ()
    """VOI LUT; empty where there is a window. ``center`` is then the value of its first entry, ``width`` its bits."""

    def show(self, values: Values) -> Values:
        """Return display values from 0 (black) to 1 (white) for modality values of any shape."""
        if self.table:
            return look_up(values, self.table, int(self.center)) / np.float32(2 ** int(self.width) - 1)
        if self.function == "SIGMOID":
            exponent = np.clip(-4.0 * (values - self.center) / self.width, -80, 80)
            return np.asarray(1.0 / (1.0 + np.exp(exponent)), dtype=np.float32)
        if self.function == "LINEAR_EXACT":
            shown = (values - self.center) / self.width + 0.5
        else:
            shown = (values - (self.center - 0.5)) / max(self.width - 1.0, 1e-6) + 0.5
        return np.asarray(np.clip(shown, 0.0, 1.0), dtype=np.float32)


def check(header: Dataset) -> None:
    """Refuse what cannot be shown to a network of grey images, by the header alone.

    Raises:
        UnsupportedImage: no Pixel Data, colour, unsupported bit depth, or no rows or columns.
    """
    if "PixelData" not in header:
        raise UnsupportedImage("The instance has no Pixel Data (7FE0,0010).")
    photometric = str(header.get("PhotometricInterpretation", ""))
    if int(header.get("SamplesPerPixel") or 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedImage(
            f"The image is in colour: Photometric Interpretation (0028,0004) is {photometric or 'absent'}, "
            "not MONOCHROME1 or MONOCHROME2 with one sample per pixel."
        )
    allocated, stored = header.get("BitsAllocated"), header.get("BitsStored")
    if allocated not in (8, 16) or not stored or stored > allocated:
        raise UnsupportedImage(
            f"Bits Stored (0028,0101) is {stored} and Bits Allocated (0028,0100) is {allocated}; "
            "supported are up to 8 bits stored in 8 allocated and up to 16 in 16."
        )
    rows, columns = header.get("Rows") or 0, header.get("Columns") or 0
    if not (rows and columns):
        raise UnsupportedImage(
            f"Rows (0028,0010) is {rows} and Columns (0028,0011) is {columns}; both must be positive."
        )


def frame_count(header: Dataset) -> int:
    """Return the number of frames, 1 where the attribute is absent or empty.

    Raises:
        UnreadableInstance: negative, or more than ``MAXIMUM_FRAMES``.
    """
    count = int(header.get("NumberOfFrames") or 1)
    if not 0 < count <= MAXIMUM_FRAMES:
        raise UnreadableInstance(f"Number of Frames (0028,0008) is {count}, which is not from 1 to {MAXIMUM_FRAMES}.")
    return count


def decode(dataset: Dataset, process: DecodingProcess) -> NDArray[np.generic]:
    """Return the stored values, (frames, rows, columns), signed or unsigned as the file says.

    Args:
        dataset: one file, read whole.
        process: where compressed pixels are decoded; native ones are read here.

    Raises:
        UnsupportedImage: see ``check``; or the pixels are cut short or damaged.
    """
    check(dataset)
    stored = _decompressed(dataset, process) if _is_compressed(dataset) else _native(dataset)
    shape = (frame_count(dataset), int(dataset.Rows), int(dataset.Columns))
    if stored.size != np.prod(shape):
        raise UnsupportedImage(
            "The length of Pixel Data (7FE0,0010) does not match Rows, Columns and Number of Frames."
        )
    return stored.reshape(shape)


def _is_compressed(dataset: Dataset) -> bool:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    return syntax is not None and syntax.is_encapsulated


def _decompressed(dataset: Dataset, process: DecodingProcess) -> NDArray[np.generic]:
    try:
        header = {re.sub("(?<!^)(?=[A-Z])", "_", keyword).lower(): dataset[keyword].value for keyword in _DECODED_BY}
        header |= {"number_of_frames": frame_count(dataset), "pixel_keyword": "PixelData"}
        if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
            tables = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
            header["extended_offsets"] = tuple(np.frombuffer(table, dtype="<u8").tolist() for table in tables)
        syntax, encapsulated = dataset.file_meta.TransferSyntaxUID, dataset.PixelData
    except _UNDECODABLE as error:
        raise UnsupportedImage(f"The pixels lack what is needed to decode them ({type(error).__name__}).") from error
    return process.decode(str(syntax), encapsulated, header)


def _native(dataset: Dataset) -> NDArray[np.generic]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings may quote values of the file
            return np.asarray(pixel_array(dataset))
    except _UNDECODABLE as error:
        raise UnsupportedImage(
            f"The pixels are cut short, damaged, or compressed in an unknown way ({type(error).__name__})."
        ) from error


def modality_values(stored: NDArray[np.generic], header: Dataset) -> Values:
    """Apply the Modality LUT: a table, or slope and intercept (PS3.3 C.11.1)."""
    values = stored.astype(np.float32)
    if header.get("ModalityLUTSequence"):
        table, first, _bits = read_table(header.ModalityLUTSequence[0])
        return look_up(values, table, first)
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    if slope is None or intercept is None:
        return values
    return values * np.float32(slope) + np.float32(intercept)


def padding(stored: NDArray[np.generic], header: Dataset) -> NDArray[np.bool_] | None:
    """Mark pixels that are padding, not image (PS3.3 C.7.5.1.1.2); None where the file declares none."""
    value = header.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = header.get("PixelPaddingRangeLimit")
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    return np.asarray((stored >= low) & (stored <= high), dtype=np.bool_)  # type: ignore[operator]


def window(header: Dataset) -> Window | None:
    """Return the first VOI LUT, else the first window; None where there is neither or it is unusable."""
    if header.get("VOILUTSequence"):
        table, first, bits = read_table(header.VOILUTSequence[0])
        return Window(center=first, width=bits, table=table)
    center, width = _first(header.get("WindowCenter")), _first(header.get("WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    return Window(center=center, width=width, function=str(header.get("VOILUTFunction") or "LINEAR").upper())


def read_table(item: Dataset) -> tuple[tuple[int, ...], int, int]:
    """Read one LUT item: its entries, the value of the first, the bits of an entry (PS3.3 C.11.1.1, C.11.2.1.1).

    Raises:
        UnsupportedImage: the table is damaged.
    """
    try:
        count, first, bits = (int(value) for value in item.LUTDescriptor)
        count = count or 1 << 16
        data = item.LUTData
        if isinstance(data, bytes):
            wide = "<u2" if item.original_encoding[1] is not False else ">u2"
            data = np.frombuffer(data[: 2 * count], dtype=np.uint8 if len(data) == count else wide).tolist()
        table = tuple(int(value) for value in data[:count])
    except (AttributeError, TypeError, ValueError) as error:
        raise UnsupportedImage(
            "A lookup table of the image is not valid: LUT Descriptor (0028,3002) or LUT Data (0028,3006)."
        ) from error
    if len(table) < count or not 8 <= bits <= 16:
        raise UnsupportedImage(
            "A lookup table of the image is not valid: LUT Descriptor (0028,3002) or LUT Data (0028,3006)."
        )
    return table, first, bits


def look_up(values: Values, table: tuple[int, ...], first: int) -> Values:
    """Map values through a table; values outside take its first or last entry."""
    index = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.intp)
    return np.asarray(table, dtype=np.float32)[index]


def _first(value: object) -> float | None:
    if value is None or isinstance(value, str):
        return None
    try:
        return float(value[0] if hasattr(value, "__getitem__") else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, IndexError):
        return None

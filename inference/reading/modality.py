"""From stored values to modality values: Modality LUT, rescale, padding; and the window of a picture (PS3.3 C.11)."""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from inference.errors import DAMAGE, UnsupportedImage
from inference.reading.elements.header import hint_of, integer_of, named, number_of, text_of, value_of
from inference.reading.elements.window import Values, Window, look_up
from inference.reading.layout import Layout, Stored

_LARGEST_EXACT = 2.0**24
"""Whole numbers up to this are exact in float32; anything else is computed in float64 and rounded once."""


def modality_values(stored: Stored, header: Dataset) -> Values:
    """Apply the Modality LUT: a table, or slope and intercept (PS3.3 C.11.1); an absent slope is 1, intercept 0.

    Args:
        stored: integers of one frame.
        header: the elements that hold for it (``macros.of_frame``).

    Raises:
        UnsupportedImage: slope, intercept or table is unusable; the sentence names the element.
    """
    table = value_of(header, "ModalityLUTSequence")
    if table:
        entries, first, _bits = read_table(table[0])
        return look_up(stored.astype(np.float32), entries, first)
    slope, intercept = number_of(header, "RescaleSlope"), number_of(header, "RescaleIntercept")
    if slope in (None, 1.0) and not intercept:
        return stored.astype(np.float32)
    factor, offset = 1.0 if slope is None else slope, intercept or 0.0
    largest = 2.0 ** (8 * stored.itemsize) * abs(factor) + abs(offset)
    if largest > float(np.finfo(np.float32).max):
        element = "RescaleIntercept" if slope is None else "RescaleSlope"
        raise UnsupportedImage(f"{named(header, element)}, which makes modality values too large.")
    if factor.is_integer() and offset.is_integer() and largest < _LARGEST_EXACT:
        return stored.astype(np.float32) * np.float32(factor) + np.float32(offset)
    return (stored.astype(np.float64) * factor + offset).astype(np.float32)


def padding(stored: Stored, allocated: Stored | None, header: Dataset, layout: Layout) -> NDArray[np.bool_] | None:
    """Mark pixels that are padding, not image (PS3.3 C.7.5.1.1.2); None where the file declares none.

    The declared value is taken by its bits, whether it is written as US or SS. Where it does not fit Bits Stored it is
    looked for among the values of all bits allocated.

    Args:
        stored: values of one frame, Bits Stored alone.
        allocated: its values with all bits, unsigned, where they are wider.
        header: of the file.
        layout: of its pixels.

    Raises:
        UnsupportedImage: a declared value is not one integer.
    """
    value = integer_of(header, "PixelPaddingValue")
    if value is None:
        return None
    limit = integer_of(header, "PixelPaddingRangeLimit")
    ends = (value, value if limit is None else limit)
    declared = [bits_as(number, layout.allocated, layout.signed) for number in ends]
    low, high = sorted(declared)
    fits = all(bits_as(number, layout.stored, layout.signed) == number for number in declared)
    if fits or allocated is None:
        values: Stored = stored
    else:
        values = allocated.view(allocated.dtype.str.replace("u", "i")) if layout.signed else allocated
    return np.asarray((values >= low) & (values <= high), dtype=np.bool_)


def bits_as(number: int, bits: int, signed: bool) -> int:
    """Return the lowest bits of an integer as a value, signed in two's complement or not."""
    value = number & ((1 << bits) - 1)
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def window_of(header: Dataset) -> Window | None:
    """Return the first VOI LUT, else the first window; None where there is neither or it is unusable."""
    tables = value_of(header, "VOILUTSequence")
    if tables:
        try:
            entries, first, bits = read_table(tables[0])
            return Window(center=first, width=bits, table=entries)
        except UnsupportedImage:
            return None
    center, width = hint_of(header, "WindowCenter"), hint_of(header, "WindowWidth")
    if center is None or width is None or width <= 0:
        return None
    return Window(center=center, width=width, function=text_of(header, "VOILUTFunction").upper() or "LINEAR")


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
            byte_wide = {count, count + count % 2} if count > 1 else {count}  # padded to an even length
            wide = "<u2" if item.original_encoding[1] is not False else ">u2"
            data = np.frombuffer(data[: 2 * count], dtype=np.uint8 if len(data) in byte_wide else wide).tolist()
        table = tuple(int(value) for value in data[:count])
    except DAMAGE as error:
        raise UnsupportedImage(
            "A lookup table of the image is not valid: LUT Descriptor (0028,3002) or LUT Data (0028,3006)."
        ) from error
    if len(table) < count or not 8 <= bits <= 16:
        raise UnsupportedImage(
            "A lookup table of the image is not valid: LUT Descriptor (0028,3002) or LUT Data (0028,3006)."
        )
    return table, first, bits

"""PALETTE COLOR: indices to red, green and blue (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6)."""

from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_color_lut

from inference.errors import DAMAGE, UnsupportedImage
from inference.reading.elements.header import value_of
from inference.reading.elements.window import Values
from inference.reading.layout import Stored

_CHANNELS = ("Red", "Green", "Blue")


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours of indices."""

    colours: Values
    """(entries, 3), red, green and blue as stored."""
    first: int
    """The index of the first entry."""
    bits: int
    """Of an entry: 8 or 16."""

    def apply(self, indices: Stored) -> Values:
        """Return (rows, columns, 3) for indices; those outside take the first or last entry."""
        places = np.clip(indices.astype(np.int64) - self.first, 0, len(self.colours) - 1)
        return np.asarray(self.colours[places], dtype=np.float32)


def palette_of(header: Dataset) -> Palette:
    """Read the palette of a file.

    Raises:
        UnsupportedImage: it is absent or damaged.
    """
    try:
        count, first, bits = (int(value) for value in header.RedPaletteColorLookupTableDescriptor)
        count = count or 1 << 16
        if value_of(header, "SegmentedRedPaletteColorLookupTableData") is not None:
            indices = (np.arange(count) + first).astype(np.int64)
            colours = apply_color_lut(indices.reshape(1, -1), header).reshape(count, -1)[:, :3]
        else:
            wide = "<u2" if header.original_encoding[1] is not False else ">u2"
            colours = np.stack([_channel(header, name, count, bits, wide) for name in _CHANNELS], axis=1)
    except DAMAGE as error:
        raise UnsupportedImage(
            "The palette of the image is absent or not valid: Red, Green or Blue Palette Color Lookup Table "
            "(0028,1101 to 0028,1203)."
        ) from error
    return Palette(colours.astype(np.float32), first, bits)


def _channel(header: Dataset, name: str, count: int, bits: int, wide: str) -> Stored:
    data = bytes(header[f"{name}PaletteColorLookupTableData"].value)
    if bits == 8 and len(data) < 2 * count:
        entries = np.frombuffer(data[:count], np.uint8)
    else:
        entries = np.frombuffer(data[: 2 * count], wide)
    if len(entries) != count or bits not in (8, 16):
        raise ValueError(name)
    return entries >> 8 if bits == 8 and entries.max() > 255 else entries

"""How the pixels of one file are laid out, by its header (PS3.3 C.7.6.3)."""

import struct
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_for_tag

from inference.errors import UnsupportedImage
from inference.reading.elements.header import integer_of, text_of, title_of, value_of
from inference.reading.instance import File

Stored = NDArray[Any]
"""Integers, (rows, columns) or (rows, columns, 3)."""

GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
LONG_LENGTHS = (b"OB", b"OW", b"OF", b"OD", b"UN", b"UT")
"""VRs whose length takes four bytes after two reserved ones (PS3.5 7.1.2), of those that pixels may have."""
MISMATCH = "The length of Pixel Data (7FE0,0010) does not match Rows, Columns and Number of Frames."


@dataclass(frozen=True)
class Layout:
    """How the pixels of one file are laid out."""

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high_bit: int
    signed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of all frames."""
        return (self.frames, self.rows, self.columns, *((3,) if self.samples == 3 else ()))

    @property
    def colour(self) -> bool:
        """Return whether a pixel is red, green and blue, or an index of a palette."""
        return self.photometric not in GREY

    @property
    def inverted(self) -> bool:
        """Return whether low values are shown white."""
        return self.photometric == "MONOCHROME1"


def layout_of(file: File) -> Layout:
    """Return how the pixels of a file are laid out, by its header alone.

    Raises:
        UnsupportedImage: no Pixel Data, or pixels that cannot be read; the sentence names the element.
    """
    header = file.dataset
    _check_pixels(file)
    photometric, samples = text_of(header, "PhotometricInterpretation").upper(), _integer(header, "SamplesPerPixel", 1)
    if samples != (3 if photometric in COLOUR else 1) or photometric not in (*GREY, PALETTE, *COLOUR):
        raise UnsupportedImage(
            f"{title_of('PhotometricInterpretation')} is {photometric or 'absent'} with {samples} samples per pixel; "
            f"supported are {', '.join(GREY)} and {PALETTE} with one, and {', '.join(COLOUR)} with three."
        )
    allocated, stored = _integer(header, "BitsAllocated", 0), _integer(header, "BitsStored", 0)
    if allocated not in (8, 16, 32) or not 0 < stored <= allocated or (photometric in COLOUR and allocated > 16):
        raise UnsupportedImage(
            f"{title_of('BitsStored')} is {stored} and {title_of('BitsAllocated')} is {allocated}; supported are up to "
            "8 bits stored in 8 allocated, up to 16 in 16 and, where grey, up to 32 in 32."
        )
    high = _integer(header, "HighBit", stored - 1)
    if not stored - 1 <= high < allocated or (photometric in COLOUR and high != stored - 1):
        raise UnsupportedImage(
            f"{title_of('HighBit')} is {high}, which does not fit {stored} bits stored in {allocated} allocated."
        )
    rows, columns = _integer(header, "Rows", 0), _integer(header, "Columns", 0)
    if rows <= 0 or columns <= 0:
        raise UnsupportedImage(
            f"{title_of('Rows')} is {rows} and {title_of('Columns')} is {columns}; both must be positive."
        )
    _check_frames(file)
    signed = _integer(header, "PixelRepresentation", 0) == 1
    return Layout(rows, columns, file.frame_count(), samples, photometric, allocated, stored, high, signed)


def _check_frames(file: File) -> None:
    """Refuse a number of frames that the functional groups contradict: one item a frame (PS3.3 C.7.6.16.1)."""
    items = value_of(file.dataset, "PerFrameFunctionalGroupsSequence")
    if items and len(items) != file.frame_count():
        raise UnsupportedImage(
            f"{title_of('NumberOfFrames')} says {file.frame_count()}, but "
            f"{title_of('PerFrameFunctionalGroupsSequence')} has {len(items)} items."
        )


def contradicted(frames: int, held: int) -> UnsupportedImage:
    """Return the refusal of a number of frames that the pixels contradict."""
    return UnsupportedImage(
        f"{title_of('NumberOfFrames')} says {frames}, but {title_of('PixelData')} holds {held} frames: which images "
        "these are is not certain."
    )


def _check_pixels(file: File) -> None:
    if not file.has_pixels:
        raise UnsupportedImage("The instance has no Pixel Data (7FE0,0010).")
    if file.deflated:
        return
    little = file.dataset.original_encoding[1]
    group, element = struct.unpack("<2H" if little else ">2H", pixel_element(file, 4))
    keyword = keyword_for_tag((group, element))
    if keyword != "PixelData":
        raise UnsupportedImage(f"The pixels are {keyword} ({group:04X},{element:04X}), not integers: not supported.")


def pixel_element(file: File, count: int) -> bytes:
    """Return the first bytes of the pixel data element: tag, VR where it is explicit, length."""
    with file.path.open("rb") as content:
        content.seek(file.pixels_at or 0)
        return content.read(count)


def _integer(header: Dataset, keyword: str, absent: int) -> int:
    value = integer_of(header, keyword)
    return absent if value is None else value


def damaged(error: BaseException | None = None) -> UnsupportedImage:
    """Return the refusal of pixels that cannot be decoded."""
    kind = f" ({type(error).__name__})" if error is not None else ""
    return UnsupportedImage(f"The pixels are cut short, damaged, or compressed in an unknown way{kind}.")

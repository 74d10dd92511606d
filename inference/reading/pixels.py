"""Stored pixel values: how they are laid out, decoding frame by frame, and the bits that are theirs (PS3.3 C.7.6.3)."""

import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.pixels import pixel_array

from inference.errors import DAMAGE, UnsupportedImage
from inference.reading.decoding import DecodingProcess
from inference.reading.header import integer_of, text_of, title_of
from inference.reading.instance import File

Stored = NDArray[Any]
"""Integers, (rows, columns) or (rows, columns, 3)."""

GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_LONG_LENGTHS = (b"OB", b"OW", b"OF", b"OD", b"UN", b"UT")
"""VRs whose length takes four bytes after two reserved ones (PS3.5 7.1.2), of those that pixels may have."""
_UNDEFINED = 0xFFFFFFFF
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_DECODED_BY = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PhotometricInterpretation",
    "PixelRepresentation", "PlanarConfiguration",
)  # fmt: skip
"""What a decoder must know beside the compressed pixels (PS3.3 C.7.6.3)."""


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
    if not stored - 1 <= high < allocated:
        raise UnsupportedImage(
            f"{title_of('HighBit')} is {high}, which does not fit {stored} bits stored in {allocated} allocated."
        )
    rows, columns = _integer(header, "Rows", 0), _integer(header, "Columns", 0)
    if rows <= 0 or columns <= 0:
        raise UnsupportedImage(
            f"{title_of('Rows')} is {rows} and {title_of('Columns')} is {columns}; both must be positive."
        )
    signed = _integer(header, "PixelRepresentation", 0) == 1
    return Layout(rows, columns, file.frame_count(), samples, photometric, allocated, stored, high, signed)


def planes_of(file: File, layout: Layout, process: DecodingProcess) -> Iterator[tuple[Stored, Stored | None]]:
    """Yield each frame: its stored values, and the same with all bits allocated where those tell more (padding).

    Native grey frames are read from the file one by one; compressed ones are decoded in the process, all at once.

    Raises:
        UnsupportedImage: the pixels are cut short, damaged, or compressed in an unknown way.
    """
    syntax = file.dataset.file_meta.get("TransferSyntaxUID")
    raw: Iterator[Stored]
    if syntax is not None and syntax.is_encapsulated:
        raw = iter(_decompressed(file, layout, str(syntax), process))
    elif layout.photometric in COLOUR:
        raw = _by_pydicom(file, layout)
    else:
        raw = _native(file, layout)
    for frame in raw:
        if layout.photometric in COLOUR and layout.photometric != "RGB":
            yield frame, None
        else:
            values = frame.view(f"{frame.dtype.byteorder}u{frame.dtype.itemsize}")
            _check_low_bits(values, layout)
            yield significant(values, layout), values if layout.stored < 8 * values.itemsize else None


def significant(values: Stored, layout: Layout) -> Stored:
    """Return the Bits Stored below High Bit of unsigned values, sign-extended where they are signed."""
    width = 8 * values.itemsize
    up, down = max(width - layout.high_bit - 1, 0), max(width - layout.stored, 0)
    moved = np.left_shift(values.astype(values.dtype.newbyteorder("="), copy=False), up)
    if layout.signed:
        return np.right_shift(moved.view(f"i{values.itemsize}"), down)
    return np.right_shift(moved, down)


def _native(file: File, layout: Layout) -> Iterator[Stored]:
    """Yield the frames of native grey pixels as they stand in the file."""
    implicit, little = file.dataset.original_encoding
    head = _start(file, 12)
    if file.pixels_at is None or (layout.allocated == 8 and not little and head[4:6] == b"OW"):
        yield from _by_pydicom(file, layout)
        return
    short = implicit or head[4:6] not in _LONG_LENGTHS
    (length,) = struct.unpack("<L" if little else ">L", head[4:8] if short else head[8:12])
    size = layout.rows * layout.columns * layout.allocated // 8
    if length == _UNDEFINED or length < size * layout.frames:
        raise UnsupportedImage(
            "The length of Pixel Data (7FE0,0010) does not match Rows, Columns and Number of Frames."
        )
    kind = np.dtype(f"{'<' if little else '>'}u{layout.allocated // 8}")
    with file.path.open("rb") as content:
        content.seek(file.pixels_at + (8 if short else 12))
        for _ in range(layout.frames):
            plane = content.read(size)
            if len(plane) < size:
                raise _damaged()
            yield np.frombuffer(plane, kind).reshape(layout.rows, layout.columns)


def _by_pydicom(file: File, layout: Layout) -> Iterator[Stored]:
    """Yield the frames of native pixels by pydicom: deflated, swapped in pairs, or of several samples."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings may quote values of the file
            stored = np.asarray(pixel_array(file.dataset if file.deflated else file.whole()))
    except DAMAGE as error:
        raise _damaged(error) from error
    shape = (layout.frames, layout.rows, layout.columns, *((3,) if layout.samples == 3 else ()))
    if stored.size != np.prod(shape):
        raise _damaged()
    yield from stored.reshape(shape)


def _decompressed(file: File, layout: Layout, syntax: str, process: DecodingProcess) -> Stored:
    header: dict[str, Any] = {}
    for keyword in _DECODED_BY:
        if keyword in file.dataset:
            header[re.sub("(?<!^)(?=[A-Z])", "_", keyword).lower()] = file.dataset[keyword].value
    header |= {"number_of_frames": layout.frames, "pixel_keyword": "PixelData", "allow_excess_frames": False}
    try:
        tables = [file.dataset[f"ExtendedOffsetTable{part}"].value for part in ("", "Lengths")]
        header["extended_offsets"] = tuple(np.frombuffer(table, dtype="<u8").tolist() for table in tables)
    except KeyError:
        pass
    except DAMAGE as error:
        raise _damaged(error) from error
    planes = process.decode(syntax, _encapsulated(file), header)
    shape = (layout.frames, layout.rows, layout.columns, *((3,) if layout.samples == 3 else ()))
    if planes.size != np.prod(shape):
        raise UnsupportedImage(
            "The length of Pixel Data (7FE0,0010) does not match Rows, Columns and Number of Frames."
        )
    return planes.reshape(shape)


def _encapsulated(file: File) -> bytes:
    """Return the value of encapsulated Pixel Data, offset table first, without its delimiter (PS3.5 A.4)."""
    explicit = _start(file, 12)[4:6] in _LONG_LENGTHS
    start = (file.pixels_at or 0) + (12 if explicit else 8)
    place = start
    with file.path.open("rb") as content:
        while True:
            content.seek(place)
            item = content.read(8)
            if item[:4] != _ITEM or len(item) < 8:
                break
            place += 8 + int.from_bytes(item[4:], "little")
        if item[:4] != _DELIMITER:
            raise _damaged()
        content.seek(start)
        return content.read(place - start)


def _check_low_bits(values: Stored, layout: Layout) -> None:
    """Refuse a High Bit that the pixels contradict."""
    below = layout.high_bit + 1 - layout.stored
    if below and bool((values & ((1 << below) - 1)).any()):
        raise UnsupportedImage(
            f"{title_of('HighBit')} is {layout.high_bit} with {layout.stored} bits stored, but the bits below are not "
            "empty: which bits hold the image is not certain."
        )


def _check_pixels(file: File) -> None:
    if file.pixels_at is None:
        if not (file.deflated and "PixelData" in file.dataset):
            raise UnsupportedImage("The instance has no Pixel Data (7FE0,0010).")
        return
    little = file.dataset.original_encoding[1]
    group, element = struct.unpack("<2H" if little else ">2H", _start(file, 4))
    keyword = keyword_for_tag((group, element))
    if keyword != "PixelData":
        raise UnsupportedImage(f"The pixels are {keyword} ({group:04X},{element:04X}), not integers: not supported.")


def _start(file: File, count: int) -> bytes:
    with file.path.open("rb") as content:
        content.seek(file.pixels_at or 0)
        return content.read(count)


def _integer(header: Dataset, keyword: str, absent: int) -> int:
    value = integer_of(header, keyword)
    return absent if value is None else value


def _damaged(error: BaseException | None = None) -> UnsupportedImage:
    kind = f" ({type(error).__name__})" if error is not None else ""
    return UnsupportedImage(f"The pixels are cut short, damaged, or compressed in an unknown way{kind}.")

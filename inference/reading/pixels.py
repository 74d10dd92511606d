"""Stored pixel values, frame by frame: read or decoded, and the bits that are theirs (PS3.3 C.7.6.3)."""

import struct
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from pydicom.pixels import pixel_array

from inference.errors import DAMAGE, UnreadableInstance, UnsupportedImage
from inference.reading.compressed import decompressed
from inference.reading.decoding import DecodingProcess
from inference.reading.elements.header import title_of
from inference.reading.instance import File
from inference.reading.layout import COLOUR, LONG_LENGTHS, MISMATCH, Layout, Stored, damaged, pixel_element

_UNDEFINED = 0xFFFFFFFF


def planes_of(
    file: File, layout: Layout, indices: Sequence[int], process: DecodingProcess, failed: dict[int, str]
) -> Iterator[tuple[int, Stored, Stored | None]]:
    """Yield frames: index, stored values, and all bits allocated where those are more (padding may lie there).

    Native frames are read from the file one by one, compressed ones decoded some at a time.

    Args:
        file: whose frames.
        layout: of its pixels.
        indices: of the frames, from 0, ascending.
        process: where compressed pixels are decoded.
        failed: takes by index the reason why a frame cannot be decoded.

    Raises:
        UnsupportedImage: no frame can be: the pixels are cut short, damaged, or compressed in an unknown way.
    """
    syntax = file.dataset.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_encapsulated:
        frames = decompressed(file, layout, indices, process, failed)
    elif layout.photometric in COLOUR:
        frames = _by_pydicom(file, layout, indices)
    else:
        frames = _native(file, layout, indices)
    for index, frame in frames:
        if layout.photometric in COLOUR and layout.photometric != "RGB":
            yield index, frame, None
            continue
        values = frame.view(f"{frame.dtype.byteorder}u{frame.dtype.itemsize}")
        if _low_bits(values, layout):
            failed[index] = (
                f"{title_of('HighBit')} is {layout.high_bit} with {layout.stored} bits stored, but the bits below are "
                "not empty: which bits hold the image is not certain."
            )
        else:
            yield index, significant(values, layout), values if layout.stored < 8 * values.itemsize else None


def significant(values: Stored, layout: Layout) -> Stored:
    """Return the Bits Stored below High Bit of unsigned values, sign-extended where they are signed."""
    width = 8 * values.itemsize
    up, down = max(width - layout.high_bit - 1, 0), max(width - layout.stored, 0)
    moved = np.left_shift(values.astype(values.dtype.newbyteorder("="), copy=False), up)
    if layout.signed:
        return np.right_shift(moved.view(f"i{values.itemsize}"), down)
    return np.right_shift(moved, down)


def _low_bits(values: Stored, layout: Layout) -> bool:
    """Whether pixels contradict High Bit: bits are set below the stored ones."""
    below = layout.high_bit + 1 - layout.stored
    return below > 0 and bool((values & ((1 << below) - 1)).any())


def _native(file: File, layout: Layout, indices: Sequence[int]) -> Iterator[tuple[int, Stored]]:
    """Yield native grey frames as they stand in the file, with every bit allocated."""
    implicit, little = file.dataset.original_encoding
    size = layout.rows * layout.columns * layout.allocated // 8
    kind = np.dtype(f"{'<' if little else '>'}u{layout.allocated // 8}")
    head = pixel_element(file, 12)
    if file.pixels_at is None or (layout.allocated == 8 and not little and head[4:6] == b"OW"):
        content = _in_memory(file)
        if len(content) < size * layout.frames:
            raise UnsupportedImage(MISMATCH)
        for index in indices:
            plane = content[index * size : (index + 1) * size]
            yield index, np.frombuffer(plane, kind).reshape(layout.rows, layout.columns)
        return
    short = implicit or head[4:6] not in LONG_LENGTHS
    (length,) = struct.unpack("<L" if little else ">L", head[4:8] if short else head[8:12])
    if length == _UNDEFINED or length < size * layout.frames:
        raise UnsupportedImage(MISMATCH)
    with file.path.open("rb") as opened:
        for index in indices:
            opened.seek(file.pixels_at + (8 if short else 12) + index * size)
            plane = opened.read(size)
            if len(plane) < size:
                raise damaged()
            yield index, np.frombuffer(plane, kind).reshape(layout.rows, layout.columns)


def _in_memory(file: File) -> bytes:
    """Return native pixels that lie deflated in the file, or as bytes in big endian words (PS3.5 annex A.5, 8.1.1)."""
    try:
        if file.deflated:
            return bytes(file.dataset.PixelData)
        return np.frombuffer(file.whole().PixelData, ">u2").astype("<u2").tobytes()
    except (*DAMAGE, UnreadableInstance) as error:
        raise damaged(error) from error


def _by_pydicom(file: File, layout: Layout, indices: Sequence[int]) -> Iterator[tuple[int, Stored]]:
    """Yield native frames of several samples by pydicom."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings may quote values of the file
            stored = np.asarray(pixel_array(file.dataset if file.deflated else file.whole()))
    except (*DAMAGE, UnreadableInstance) as error:
        raise damaged(error) from error
    if stored.size != np.prod(layout.shape):
        raise UnsupportedImage(MISMATCH)
    frames = stored.reshape(layout.shape)
    yield from ((index, frames[index]) for index in indices)

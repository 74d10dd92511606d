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
from inference.reading.layout import (
    COLOUR,
    LONG_LENGTHS,
    MISMATCH,
    Layout,
    Stored,
    contradicted,
    damaged,
    pixel_element,
)

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
    if _is_encapsulated(file):
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


def _is_encapsulated(file: File) -> bool:
    """Whether the pixels are compressed.

    Raises:
        UnsupportedImage: the transfer syntax is private or unknown.
    """
    syntax = file.dataset.file_meta.get("TransferSyntaxUID")
    try:
        return syntax is not None and bool(syntax.is_encapsulated)
    except ValueError as error:
        raise UnsupportedImage(f"{title_of('TransferSyntaxUID')} is none that is known here.") from error


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
        _check_length(len(content), size, layout)
        for index in indices:
            plane = content[index * size : (index + 1) * size]
            yield index, np.frombuffer(plane, kind).reshape(layout.rows, layout.columns)
        return
    short = implicit or head[4:6] not in LONG_LENGTHS
    (length,) = struct.unpack("<L" if little else ">L", head[4:8] if short else head[8:12])
    if length == _UNDEFINED:
        raise UnsupportedImage(MISMATCH)
    _check_length(length, size, layout)
    with file.path.open("rb") as opened:
        for index in indices:
            opened.seek(file.pixels_at + (8 if short else 12) + index * size)
            plane = opened.read(size)
            if len(plane) < size:
                raise damaged()
            yield index, np.frombuffer(plane, kind).reshape(layout.rows, layout.columns)


def _check_length(length: int, size: int, layout: Layout) -> None:
    """Refuse native pixels that are too short for the frames announced, or hold further ones."""
    if length < size * layout.frames:
        raise UnsupportedImage(MISMATCH)
    if length >= size * (layout.frames + 1):
        raise contradicted(layout.frames, length // size)


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
            whole = file.dataset if file.deflated else file.whole()
            stored = np.asarray(pixel_array(whole))
    except (*DAMAGE, UnreadableInstance) as error:
        raise damaged(error) from error
    if stored.size != np.prod(layout.shape):
        raise UnsupportedImage(MISMATCH)
    samples = 2 if layout.photometric == "YBR_FULL_422" else 3
    _check_length(len(whole.PixelData), layout.rows * layout.columns * samples * layout.allocated // 8, layout)
    frames = stored.reshape(layout.shape)
    yield from ((index, frames[index]) for index in indices)

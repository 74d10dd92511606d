"""Compressed frames, decoded some at a time in the process for it; one that is damaged takes no other down."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from inference.errors import DAMAGE, UnsupportedImage
from inference.reading.decoding import DecodingProcess
from inference.reading.instance import File
from inference.reading.layout import LONG_LENGTHS, MISMATCH, Layout, Stored, contradicted, damaged, pixel_element

MOST_BYTES_AT_ONCE = 1 << 26
"""Decoded bytes asked for at one time, where frames can be told apart."""
MOST_RETRIES = 8
"""Damaged frames of one file that are told from the others; beyond, the rest of the file is given up."""
_CODESTREAM_STARTS = (b"\xff\xd8", b"\xff\x4f")
"""JPEG and JPEG-LS; JPEG 2000."""
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_DECODED_BY = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PhotometricInterpretation",
    "PixelRepresentation", "PlanarConfiguration",
)  # fmt: skip
"""What a decoder must know beside the compressed pixels (PS3.3 C.7.6.3)."""


@dataclass(frozen=True, eq=False)
class _Encapsulated:
    """The items of encapsulated Pixel Data (PS3.5 A.4): where each begins in the file, and its length with its head."""

    file: File
    items: tuple[tuple[int, int], ...]

    def whole(self) -> bytes:
        """Return the value as it stands, without its delimiter."""
        first, last = self.items[0], self.items[-1]
        return self._read((first[0], last[0] + last[1] - first[0]))

    def frames(self, indices: Sequence[int]) -> bytes:
        """Return a value of these frames alone, of one fragment each, without an offset table."""
        return b"".join((_ITEM, bytes(4), *(self._read(self.items[1 + index]) for index in indices)))

    def frames_held(self, announced: int, one_fragment_each: bool) -> int:
        """Return how many frames lie here: fragments, or where those are more than frames, codestreams that begin.

        Args:
            announced: frames by the header.
            one_fragment_each: as RLE has them (PS3.5 A.4.2).
        """
        fragments = len(self.items) - 1
        if one_fragment_each or fragments <= announced:
            return fragments
        with self.file.path.open("rb") as content:
            starts = 0
            for place, _length in self.items[1:]:
                content.seek(place + len(_ITEM) + 4)
                starts += content.read(2) in _CODESTREAM_STARTS
        return max(starts, announced)

    def _read(self, item: tuple[int, int]) -> bytes:
        with self.file.path.open("rb") as content:
            content.seek(item[0])
            return content.read(item[1])


def decompressed(
    file: File, layout: Layout, indices: Sequence[int], process: DecodingProcess, failed: dict[int, str]
) -> Iterator[tuple[int, Stored]]:
    """Yield compressed frames; see ``pixels.planes_of``.

    Where every frame is one fragment they are decoded in portions, and a portion that fails frame by frame; otherwise
    all at once, with the offset table of the file.
    """
    encapsulated, header = _items(file), decoder_header(file.dataset)
    held = encapsulated.frames_held(layout.frames, file.dataset.file_meta.TransferSyntaxUID == RLELossless)
    if held != layout.frames:
        raise contradicted(layout.frames, held)
    if len(encapsulated.items) - 1 != layout.frames or layout.frames == 1:
        planes = _decode(encapsulated.whole(), {**header, **_offset_tables(file)}, layout, layout.frames, process)
        yield from ((index, planes[index]) for index in indices)
        return
    bytes_a_frame = max(int(np.prod(layout.shape[1:])) * layout.allocated // 8, 1)
    portion = max(MOST_BYTES_AT_ONCE // bytes_a_frame, 1)
    for start in range(0, len(indices), portion):
        chosen = indices[start : start + portion]
        try:
            planes = _decode(encapsulated.frames(chosen), header, layout, len(chosen), process)
        except UnsupportedImage:
            yield from _one_by_one(encapsulated, header, layout, chosen, process, failed)
        else:
            yield from zip(chosen, planes, strict=True)


def _one_by_one(
    encapsulated: _Encapsulated,
    header: dict[str, Any],
    layout: Layout,
    indices: Sequence[int],
    process: DecodingProcess,
    failed: dict[int, str],
) -> Iterator[tuple[int, Stored]]:
    reason = ""
    for index in indices:
        if len(failed) < MOST_RETRIES:
            try:
                yield index, _decode(encapsulated.frames([index]), header, layout, 1, process)[0]
                continue
            except UnsupportedImage as error:
                reason = str(error)
        failed[index] = reason


def _decode(value: bytes, header: dict[str, Any], layout: Layout, frames: int, process: DecodingProcess) -> Stored:
    syntax = header["transfer_syntax_uid"]
    asked = {key: entry for key, entry in header.items() if key != "transfer_syntax_uid"}
    planes = process.decode(syntax, value, {**asked, "number_of_frames": frames})
    shape = (frames, *layout.shape[1:])
    if planes.size != np.prod(shape):
        raise UnsupportedImage(MISMATCH)
    return planes.reshape(shape)


def decoder_header(dataset: Dataset) -> dict[str, Any]:
    """Return what a decoder needs to know of a data set beside its frames; ``transfer_syntax_uid`` among it."""
    header: dict[str, Any] = {"pixel_keyword": "PixelData", "allow_excess_frames": False}
    header["transfer_syntax_uid"] = str(dataset.file_meta.TransferSyntaxUID)
    for keyword in _DECODED_BY:
        if keyword in dataset:
            header[re.sub("(?<!^)(?=[A-Z])", "_", keyword).lower()] = dataset[keyword].value
    return header


def _offset_tables(file: File) -> dict[str, Any]:
    try:
        tables = [file.dataset[f"ExtendedOffsetTable{part}"].value for part in ("", "Lengths")]
        return {"extended_offsets": tuple(np.frombuffer(table, dtype="<u8").tolist() for table in tables)}
    except KeyError:
        return {}
    except DAMAGE as error:
        raise damaged(error) from error


def _items(file: File) -> _Encapsulated:
    """Find the items of encapsulated Pixel Data, offset table first.

    Raises:
        UnsupportedImage: cut short before their delimiter.
    """
    explicit = pixel_element(file, 12)[4:6] in LONG_LENGTHS
    place = (file.pixels_at or 0) + (12 if explicit else 8)
    items: list[tuple[int, int]] = []
    with file.path.open("rb") as content:
        while True:
            content.seek(place)
            item = content.read(8)
            if item[:4] != _ITEM or len(item) < 8:
                break
            items.append((place, 8 + int.from_bytes(item[4:], "little")))
            place += items[-1][1]
    if item[:4] != _DELIMITER or not items:
        raise damaged()
    return _Encapsulated(file, tuple(items))

"""Compressed pixels that crash, hang or never end, in the process that decodes them: the node loses an image, no more.

What announces too much in its own header is refused at the door already (test_datasets.py); this is what gets past it.
"""

import gc
import os
import resource
import signal
import struct
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from inference.errors import UnsupportedImage
from inference.reading import decoding, outlines
from inference.reading.account import Disposition
from inference.reading.decoding import DecodingLimits, DecodingProcess
from inference.reading.image import Image
from inference.reading.instance import read_file
from inference.reading.layout import layout_of
from inference.reading.pixels import planes_of
from inference.reading.study import read_series, read_study
from node.settings.limits import Limits
from tests.node.receiving.intake import mr_image, with_meta
from tests.patience import patient
from tests.reports.objects import remarks

COMPRESSED = (
    "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "emri_small_RLE.dcm",
    "emri_small_jpeg_2k_lossless.dcm", "JPGExtended.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm", "J2K_pixelrep_mismatch.dcm",
)  # fmt: skip


def real(name: str) -> Dataset:
    return dcmread(str(get_testdata_file(name, download=False)))


def decode(image: Dataset, process: DecodingProcess) -> np.ndarray:
    """Write an image, and give what is read of its pixels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.dcm"
        dcmwrite(path, image, enforce_file_format=True)
        file, failed = read_file(path), dict[int, str]()
        layout = layout_of(file)
        planes = [stored for _, stored, _ in planes_of(file, layout, range(layout.frames), process, failed)]
        if failed:
            raise UnsupportedImage(failed.popitem()[1])
        return np.stack(planes)


@pytest.fixture(scope="module")
def process() -> Iterator[DecodingProcess]:
    with DecodingProcess() as made:
        yield made


@pytest.mark.parametrize("name", COMPRESSED)
def test_pixels_are_those_that_pydicom_decodes_in_process(name: str, process: DecodingProcess) -> None:
    image = real(name)
    expected = image.pixel_array
    decoded = decode(image, process)
    assert decoded.dtype == expected.dtype
    assert np.array_equal(decoded.reshape(expected.shape), expected)


def test_one_process_serves_all_images_of_a_series(process: DecodingProcess) -> None:
    served_by = set()
    for _ in range(3):
        decode(real("MR_small_RLE.dcm"), process)
        assert process._process is not None
        served_by.add(process._process.pid)
    assert len(served_by) == 1


def test_native_pixels_start_no_process() -> None:
    with DecodingProcess() as process:
        assert decode(mr_image(), process).shape == (1, 32, 32)
        assert process._process is None


def test_a_process_that_dies_is_a_reason_and_the_next_image_has_a_new_one() -> None:
    with DecodingProcess() as process:
        decode(real("MR_small_RLE.dcm"), process)
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGSEGV)
        with pytest.raises(UnsupportedImage, match=r"decoding process failed on the compressed pixels \(SIGSEGV\)"):
            decode(real("MR_small_RLE.dcm"), process)
        assert decode(real("MR_small_RLE.dcm"), process).shape == (1, 64, 64)


def test_a_process_that_cannot_start_is_not_blamed_on_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PROGRAM", tmp_path / "missing.py")
    with DecodingProcess() as process, pytest.raises(UnsupportedImage, match=r"exit status 2.*no fault of the image"):
        decode(real("MR_small_RLE.dcm"), process)


def test_a_process_that_hangs_is_given_up_at_the_deadline_of_the_whole_study() -> None:
    with DecodingProcess(DecodingLimits(seconds=patient(3.0))) as process:
        decode(real("MR_small_RLE.dcm"), process)
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGSTOP)
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(UnsupportedImage, match="take too long"):
                decode(real("MR_small_RLE.dcm"), process)
        assert time.monotonic() - started < process.limits.seconds + patient(2)


def bomb(rows: int, columns: int, syntax: str, fragment: bytes) -> Dataset:
    image = with_meta(mr_image(), syntax)
    image.Rows, image.Columns = rows, columns
    image.PixelData = encapsulate([fragment])
    image["PixelData"].VR = "OB"
    return image


def packed(values: int) -> bytes:
    """One RLE frame of 16 bit zeros, at 64 times less (PS3.5 G.5)."""
    segment = b"\x81\0" * (values // 128)
    return struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2


def test_pixels_that_unpack_beyond_the_memory_allowed_are_refused_and_cost_the_node_nothing() -> None:
    image = bomb(16384, 16384, RLELossless, packed(16384 * 16384))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with DecodingProcess(DecodingLimits(mebibytes=768)) as process:
        with pytest.raises(UnsupportedImage, match="768 MiB"):
            decode(image, process)
        assert decode(real("MR_small_RLE.dcm"), process).shape == (1, 64, 64)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def with_table(name: str, table: bytes, *, fragments: int = 1) -> Dataset:
    """A real multi-frame image under a Basic Offset Table of other bytes, each frame in so many fragments."""
    image = real(name)
    frames = list(generate_frames(image.PixelData, number_of_frames=10))
    items = encapsulate(frames, fragments_per_frame=fragments, has_bot=False)[8:]
    image.PixelData = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(table)) + table + items
    image["PixelData"].VR = "OB"
    return image


WRONG_TABLES = {
    "zeros": struct.pack("<10L", *[0] * 10),
    "inside the frames": struct.pack("<10L", *range(0, 100, 10)),
    "too few": struct.pack("<2L", 0, 10),
    "too many": struct.pack("<20L", *range(0, 200, 10)),
    "beyond the end": struct.pack("<10L", *range(0xFFFFFF00, 0xFFFFFF0A)),
    "one": struct.pack("<L", 0),
    "no numbers": b"abcdef",
}


@pytest.mark.parametrize("table", WRONG_TABLES.values(), ids=WRONG_TABLES)
@pytest.mark.parametrize(
    ("name", "fragments"),
    [
        ("emri_small_RLE.dcm", 1),
        ("emri_small_jpeg_2k_lossless.dcm", 1),
        ("emri_small_jpeg_2k_lossless.dcm", 2),
        ("emri_small_jpeg_ls_lossless.dcm", 3),
    ],
)
def test_a_wrong_basic_offset_table_costs_no_frame(
    name: str, fragments: int, table: bytes, process: DecodingProcess
) -> None:
    assert np.array_equal(decode(with_table(name, table, fragments=fragments), process), real(name).pixel_array)


def test_a_right_table_tells_which_fragments_belong_together(process: DecodingProcess) -> None:
    """The marker that ends a codestream is followed by zeros here, so that nothing but the table tells."""
    image = real("emri_small_jpeg_2k_lossless.dcm")
    frames = [frame + bytes(16) for frame in generate_frames(image.PixelData, number_of_frames=10)]
    expected = image.pixel_array
    image.PixelData = encapsulate(frames, fragments_per_frame=2, has_bot=True)
    image["PixelData"].VR = "OB"
    assert np.array_equal(decode(image, process), expected)


def test_whatever_a_decoder_raises_is_a_reason_and_the_process_goes_on(process: DecodingProcess) -> None:
    """The frames end too early: pydicom raises StopIteration, which is of no kind of damage."""
    decode(real("MR_small_RLE.dcm"), process)
    before = process._process
    image = real("emri_small_jpeg_ls_lossless.dcm")
    frame = next(generate_frames(image.PixelData, number_of_frames=10))
    image.PixelData = encapsulate([frame], fragments_per_frame=12, has_bot=False)
    image["PixelData"].VR = "OB"
    with pytest.raises(UnsupportedImage, match=r"No decoder can read the compressed pixels \(StopIteration\)"):
        decode(image, process)
    image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.106"
    with pytest.raises(UnsupportedImage, match="No decoder can read the compressed pixels"):
        decode(image, process)
    assert process._process is before


JPEG = (
    b"\xff\xd8\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 65535, 65535) + b"\1\1\x11\0" + b"\xff\xda\0\x08\1\1\0\0\x3f\0"
)
JPEG_2000 = b"\xff\x4f\xff\x51\x00\x29\0\0" + struct.pack(">8L", *(65535, 65535, 0, 0) * 2) + b"\0\1\x0f\1\1"


@pytest.mark.parametrize(
    ("syntax", "fragment"), [(JPEGBaseline8Bit, JPEG), (JPEG2000Lossless, JPEG_2000)], ids=["JPEG", "JPEG 2000"]
)
def test_a_codestream_that_announces_4_billion_pixels_is_refused_within_bounds(syntax: str, fragment: bytes) -> None:
    with (
        DecodingProcess(DecodingLimits(seconds=patient(10.0), mebibytes=1024)) as process,
        pytest.raises(UnsupportedImage),
    ):
        decode(bomb(32, 32, syntax, fragment), process)


def test_a_study_with_one_damaged_series_still_gives_the_others(tmp_path: Path) -> None:
    whole, damaged = real("MR_small_RLE.dcm"), real("MR_small_jp2klossless.dcm")
    damaged.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(range(256)) * 9])
    damaged["PixelData"].VR = "OB"
    damaged.SeriesInstanceUID, damaged.SOPInstanceUID = "1.2.3", "1.2.3.4"
    for number, image in enumerate((damaged, whole)):
        dcmwrite(tmp_path / f"{number}.dcm", image)
    found = read_study(sorted(tmp_path.iterdir()))
    assert [image.series_instance_uid for image in found.images] == [whole.SeriesInstanceUID]
    (apart,) = found.reasons(Disposition.SET_APART)
    assert apart.startswith("No decoder can read the compressed pixels (RuntimeError).")


def test_a_series_beyond_the_pixel_limit_is_refused_before_any_of_it_is_decoded(tmp_path: Path) -> None:
    dcmwrite(tmp_path / "image.dcm", real("MR_small_RLE.dcm"))
    with pytest.raises(UnsupportedImage, match="1 planes of 64 x 64 pixels are too many"):
        read_series([tmp_path / "image.dcm"], DecodingLimits(values=4095))


def resources() -> tuple[int, int, list[str]]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), children


def test_nothing_is_left_running_and_no_descriptor_open(tmp_path: Path) -> None:
    dcmwrite(tmp_path / "image.dcm", real("MR_small_RLE.dcm"))
    read_series([tmp_path / "image.dcm"])
    before = resources()
    read_series([tmp_path / "image.dcm"])
    assert resources() == before


def test_of_a_study_of_many_series_only_the_wanted_ones_are_held(tmp_path: Path) -> None:
    for number in range(6):
        dcmwrite(tmp_path / f"{number}.dcm", mr_image("1.2.3", seed=number), enforce_file_format=True)
    held: list[weakref.ref[object]] = []

    def wanted(image: Image) -> str:
        gc.collect()
        assert sum(reference() is not None for reference in held) <= 1
        held.append(weakref.ref(image))
        return "" if len(held) == 3 else "Not the third."

    found = read_study(sorted(tmp_path.iterdir()), wanted=wanted)
    assert (len(found.images), found.read, found.not_meant, found.set_apart) == (1, 1, 5, 0)


def test_the_stacks_of_a_study_are_held_within_one_limit_of_memory(tmp_path: Path) -> None:
    for number in range(4):
        dcmwrite(tmp_path / f"{number}.dcm", mr_image("1.2.3", seed=number), enforce_file_format=True)
    found = read_study(sorted(tmp_path.iterdir()), DecodingLimits(values=2 * 32 * 32 + 1))
    assert (len(found.images), found.read, found.set_apart) == (2, 2, 2)
    assert "the limit of what is kept in memory" in " ".join(found.reasons(Disposition.SET_APART))


def test_the_memory_for_reading_bounds_what_a_study_may_ask_for() -> None:
    assert Limits(reading_mebibytes=64).decoding.values == (64 << 20) // 16
    assert Limits().decoding.values == Limits().pixel_values


def test_a_compressed_segmentation_is_decoded_in_the_process_for_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_process(*_: object, **__: object) -> None:
        pytest.fail("decoded in the process of the caller")

    monkeypatch.setattr(outlines, "pixel_array", in_process)
    source = mr_image()
    dcmwrite(tmp_path / "source.dcm", source, enforce_file_format=True)
    mask = np.zeros((32, 32), np.bool_)
    mask[4:9, 6:11] = True
    drawn = remarks.segmentation(source, mask)
    drawn.SegmentationType, drawn.BitsAllocated, drawn.BitsStored, drawn.HighBit = "FRACTIONAL", 8, 8, 7
    drawn.PixelData = np.stack([np.zeros_like(mask), mask]).astype(np.uint8).tobytes()
    drawn.compress(RLELossless, generate_instance_uid=False)
    frames = {source.SOPInstanceUID: (read_file(tmp_path / "source.dcm").frame(0), (32, 32))}
    (outline,), problems = outlines.outlines_of(drawn, frames)
    assert not problems
    assert np.array_equal(outline.mask, mask)
    drawn.PixelData = encapsulate([b"\x01\x00\x00\x00" * 4] * 2)
    assert outlines.outlines_of(drawn, frames) == ([], ["the annotation cannot be read (UnsupportedImage)"])

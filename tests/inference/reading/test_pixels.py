"""Stored bits to modality values, each compared with its own computation from the bytes: no difference at all."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from inference.errors import UnsupportedImage
from inference.reading.study import read_series, read_study
from tests.inference.reading.files import change, enhanced, put, stored_of

NEEDS_DCMTK = pytest.mark.skipif(shutil.which("dcmdjpeg") is None, reason="needs DCMTK")


def sample(name: str) -> Path:
    return Path(str(get_testdata_file(f"{name}.dcm", download=False)))


def lowest_bits(stored: np.ndarray, bits: int, signed: bool, shift: int = 0) -> np.ndarray:
    """Take bits one by one, most significant first: the definition, not the product's shifts."""
    raw = stored.astype(np.int64) >> shift
    value = np.zeros(raw.shape, dtype=np.int64)
    for bit in range(bits):
        weight = -(1 << bit) if signed and bit == bits - 1 else 1 << bit
        value += ((raw >> bit) & 1) * weight
    return value.astype(np.float32)


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("bits", [9, 10, 12, 15, 16])
def test_bits_beyond_bits_stored_are_no_part_of_a_value(write_series, bits, signed):
    stored = np.random.default_rng(bits).integers(0, 1 << 16, (2, 40, 30)).astype(np.uint16)
    paths = write_series(stored.view(np.int16) if signed else stored, BitsStored=bits, HighBit=bits - 1,
                         PixelRepresentation=signed)  # fmt: skip
    assert np.array_equal(read_series(paths).values, lowest_bits(stored, bits, bool(signed)))


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("bits", [3, 7, 8])
def test_eight_bits_allocated_are_read_alike(write_series, bits, signed):
    stored = np.random.default_rng(bits).integers(0, 1 << 8, (1, 40, 30)).astype(np.uint8)
    paths = write_series(stored.view(np.int8) if signed else stored, BitsAllocated=8, BitsStored=bits,
                         HighBit=bits - 1, PixelRepresentation=signed)  # fmt: skip
    assert np.array_equal(read_series(paths).values, lowest_bits(stored, bits, bool(signed)))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("high", [11, 15])
def test_bits_beyond_bits_stored_are_masked_after_every_decoder(write_series, syntax, signed, high):
    """All sixteen bits are coded, as an archive does with overlay bits in them."""
    stored = np.random.default_rng(4).integers(0, 1 << 16, (1, 64, 48)).astype(np.uint16)
    stored = stored >> (high - 11) << (high - 11)
    (path,) = write_series(stored.view(np.int16) if signed else stored, PixelRepresentation=signed)
    dataset = dcmread(path)
    dataset.compress(syntax)
    dataset.BitsStored, dataset.HighBit = 12, high
    dataset.save_as(path)
    assert np.array_equal(read_series([path]).values, lowest_bits(stored, 12, bool(signed), shift=high - 11))


@NEEDS_DCMTK
@pytest.mark.peers
def test_overlay_bits_in_jpeg_ls_of_dcmtk_are_masked(write_series, head):
    stored = head | 0x1000
    paths = write_series(stored, BitsStored=12, HighBit=11)
    for path in paths:
        subprocess.run(["dcmcjpls", path, path], check=True)
        assert dcmread(path).file_meta.TransferSyntaxUID == JPEGLSLossless
    assert np.array_equal(read_series(paths).values, head.astype(np.float32))


@pytest.mark.parametrize("signed", [0, 1])
def test_high_bit_says_where_the_bits_lie(write_series, signed):
    raw = np.random.default_rng(5).integers(0, 1 << 12, (1, 40, 30)).astype(np.uint16) << 4
    paths = write_series(raw.view(np.int16) if signed else raw, BitsStored=12, HighBit=15, PixelRepresentation=signed)
    assert np.array_equal(read_series(paths).values, lowest_bits(raw, 12, bool(signed), shift=4))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("allocated", [8, 16])
def test_high_bit_is_honoured_in_every_native_transfer_syntax(write_series, syntax, allocated):
    kept, high = allocated - 3, allocated - 1
    raw = np.random.default_rng(5).integers(0, 1 << kept, (2, 40, 30)).astype(f"u{allocated // 8}") << 3
    paths = write_series(raw, BitsAllocated=allocated, BitsStored=kept, HighBit=high)
    for path, plane in zip(paths, raw, strict=True):
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        swapped = plane.astype(">u2") if allocated == 16 else plane.reshape(-1, 2)[:, ::-1]
        dataset.PixelData = (swapped if syntax == ExplicitVRBigEndian else plane).tobytes()
        dataset["PixelData"].VR = "OW"
        dcmwrite(path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian,
                 enforce_file_format=True)  # fmt: skip
    assert np.array_equal(read_series(paths).values, lowest_bits(raw, kept, signed=False, shift=3))


def test_a_high_bit_that_the_pixels_contradict_is_refused(write_series, head):
    with pytest.raises(UnsupportedImage, match=r"High Bit \(0028,0102\) is 15 with 12 bits stored"):
        read_series(write_series(head[:1], BitsStored=12, HighBit=15))
    with pytest.raises(UnsupportedImage, match=r"High Bit \(0028,0102\) is 7, which does not fit 12 bits"):
        read_series(write_series(head[:1], BitsStored=12, HighBit=7))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("allocated", [8, 16])
def test_the_transfer_syntax_changes_no_value(write_series, syntax, allocated):
    stored = np.random.default_rng(6).integers(0, 200, (2, 15, 21)).astype(f"u{allocated // 8}")
    paths = write_series(stored, BitsAllocated=allocated, BitsStored=allocated, HighBit=allocated - 1)
    for path, plane in zip(paths, stored, strict=True):
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        little = syntax.is_little_endian
        value = plane.astype(plane.dtype.newbyteorder("<" if little else ">")).tobytes()
        value += bytes(len(value) % 2)
        if allocated == 8 and not little:
            value = np.frombuffer(value, ">u2").astype("<u2").tobytes()
        dataset.PixelData = value
        dataset["PixelData"].VR = "OW"
        fresh = Dataset()
        fresh.update({element.tag: element for element in dataset})
        fresh.file_meta = dataset.file_meta
        dcmwrite(path, fresh, implicit_vr=syntax.is_implicit_VR, little_endian=little, enforce_file_format=True)
    assert np.array_equal(read_series(paths).values, stored.astype(np.float32))


def test_thirty_two_bits_allocated_are_read(write_series):
    stored = np.random.default_rng(7).integers(0, 1 << 20, (1, 20, 20))
    paths = write_series(stored, BitsAllocated=32, BitsStored=32, HighBit=31)
    assert np.array_equal(read_series(paths).values[0], stored[0].astype(np.float32))


def test_float_pixels_are_refused_by_their_name(write_series, head):
    (path,) = write_series(head[:1])
    dataset = dcmread(path)
    del dataset.PixelData
    dataset.BitsAllocated = dataset.BitsStored = 32
    dataset.FloatPixelData = head[0].astype("<f4").tobytes()
    dataset.save_as(path)
    with pytest.raises(UnsupportedImage, match=r"FloatPixelData \(7FE0,0008\)"):
        read_series([path])


def test_slope_and_intercept_of_every_plane_are_its_own(write_series, head):
    paths = write_series(head)
    for index, path in enumerate(paths):
        change(path, RescaleSlope=0.5 + index, RescaleIntercept=-1024 + index)
    expected = [stored_of(path)[0].astype(np.float32) * np.float32(0.5 + index) + np.float32(-1024 + index)
                for index, path in enumerate(paths)]  # fmt: skip
    assert np.array_equal(read_series(paths).values, np.stack(expected))


@pytest.mark.parametrize("written", [b"1,0", b"NaN", b"inf", b"1\\2", b"one", b"1e999", b"1e300"])
def test_a_slope_that_is_no_number_is_named_with_its_value_and_takes_only_its_plane(write_series, head, written):
    paths = write_series(head)
    put(paths[3], 0x00281053, "DS", written)
    found = read_study(paths)
    (image,) = found.images
    assert np.array_equal(image.values, read_series([*paths[:3], *paths[4:]]).values)
    (reason,) = [entry.reason for entry in found.instances if entry.reason]
    shown = "(text, not shown)" if written == b"one" else written.decode().split("\\")[0]
    assert reason.startswith("Rescale Slope (0028,1053) is ")
    assert shown in reason
    assert found.read == 5
    assert found.set_apart == 1


@pytest.mark.parametrize(
    ("element", "vr", "value"),
    [(0x00280120, "US", 63536), (0x00280120, "SS", -2000)],
)
def test_padding_is_found_by_its_bits_whatever_its_vr(write_series, element, vr, value):
    stored = np.random.default_rng(8).integers(-1000, 3000, (2, 30, 20)).astype(np.int16)
    stored[:, :7] = -2000
    paths = write_series(stored, PixelRepresentation=1)
    for path in paths:
        put(path, element, vr, value.to_bytes(2, "little", signed=value < 0))
    image = read_series(paths)
    assert np.array_equal(image.padded, stored == -2000)
    lowest = stored[stored != -2000].min()
    assert np.array_equal(image.filled(), np.where(stored == -2000, lowest, stored).astype(np.float32))
    assert np.array_equal(image.values, stored.astype(np.float32))
    assert not image.display()[image.padded].any()
    assert image.display().max() == 1


def test_padding_of_a_range_and_beyond_bits_stored(write_series):
    stored = np.array([[[0, 5, 9], [10, 11, 4000]]], dtype=np.uint16)
    image = read_series(write_series(stored, BitsStored=12, HighBit=11, PixelPaddingValue=10, PixelPaddingRangeLimit=5))
    assert np.array_equal(image.padded, (stored >= 5) & (stored <= 10))
    beyond = np.array([[[63536, 5, 9], [2096, 11, 4000]]], dtype=np.uint16)
    image = read_series(write_series(beyond, BitsStored=12, HighBit=11, PixelPaddingValue=63536))
    assert np.array_equal(image.padded, beyond == 63536)


def test_padding_is_black_in_an_inverted_picture(write_series):
    stored = np.array([[[0, 500], [500, 1000]]])
    image = read_series(write_series(stored, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1"))
    assert image.shown(0).tolist() == [[0, 1], [1, 0]]
    assert image.filled().tolist() == [[[500, 500], [500, 1000]]]


@pytest.mark.parametrize(("center", "width"), [(2040, 4080), (800, 400), (2000, 100), (-3000, 100), (30000, 100)])
def test_no_window_changes_a_modality_value(write_series, head, center, width):
    plain = read_series(write_series(head)).values
    assert np.array_equal(read_series(write_series(head, WindowCenter=center, WindowWidth=width)).values, plain)


def test_a_damaged_frame_takes_no_other_of_its_file_down(write_series, head):
    path = enhanced(write_series(head))
    plain = read_series([path]).values
    dataset = dcmread(path)
    dataset.compress(RLELossless)
    fragments = list(generate_fragments(dataset.PixelData))[1:]
    fragments[2] = fragments[2][:70]
    dataset.PixelData = encapsulate(fragments)
    dataset.save_as(path)
    found = read_study([path])
    (image,) = found.images
    assert np.array_equal(image.values, plain[[0, 1, 3, 4, 5]])
    (lost,) = [entry for entry in found.instances if entry.unreadable]
    assert lost.frames == 1
    assert image.missing


@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_frames_of_several_stacks_in_one_file_are_each_read_once(write_series, head, syntax):
    def echoes(index: int, groups: Dataset) -> None:
        groups.MREchoSequence = [Dataset()]
        groups.MREchoSequence[0].EffectiveEchoTime = 20.0 if index % 2 else 90.0

    path = enhanced(write_series(head), echoes)
    if syntax:
        dataset = dcmread(path)
        dataset.compress(syntax)
        dataset.save_as(path)
    first, second = read_study([path]).images
    assert np.array_equal(first.values, head[1::2].astype(np.float32))
    assert np.array_equal(second.values, head[::2].astype(np.float32))


@NEEDS_DCMTK
@pytest.mark.peers
@pytest.mark.parametrize(
    "name", ["MR_small_RLE", "JPGLosslessP14SV1_1s_1f_8b", "JPEG-LL", "emri_small_jpeg_ls_lossless"]
)
def test_decoded_values_are_those_of_dcmtk(name, tmp_path):
    decoder = {"R": "dcmdrle", "J": "dcmdjpeg", "e": "dcmdjpls"}["R" if "RLE" in name else name[0]]
    plain = tmp_path / "plain.dcm"
    subprocess.run([decoder, sample(name), plain], check=True)
    ours = read_series([sample(name)])
    theirs = stored_of(plain) if dcmread(plain).BitsAllocated == 16 else np.frombuffer(
        dcmread(plain).PixelData, np.uint8)[: ours.values.size].reshape(ours.values.shape)  # fmt: skip
    bits, signed = dcmread(plain).BitsStored, dcmread(plain).PixelRepresentation == 1
    assert np.array_equal(ours.values, lowest_bits(theirs, bits, signed))


def test_an_instance_given_twice_counts_once(write_series, head):
    paths = write_series(head)
    again = paths[2].with_name("again.dcm")
    shutil.copy(paths[2], again)
    found = read_study([*paths, again])
    assert len(found.images[0].frames) == found.read == 6

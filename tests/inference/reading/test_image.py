"""DICOM files to display pixels: against pydicom's own arithmetic, and against files of other makers."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut, apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian

from inference.errors import UnreadableInstance, UnsupportedImage
from inference.reading.study import read_series


def sample(name: str) -> Path:
    found = get_testdata_file(f"{name}.dcm", download=False)
    if found is None:
        pytest.skip(f"{name}.dcm is in neither pydicom nor pydicom-data")
    return Path(str(found))


def make_implicit(path: Path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=True, little_endian=True)


@pytest.mark.parametrize(
    ("plain", "twin"),
    [
        ("RG3_UNCR", "RG3_J2KR"),
        ("MR2_UNCR", "MR2_J2KR"),
        ("693_UNCR", "693_J2KR"),
        ("emri_small", "emri_small_big_endian"),
        ("emri_small", "emri_small_RLE"),
        ("emri_small", "emri_small_jpeg_ls_lossless"),
        ("emri_small", "emri_small_jpeg_2k_lossless"),
        ("MR_small", "MR_small_bigendian"),
        ("MR_small", "MR_small_RLE"),
    ],
)
def test_a_compressed_twin_shows_the_same_pixels(plain, twin):
    assert np.array_equal(read_series([sample(plain)]).display(), read_series([sample(twin)]).display())


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_are_those_of_the_standard(write_series, function):
    """pydicom's own windowing, scaled from its output range to 0..1, is the oracle."""
    stored = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(1, 64, 64)
    paths = write_series(
        stored, WindowCenter=[1200, 50], WindowWidth=[800, 10], VOILUTFunction=function,
        RescaleSlope=0.05, RescaleIntercept=-100,
    )  # fmt: skip
    dataset = pydicom.dcmread(paths[0])
    shown = apply_windowing(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = -100.0, 65535 * 0.05 - 100
    assert np.allclose(read_series(paths).display()[0], (shown - low) / (high - low), atol=1e-4)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("signed", [0, 1])
def test_every_depth_spans_black_to_white(write_series, bits, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    stored = np.array([[[low, high], [0, (low + high) // 2]]])
    image = read_series(
        write_series(
            stored, BitsAllocated=8 if bits == 8 else 16, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=signed
        )
    )
    assert image.display()[0, 0, 0] == 0
    assert image.display()[0, 0, 1] == 1
    assert abs(image.display()[0, 1, 1] - 0.5) < 1 / 2 ** (bits - 1)


def test_monochrome1_is_the_negative_of_monochrome2(write_series, head):
    positive = read_series(write_series(head, WindowCenter=100, WindowWidth=200))
    negative = read_series(
        write_series(head, WindowCenter=100, WindowWidth=200, PhotometricInterpretation="MONOCHROME1")
    )
    assert np.allclose(positive.display() + negative.display(), 1.0, atol=1e-6)


def test_planes_with_windows_of_their_own_get_one_of_the_series(write_series):
    """The same value is the same grey on every plane, whatever else lies there."""
    stored = np.stack([np.full((4, 4), 100), np.full((4, 4), 100), np.full((4, 4), 300)])
    stored[0, 0, 0], stored[1, 0, 0] = 0, 1000
    paths = write_series(stored)
    for path, center in zip(paths, (50, 500, 200), strict=True):
        dataset = pydicom.dcmread(path)
        dataset.WindowCenter, dataset.WindowWidth = center, 2 * center
        dataset.save_as(path)
    pixels = read_series(paths).display()
    assert pixels[0, 1, 1] == pixels[1, 1, 1] == pytest.approx(0.1)
    assert pixels[2, 1, 1] == pytest.approx(0.3)


def test_a_shared_window_is_kept_and_the_first_of_several_counts(write_series):
    stored = np.array([[[0, 500], [1000, 4000]]])
    image = read_series(
        write_series(stored, WindowCenter=[500, 9], WindowWidth=[1000, 9], VOILUTFunction="LINEAR_EXACT")
    )
    assert image.display()[0].ravel().tolist() == [0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("implicit", [False, True])
def test_padding_does_not_stretch_the_range(write_series, implicit):
    stored = np.array([[[-2000, 0], [500, 1000]]])
    paths = write_series(stored, PixelRepresentation=1, PixelPaddingValue=-2000)
    if implicit:
        make_implicit(paths[0])
    image = read_series(paths)
    assert image.display()[0].ravel().tolist() == [0.0, 0.0, 0.5, 1.0]


def test_a_constant_series_is_black(write_series):
    assert not read_series(write_series(np.full((2, 4, 4), 7))).display().any()


def lookup(entries, first, bits):
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return Sequence([item])


@pytest.mark.parametrize("implicit", [False, True])
def test_lookup_tables_map_and_clamp(write_series, implicit):
    """Four entries of 8 bits for the values 10 to 13; pydicom itself wraps inputs beyond 255 here."""
    stored = np.array([[[0, 10, 11], [12, 13, 4000]]])
    paths = write_series(stored, VOILUTSequence=lookup([0, 51, 102, 255], 10, 8))
    if implicit:
        make_implicit(paths[0])
    assert np.allclose(read_series(paths).display()[0].ravel(), [0, 0, 0.2, 0.4, 1, 1])


def test_a_modality_table_comes_before_the_window(write_series):
    stored = np.array([[[0, 1], [2, 3]]])
    paths = write_series(
        stored, ModalityLUTSequence=lookup([1000, 0, 500, 250], 0, 16), WindowCenter=500, WindowWidth=1000,
        VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    assert read_series(paths).display()[0].ravel().tolist() == [1.0, 0.0, 0.5, 0.25]


def test_planes_are_sorted_by_place_not_by_name_or_number(write_series, head):
    paths = write_series(head)
    image = read_series(paths[::-1])
    assert [frame.position_mm[2] for frame in image.frames] == [0, 5, 10, 15, 20, 25]
    assert np.unravel_index(image.display().argmax(), image.display().shape)[0] == 2
    turned = read_series(write_series(head, (-1, 0, 0, 0, 1, 0)))
    assert [frame.position_mm[2] for frame in turned.frames] == [-25, -20, -15, -10, -5, 0]


def test_without_places_the_instance_number_sorts(write_series, head):
    paths = write_series(head)
    for path in paths:
        dataset = pydicom.dcmread(path)
        del dataset.ImagePositionPatient
        dataset.InstanceNumber = 100 - dataset.InstanceNumber
        dataset.save_as(path)
    image = read_series(paths)
    assert [frame.instance_number for frame in image.frames] == [94, 95, 96, 97, 98, 99]
    assert image.display()[3].max() == 1.0


def test_an_enhanced_image_keeps_the_geometry_of_every_frame():
    path = sample("eCT_Supplemental")
    image = read_series([path])
    dataset = pydicom.dcmread(path)
    groups = dataset.PerFrameFunctionalGroupsSequence
    places = sorted(float(g.PlanePositionSequence[0].ImagePositionPatient[2]) for g in groups)
    assert [frame.position_mm[2] for frame in image.frames] == places
    assert {frame.frame_number for frame in image.frames} == {1, 2}
    assert image.plane == "axial"
    assert image.frames[0].pixel_spacing_mm is not None


@pytest.mark.parametrize(
    ("orientation", "plane"),
    [
        ((1, 0, 0, 0, 1, 0), "axial"),
        ((-1, 0, 0, 0, -1, 0), "axial"),
        ((1, 0, 0, 0, 0, -1), "coronal"),
        ((0, 1, 0, 0, 0, -1), "sagittal"),
        ((1, 0, 0, 0, 0.940, 0.342), "axial"),
        ((1, 0, 0, 0, 0.819, 0.574), "oblique"),
    ],
)
def test_planes_are_named_within_25_degrees(write_series, orientation, plane):
    assert read_series(write_series(np.ones((1, 4, 4)), orientation)).plane == plane


def test_the_digest_changes_with_one_bit_and_not_with_order(write_series, head):
    paths = write_series(head)
    digest = read_series(paths).digest
    assert read_series(paths[::-1]).digest == digest
    assert read_series([*paths, paths[0]]).digest == digest
    content = bytearray(paths[3].read_bytes())
    content[-1] ^= 1
    paths[3].write_bytes(bytes(content))
    assert read_series(paths).digest != digest


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SC_rgb_32bit", r"Bits Stored \(0028,0101\) is 32 "),
        ("test-SR", "no Pixel Data"),
        ("MR_truncated", "cut short"),
        ("emri_small_jpeg_2k_lossless_too_short", "cut short"),
        ("liver", "Segmentation Storage holds annotations"),
        ("rtdose", "radiation dose"),
    ],
)
def test_what_is_no_image_is_refused_with_its_reason(name, reason):
    with pytest.raises(UnsupportedImage, match=reason):
        read_series([sample(name)])


@pytest.mark.parametrize("name", ["OT-PAL-8-face", "no_meta"])
def test_what_is_not_dicom_is_refused(name):
    with pytest.raises(UnreadableInstance):
        read_series([sample(name)])


@pytest.mark.parametrize("name", ["MR_small", "MR_small_RLE", "emri_small_jpeg_2k_lossless", "693_J2KR"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_file_cut_short_anywhere_is_refused_not_shown(name, share, tmp_path):
    path = tmp_path / "cut.dcm"
    content = sample(name).read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises((UnsupportedImage, UnreadableInstance)):
        read_series([path])


def test_an_absurd_number_of_pixels_is_refused_before_decoding(write_series):
    paths = write_series(np.ones((1, 4, 4)))
    dataset = pydicom.dcmread(paths[0])
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(paths[0])
    with pytest.raises(UnsupportedImage, match="65535 x 65535"):
        read_series(paths)


def test_no_error_text_quotes_the_patient(write_series):
    paths = write_series(np.ones((1, 4, 4)), PatientID="SECRET-ID", PatientName="Secret^Name")
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[:-20])
    with pytest.raises(UnsupportedImage) as caught:
        read_series(paths)
    assert "secret" not in str(caught.value).lower()
    assert str(paths[0]) not in str(caught.value)

"""Colour is read as red, green and blue; compared with its own computation from the bytes, and with DCMTK's."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, RLELossless

from inference.errors import UnsupportedImage
from inference.reading.study import read_series
from tests.inference.reading.files import change

NEEDS_DCMTK = pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="needs DCMTK")


def sample(name: str) -> Path:
    return Path(str(get_testdata_file(f"{name}.dcm", download=False)))


@pytest.fixture
def colours(write_series):
    """Write one image of random bytes, three a pixel."""
    values = np.random.default_rng(0).integers(0, 256, (64, 80, 3)).astype(np.uint8)

    def write(photometric="RGB", planar=0, **attributes):
        (path,) = write_series(values[None, ..., 0], BitsAllocated=8, BitsStored=8, HighBit=7)
        stored = values if planar == 0 else values.transpose(2, 0, 1)
        return change(
            path, SamplesPerPixel=3, PhotometricInterpretation=photometric, PlanarConfiguration=planar,
            PixelData=stored.tobytes(), **attributes,
        )  # fmt: skip

    return values, write


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb_is_read_pixel_by_pixel_and_plane_by_plane(colours, planar):
    values, write = colours
    image = read_series([write(planar=planar)])
    assert image.colour
    assert np.array_equal(image.values[0], values.astype(np.float32))
    assert np.array_equal(image.shown(0), values.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_rgb_is_the_same(colours, syntax):
    values, write = colours
    path = write()
    dataset = dcmread(path)
    dataset.compress(syntax)
    dataset.save_as(path)
    assert np.array_equal(read_series([path]).values[0], values.astype(np.float32))


def test_ybr_full_is_turned_into_rgb_by_the_equations_of_the_standard(colours):
    """PS3.3 C.7.6.3.1.2."""
    values, write = colours
    y, blue, red = (values[..., channel].astype(np.float64) for channel in range(3))
    blue, red = blue - 128, red - 128
    expected = np.stack(
        [y + 1.402 * red, y - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587, y + 1.772 * blue], axis=-1
    )
    ours = read_series([write("YBR_FULL")]).values[0]
    assert np.abs(ours - np.clip(np.floor(expected + 0.5), 0, 255)).max() <= 1
    assert (ours == np.clip(np.floor(expected + 0.5), 0, 255)).mean() > 0.999


def test_a_palette_gives_the_colours_of_its_entries(write_series):
    indices = np.random.default_rng(1).integers(0, 16, (1, 20, 30)).astype(np.uint8)
    tables = np.random.default_rng(2).integers(0, 65536, (3, 10)).astype("<u2")
    attributes = {}
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        attributes[f"{name}PaletteColorLookupTableDescriptor"] = [10, 3, 16]
        attributes[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    (path,) = write_series(indices, BitsAllocated=8, BitsStored=8, HighBit=7,
                           PhotometricInterpretation="PALETTE COLOR", **attributes)  # fmt: skip
    image = read_series([path])
    expected = tables.T[np.clip(indices[0].astype(int) - 3, 0, 9)]
    assert np.array_equal(image.values[0], expected.astype(np.float32))
    assert image.bits == 16


@NEEDS_DCMTK
@pytest.mark.peers
@pytest.mark.parametrize(
    "name",
    [
        "US1_UNCR",
        "SC_rgb_rle",
        "OBXXXX1A",
        "OBXXXX1A_expb",
        "color-pl",
        "color-px",
        "examples_palette",
        "ExplVR_BigEnd",
    ],
)
def test_colours_are_those_of_dcmtk(name, tmp_path):
    picture = tmp_path / "picture.ppm"
    subprocess.run(["dcm2pnm", "--write-raw-pnm", sample(name), picture], check=True, capture_output=True)
    theirs = np.asarray(Picture.open(picture), dtype=np.float32)
    ours = read_series([sample(name)])
    scaled = ours.values[0] if ours.bits == 8 else np.floor(ours.values[0] / 256)
    assert np.array_equal(scaled, theirs)


def test_palettes_of_both_byte_orders_give_the_same_colours():
    little, big = read_series([sample("gdcm-US-ALOKA-16")]), read_series([sample("gdcm-US-ALOKA-16_big")])
    assert np.array_equal(little.values, big.values)


def test_colour_that_cannot_be_turned_into_rgb_is_refused_by_name(colours):
    _, write = colours
    with pytest.raises(UnsupportedImage, match=r"Photometric Interpretation \(0028,0004\) is YBR_PARTIAL_420 with 3"):
        read_series([write("YBR_PARTIAL_420")])


def test_an_absent_palette_is_refused_by_name(write_series):
    (path,) = write_series(np.zeros((1, 4, 4), dtype=np.uint16), PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(UnsupportedImage, match="palette of the image is absent"):
        read_series([path])

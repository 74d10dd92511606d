"""Where a file is plain, a network gets what MONAI's own reader would have given it: its array and its affine."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from monai.data import PydicomReader
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless

from inference.reading.study import read_series
from tests.inference.reading.files import enhanced

PLAIN = (
    "CT_small", "MR_small", "MR_small_RLE", "MR_small_jp2klossless", "MR_small_bigendian", "693_UNCR", "693_J2KR",
    "MR2_UNCR", "RG3_UNCR", "RG3_J2KR", "MR-SIEMENS-DICOM-WithOverlays", "JPGExtended", "image_dfl",
    "JPGLosslessP14SV1_1s_1f_8b", "J2K_pixelrep_mismatch", "explicit_VR-UN", "US1_UNCR", "examples_ybr_color",
)  # fmt: skip


def sample(name: str) -> Path:
    return Path(str(get_testdata_file(f"{name}.dcm", download=False)))


def by_monai(*paths: Path) -> np.ndarray:
    """Return MONAI's array with rows and columns in DICOM's order, planes (or frames) first."""
    reader = PydicomReader(swap_ij=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array, _ = reader.get_data(reader.read([str(path) for path in paths]))
    return np.asarray(array)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_gives_the_values_of_monais_reader(name):
    ours, theirs = read_series([sample(name)]).values, by_monai(sample(name))
    assert np.array_equal(ours.reshape(theirs.shape), theirs.astype(np.float32))


@pytest.mark.parametrize(("slope", "intercept"), [(None, None), (1, -1024), (0.37, -12.5), (2.5, None)])
def test_a_plain_series_gives_the_values_of_monais_reader(write_series, head, slope, intercept):
    rescale = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    paths = write_series(head, **{keyword: value for keyword, value in rescale.items() if value is not None})
    ours = read_series(paths).values
    theirs = np.stack([by_monai(path) for path in paths])
    assert np.array_equal(ours, theirs.astype(np.float32))


def test_where_a_file_is_not_plain_the_standard_wins(write_series, head):
    """Each row of the guide's list that a single file can show."""
    overlay = write_series(head[:1] | 0x1000)
    dataset = dcmread(overlay[0])
    dataset.compress(JPEG2000Lossless)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.save_as(overlay[0])
    high = write_series((head[:1] & 0x0FFF) << 4, BitsStored=12, HighBit=15)
    for paths in (overlay, high):
        assert np.array_equal(read_series(paths).values[0], head[0].astype(np.float32))
        assert not np.array_equal(by_monai(*paths), head[0])
    slopes = enhanced(write_series(head), lambda _index, groups: groups.PixelValueTransformationSequence[0].update(
        {"RescaleSlope": 2, "RescaleIntercept": 1}))  # fmt: skip
    assert np.array_equal(read_series([slopes]).values, head.astype(np.float32) * 2 + 1)
    assert np.array_equal(by_monai(slopes), head)

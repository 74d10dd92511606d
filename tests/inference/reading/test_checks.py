"""What is no image of a body is said to be none; real images are never refused."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture
from pydicom.data import get_testdata_file
from scipy.ndimage import gaussian_filter

from inference.errors import UnreadableInstance
from inference.reading.checks import pixel_objections
from inference.reading.decoding import DecodingProcess
from inference.reading.instance import read_file
from inference.reading.series import read_stack, survey_series
from inference.reading.study import read_series
from tests.development_data import FOLDER, needs_data


@pytest.fixture
def image(write_series, head):
    return read_series(write_series(head))


def test_an_image_of_blobs_is_an_image(image):
    assert pixel_objections(image) == ()


@pytest.mark.parametrize("value", [0.0, 700.0, -3.5])
def test_a_flat_image_is_said_to_be_flat(image, value):
    assert pixel_objections(replace(image, values=np.full_like(image.values, value))) == (
        f"Every pixel has the value {value:g}: the image is flat.",
    )


def test_rescale_slope_zero_is_a_flat_image(write_series, head):
    flat = read_series(write_series(head, RescaleSlope=0, RescaleIntercept=0))
    assert pixel_objections(flat) == ("Every pixel has the value 0: the image is flat.",)


def test_a_stack_whose_planes_are_each_flat_is_said_to_be(image):
    values = np.zeros_like(image.values) + np.arange(len(image.values), dtype=np.float32)[:, None, None]
    assert any("6 of 6 planes are flat" in reason for reason in pixel_objections(replace(image, values=values)))


@pytest.mark.parametrize("flat", [1, 3])
def test_some_blank_planes_are_no_objection(image, flat):
    values = image.values.copy()
    values[:flat] = 0
    assert pixel_objections(replace(image, values=values)) == ()


def test_a_saturated_and_a_clipped_image_are_said_to_be(image):
    values = np.minimum(image.values, np.percentile(image.values, 40))
    assert any("saturated" in reason for reason in pixel_objections(replace(image, values=values)))
    low, high = np.percentile(image.values, [55, 56])
    clipped = np.clip(image.values, low, high)
    assert any("clipped" in reason for reason in pixel_objections(replace(image, values=clipped)))


def test_the_air_of_a_monochrome1_image_is_its_highest_value_and_no_saturation(image):
    negative = replace(image, values=image.values.max() - image.values, inverted=(True,) * len(image.frames))
    airy = replace(negative, values=np.minimum(negative.values, np.percentile(negative.values, 40)))
    assert pixel_objections(airy) == ()
    burnt = replace(negative, values=np.maximum(negative.values, np.percentile(negative.values, 60)))
    assert any("saturated" in reason for reason in pixel_objections(burnt))


def test_mostly_padding_is_said_to_be_hardly_an_image(image):
    padded = np.ones(image.values.shape, dtype=np.bool_)
    padded[:, :10, :10] = False
    (reason,) = pixel_objections(replace(image, padded=padded))
    assert "95% of the pixels are padding" in reason
    padded[:, :20, :20] = False
    assert pixel_objections(replace(image, padded=padded)) == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_said(image, value):
    values = image.values.copy()
    values[3, 4, 5] = value
    assert pixel_objections(replace(image, values=values)) == ("The image has values that are not finite numbers.",)


def test_a_mask_is_no_image(image):
    (reason,) = pixel_objections(replace(image, values=(image.values > 120).astype(np.float32)))[-1:]
    assert reason.startswith("The image has 2 different values where 16 bits are stored")


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_noise_without_anatomy_is_said_to_be_noise(image, spread):
    noise = np.random.default_rng(1).integers(0, 4080, (6, 96, 96)).astype(np.float32)
    values = gaussian_filter(noise, (0, spread, spread)).astype(np.float32)
    assert any("noise" in reason for reason in pixel_objections(replace(image, values=values)))


def test_anatomy_under_much_noise_is_anatomy(image):
    draw = np.random.default_rng(2)
    noisy = image.values + draw.normal(0, image.values[0].std() * 0.7, image.values.shape).astype(np.float32)
    assert pixel_objections(replace(image, values=noisy)) == ()


def test_hounsfield_units_are_told_from_other_scales():
    head = read_series([Path(str(get_testdata_file("CT_small.dcm", download=False)))])
    assert pixel_objections(head, hounsfield=True) == ()
    for other in (head.values + 1024, (head.values + 1024) / 4095, (head.values - 900) * 20):
        shifted = replace(head, values=other.astype(np.float32))
        assert any("Hounsfield" in reason for reason in pixel_objections(shifted, hounsfield=True))
        assert not any("Hounsfield" in reason for reason in pixel_objections(shifted))


FOLDERS = [
    Path(pydicom.__file__).parent / "data" / "test_files",
    Path(pydicom.__file__).parents[1] / "data_store" / "data",
]
TEST_PATTERNS = ("SC_rgb", "GDCMJ2K_TextGBR")
"""Colour bars and letters: no images of a body."""


def test_no_real_file_of_pydicom_is_refused():
    looked_at = 0
    with DecodingProcess() as process:
        for path in sorted(path for folder in FOLDERS for path in folder.glob("*.dcm")):
            if path.name.startswith(TEST_PATTERNS) or path.stat().st_size > 1_500_000:
                continue
            try:
                stacks, _ = survey_series([read_file(path)])
            except UnreadableInstance:
                continue
            for image in (read_stack(stack, [], process)[0] for stack in stacks):
                if image is not None:
                    looked_at += 1
                    assert pixel_objections(image, hounsfield=image.modality == "CT") == (), path.name
    assert looked_at > 50


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("name", ["glioma_flair", "brain_t1ce", "breast_us"])
def test_no_good_image_is_refused(image, name):
    folder = FOLDER / name
    with (folder / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    if name == "glioma_flair":
        groups = {row["group"]: [other for other in rows if other["group"] == row["group"]] for row in rows[:250]}
        stacks = list(groups.values())
    else:
        stacks = [[row] for row in rows[::20]]
    for stack in stacks:
        planes = [np.asarray(Picture.open(folder / row["file"]).convert("L"), dtype=np.float32) for row in stack]
        values = np.stack(planes)
        whole = replace(image, values=values, frames=image.frames[:1] * len(values), bits=8)
        assert pixel_objections(whole) == (), stack[0]["file"]

"""Attributes of an enhanced object come from the macros that define them, and from nowhere else."""

import numpy as np
import pytest
from pydicom import Dataset

from inference.reading.study import read_series, read_study
from tests.inference.reading.files import change, enhanced, item, put


def places(image):
    return [frame.position_mm[2] for frame in image.frames]


def test_an_enhanced_object_reads_as_the_single_frames_it_is_made_of(write_series, head):
    paths = write_series(head)
    classic, whole = read_series(paths), read_series([enhanced(paths)])
    assert np.array_equal(classic.values, whole.values)
    assert places(classic) == places(whole) == [0, 5, 10, 15, 20, 25]
    assert classic.plane == whole.plane == "axial"
    assert whole.frames[0].pixel_spacing_mm == (1.0, 1.0)
    assert whole.spacing == classic.spacing


def test_a_private_sequence_says_nothing_of_geometry_rescale_or_window(write_series, head):
    def private(index: int, groups: Dataset) -> None:
        other = item(
            ImagePositionPatient=[1, 1, 100 - index], ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
            PixelSpacing=[3, 3], RescaleSlope=4.05, RescaleIntercept=7, WindowCenter=1, WindowWidth=2,
        )  # fmt: skip
        groups.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [other])

    paths = write_series(head)
    plain = read_series([enhanced(paths)])
    image = read_series([enhanced(paths, private)])
    assert np.array_equal(image.values, plain.values)
    assert image.frames[0].orientation == plain.frames[0].orientation
    assert (places(image), image.windows, image.spacing) == (places(plain), plain.windows, plain.spacing)


def test_another_macro_says_nothing_of_an_attribute_it_does_not_define(write_series, head):
    def nested(index: int, groups: Dataset) -> None:
        groups.FrameContentSequence[0].ImagePositionPatient = [0, 0, 100 - index]
        groups.PixelValueTransformationSequence[0].PixelSpacing = [3, 3]
        groups.PlanePositionSequence[0].RescaleSlope = 4

    paths = write_series(head)
    plain, image = read_series([enhanced(paths)]), read_series([enhanced(paths, nested)])
    assert np.array_equal(image.values, plain.values)
    assert places(image) == places(plain)
    assert image.frames[0].pixel_spacing_mm == (1.0, 1.0)


def test_elements_beside_the_functional_groups_say_nothing(write_series, head):
    path = enhanced(write_series(head))
    plain = read_series([path])
    change(path, ImagePositionPatient=[9, 9, 9], PixelSpacing=[3, 3], RescaleSlope=2, RescaleIntercept=1)
    image = read_series([path])
    assert np.array_equal(image.values, plain.values)
    assert places(image) == places(plain)
    assert image.frames[0].pixel_spacing_mm == (1.0, 1.0)


def test_each_frame_has_its_own_rescale(write_series, head):
    def rescale(index: int, groups: Dataset) -> None:
        groups.PixelValueTransformationSequence = [item(RescaleSlope=index + 0.5, RescaleIntercept=-index)]

    paths = write_series(head)
    stored = read_series(paths).values
    expected = [plane * np.float32(index + 0.5) - np.float32(index) for index, plane in enumerate(stored)]
    assert np.array_equal(read_series([enhanced(paths, rescale)]).values, np.stack(expected))


def test_each_frame_has_its_own_window_for_pictures_alone(write_series, head):
    def window(index: int, groups: Dataset) -> None:
        groups.FrameVOILUTSequence = [item(WindowCenter=100 + index, WindowWidth=50)]

    paths = write_series(head)
    image = read_series([enhanced(paths, window)])
    assert [window.center for window in image.windows] == [100, 101, 102, 103, 104, 105]
    assert np.array_equal(image.values, read_series(paths).values)


def test_one_odd_frame_is_set_apart_and_the_others_are_read(write_series, head):
    def odd(index: int, groups: Dataset) -> None:
        if index == 2:
            groups.PlanePositionSequence[0].ImagePositionPatient = [0, 0]
        if index == 4:
            groups.PixelValueTransformationSequence[0].RescaleSlope = [1, 2]

    paths = write_series(head)
    found = read_study([enhanced(paths, odd)])
    (image,) = found.images
    assert places(image) == [0, 5, 15, 25]
    assert np.array_equal(image.values, read_series(paths).values[[0, 1, 3, 5]])
    reasons = {entry.reason for entry in found.instances if entry.unreadable}
    assert reasons == {
        "Image Position (Patient) (0020,0032) is '0.0\\0.0', which is not 3 values.",
        "Rescale Slope (0028,1053) is '1.0\\2.0', which is not one value.",
    }
    assert len(image.missing) == 2


@pytest.mark.parametrize("number", [b"IM3", b"", b"1.5", b"999999999999"])
def test_what_instance_number_says_decides_nothing(write_series, head, number):
    paths = write_series(head)
    plain = read_series(paths)
    put(paths[2], 0x00200013, "IS", number)
    put(paths[3], 0x00201041, "DS", b"12,5")
    put(paths[4], 0x00080022, "DA", b"yesterday")
    image = read_series(paths)
    assert np.array_equal(image.values, plain.values)
    assert places(image) == places(plain)

"""Which planes are one stack: what tells stacks apart splits them, what merely varies splits nothing."""

import numpy as np
import pytest

from inference.errors import UnsupportedImage
from inference.reading.spacing import Regularity
from inference.reading.study import read_series, read_study
from tests.inference.reading.files import change, copied, enhanced, item


def names(paths):
    return [image.stack for image in read_study(paths).images]


def counts(paths):
    return [len(image.frames) for image in read_study(paths).images]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"EchoTime": 20}, {"EchoTime": 90}, ["echo time 20 ms", "echo time 90 ms"]),
        ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}, ["b-value 0", "b-value 1000"]),
        ({"InversionTime": 150}, {"InversionTime": 2500}, ["inversion time 150 ms", "inversion time 2500 ms"]),
        (
            {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"]},
            {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]},
            ["no image type", "image type P"],
        ),
        ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}, None),
        ({"TriggerTime": 0}, {"TriggerTime": 40}, ["trigger time 0 ms", "trigger time 40 ms"]),
        ({"ConvolutionKernel": "B30"}, {"ConvolutionKernel": "B70"}, ["kernel B30", "kernel B70"]),
        ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, ["acquisition 1", "acquisition 2"]),
        ({"AcquisitionTime": "100000"}, {"AcquisitionTime": "100130"}, None),
        (
            {"FrameOfReferenceUID": "1.2.3"},
            {"FrameOfReferenceUID": "1.2.4"},
            ["frame of reference 1 of 2", "frame of reference 2 of 2"],
        ),
        ({"PixelSpacing": [1, 1]}, {"PixelSpacing": [2, 2]}, ["pixel spacing 1 x 1 mm", "pixel spacing 2 x 2 mm"]),
        ({"PhotometricInterpretation": "MONOCHROME1"}, {}, ["MONOCHROME1", "MONOCHROME2"]),
    ],
)
def test_planes_at_the_same_places_are_stacks_named_by_what_tells_them_apart(
    write_series, head, first, second, expected
):
    paths = write_series(head)
    others = copied(paths, "other", **second)
    for path in paths:
        change(path, **first)
    images = read_study([*others, *paths]).images
    assert [len(image.frames) for image in images] == [6, 6]
    assert {image.spacing.regularity for image in images} == {Regularity.CONSTANT}
    assert len({image.stack for image in images}) == 2
    if expected:
        assert [image.stack for image in images] == expected


def test_the_planes_of_each_echo_are_its_own(write_series, head):
    paths = write_series(head)
    others = copied(paths, "other", EchoTime=90)
    for path, plane in zip(others, head, strict=True):
        change(path, PixelData=(plane // 2).tobytes())
    for path in paths:
        change(path, EchoTime=20)
    first, second = read_study([*paths, *others]).images
    assert np.array_equal(first.values, head.astype(np.float32))
    assert np.array_equal(second.values, (head // 2).astype(np.float32))


def test_a_series_of_several_stacks_is_named_by_them_where_one_is_asked_for(write_series, head):
    paths = write_series(head)
    others = copied(paths, "other", EchoTime=90)
    for path in paths:
        change(path, EchoTime=20)
    with pytest.raises(UnsupportedImage, match="2 stacks: echo time 20 ms; echo time 90 ms"):
        read_series([*paths, *others])


def test_phases_whose_times_differ_from_place_to_place_are_taken_in_turn(write_series, head):
    paths = write_series(head)
    phases = [copied(paths, f"phase{phase}") for phase in range(3)]
    for phase, of_phase in enumerate(phases):
        for place, path in enumerate(of_phase):
            change(path, TriggerTime=phase * 40 + place * 0.7, PixelData=(head[place] + phase).tobytes())
    images = read_study([path for of_phase in phases for path in of_phase]).images
    assert [image.stack for image in images] == [f"phase {phase} of 3 by trigger time" for phase in (1, 2, 3)]
    for phase, image in enumerate(images):
        assert np.array_equal(image.values, (head + phase).astype(np.float32))


def test_b_values_with_several_directions_are_split_by_both(write_series, head):
    paths = write_series(head)
    given = [(0.0, None), (1000.0, [1, 0, 0]), (1000.0, [0, 1, 0]), (1000.0, [0, 0, 1])]
    every = []
    for number, (b_value, direction) in enumerate(given):
        attributes = {"DiffusionBValue": b_value}
        if direction:
            attributes["DiffusionGradientOrientation"] = direction
        every += copied(paths, f"direction{number}", **attributes)
    images = read_study(every).images
    assert [len(image.frames) for image in images] == [6, 6, 6, 6]
    assert images[0].stack == "b-value 0"
    assert {image.stack[:12] for image in images[1:]} == {"b-value 1000"}
    assert len({image.stack for image in images}) == 4


def test_the_echoes_and_phases_of_an_enhanced_object_are_split_by_their_macros(write_series, head):
    def groups(index, of_frame):
        of_frame.MREchoSequence = [item(EffectiveEchoTime=20.0 if index < 6 else 90.0)]
        of_frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5 * (index % 6)]

    paths = write_series(head)
    path = enhanced([*paths, *paths], groups)
    first, second = read_study([path]).images
    assert (first.stack, second.stack) == ("echo time 20 ms", "echo time 90 ms")
    assert {frame.frame_number for frame in second.frames} == {7, 8, 9, 10, 11, 12}


@pytest.mark.parametrize(
    "vary",
    [
        lambda index: {"TriggerTime": index * 31.0},
        lambda index: {"WindowCenter": 100 + index, "WindowWidth": 50},
        lambda index: {"AcquisitionTime": f"1000{index:02d}", "ContentTime": f"1000{index:02d}"},
        lambda index: {"EchoTime": 90 + 0.01 * index},
        lambda index: {"EchoTime": 10.0 * (index + 1)},
        lambda index: {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"][: 4 + index % 2]},
        lambda index: {"ImageType": ["DERIVED" if index == 3 else "ORIGINAL", "PRIMARY", "AXIAL"]},
        lambda index: {"ImageOrientationPatient": [1, 0.0009 * (index % 2), 0, -0.0009 * (index % 2), 1, 0]},
        lambda index: {"PixelSpacing": [1 + 1e-5 * index, 1]},
        lambda index: {"SliceThickness": 5 + index % 2},
        lambda index: {"AcquisitionNumber": index // 3},
        lambda index: {"RescaleSlope": 1 + index, "RescaleIntercept": 0},
    ],
)
def test_what_merely_varies_from_plane_to_plane_splits_no_series(write_series, head, vary):
    paths = write_series(head)
    for index, path in enumerate(paths):
        change(path, **vary(index))
    image = read_series(paths)
    assert image.stack == ""
    assert len(image.frames) == 6
    assert image.spacing.regularity is Regularity.CONSTANT
    assert not image.missing


def test_frames_without_places_are_one_stack(write_series, head):
    (path,) = write_series(head[:1])
    change(path, NumberOfFrames=6, PixelData=head.tobytes(), FrameTime=40)
    image = read_series([path])
    assert image.spacing.regularity is Regularity.UNKNOWN
    assert np.array_equal(image.values, head.astype(np.float32))


def test_two_views_of_one_size_are_one_stack_and_of_two_sizes_two(write_series, head):
    without = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "Modality": "DX"}
    paths = write_series(head[:2])
    for path, view in zip(paths, ("PA", "LL"), strict=True):
        change(path, ViewPosition=view, **without)
    assert names(paths) == [""]
    change(paths[1], Rows=24, Columns=40, PixelData=head[1, :24].tobytes())
    assert names(paths) == ["24 x 40 pixels", "48 x 40 pixels"]


def test_left_and_right_in_one_series_are_images_of_their_own(write_series, head):
    paths = write_series(head[:4])
    for index, path in enumerate(paths):
        change(path, ImageLaterality="LR"[index % 2], ImagePositionPatient=None, ImageOrientationPatient=None)
    images = read_study(paths).images
    assert [(image.laterality, image.stack) for image in images] == [("L", "laterality L"), ("R", "laterality R")]


def test_three_orientations_are_three_stacks_and_localisers_are_marked(write_series, head):
    paths = write_series(head[:3])
    for path, orientation in zip(paths, ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]), strict=True):
        change(path, ImageOrientationPatient=orientation, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    images = read_study(paths).images
    assert sorted(image.stack for image in images) == ["axial", "coronal", "sagittal"]
    assert all(image.localiser for image in images)


def test_a_few_planes_in_three_orientations_are_a_localiser_whatever_their_image_type_says(write_series, head):
    paths = write_series(head[:3])
    for path, orientation in zip(paths, ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]), strict=True):
        change(path, ImageOrientationPatient=orientation)
    assert all(image.localiser for image in read_study(paths).images)
    assert not read_series(paths[:1]).localiser


def test_a_localiser_among_the_images_is_a_stack_of_its_own(write_series, head):
    paths = write_series(head)
    scout = copied(paths[:1], "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    images = read_study([*paths, *scout]).images
    assert [(image.stack, image.localiser, len(image.frames)) for image in images] == [
        ("image", False, 6),
        ("localiser", True, 1),
    ]


def test_a_derived_map_among_the_images_is_a_stack_of_its_own(write_series, head):
    paths = write_series(head)
    derived = copied(paths, "adc", ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"])
    assert sorted(counts([*paths, *derived])) == [6, 6]
    assert "image type ADC" in names([*paths, *derived])


def test_parallel_stacks_moved_in_their_plane_are_two(write_series, head):
    paths = write_series(head)
    others = copied(paths, "beside")
    for index, path in enumerate(others):
        change(path, ImagePositionPatient=[120, 0, 5.0 * index])
    assert names([*paths, *others]) == ["in-plane position 0 x 0 mm", "in-plane position 120 x 0 mm"]


def test_copies_that_nothing_tells_apart_stay_one_stack_that_says_so(write_series, head):
    paths = write_series(head)
    image = read_series([*paths, *copied(paths, "again")])
    assert len(image.frames) == 12
    assert image.spacing.regularity is Regularity.DUPLICATED
    assert "same position" in image.spacing.sentence()


def test_the_phases_of_an_enhanced_object_are_stacks_of_all_their_places(write_series, head):
    """Ten phases of sixty-four places in one object."""

    def groups(index, of_frame):
        of_frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5 * (index % 64)]
        of_frame.FrameContentSequence[0].TemporalPositionIndex = index // 64 + 1

    (path,) = write_series(np.zeros((1, 2, 2), dtype=np.uint16))
    images = read_study([enhanced([path] * (64 * 10), groups)]).images
    assert [len(image.frames) for image in images] == [64] * 10
    assert images[3].stack == "temporal position 4"

"""How the planes of a stack lie: constant, with planes absent, changing, irregular, doubled, tilted."""

import numpy as np
import pytest

from inference.reading.spacing import Regularity, Spacing
from inference.reading.study import read_series, read_study
from tests.inference.reading.files import change, copied, put


@pytest.fixture
def planes(write_series):
    """Write small planes at these depths in mm."""

    def write(depths, **attributes):
        paths = write_series(np.arange(len(depths) * 16, dtype=np.uint16).reshape(-1, 4, 4), **attributes)
        for path, depth in zip(paths, depths, strict=True):
            change(path, ImagePositionPatient=[0, 0, float(depth)])
        return paths

    return write


@pytest.mark.parametrize(
    ("depths", "regularity", "missing"),
    [
        ([0, 5, 10, 15, 20], Regularity.CONSTANT, 0),
        ([0, 5, 10.3, 15.1, 20], Regularity.CONSTANT, 0),
        ([0, 5, 15, 20, 25], Regularity.CONSTANT, 1),
        ([0, 5, 10, 25, 30, 35, 40], Regularity.CONSTANT, 2),
        ([0, 5, 10, 20, 25, 35, 40, 45], Regularity.CONSTANT, 2),
        ([0, 5, 10, 20, 30, 35, 40], Regularity.CONSTANT, 2),
        ([0, 2.5, 5, 7.5, 12.5, 17.5, 22.5], Regularity.CHANGING, 0),
        ([0, 1, 2, 3, 8, 13, 18, 19, 20, 21], Regularity.CHANGING, 0),
        ([0, 5, 11.7, 13, 22], Regularity.IRREGULAR, 0),
        ([0, 5, 5, 10, 15], Regularity.DUPLICATED, 0),
        ([0, 10, 15], Regularity.IRREGULAR, 0),
        ([0], Regularity.UNKNOWN, 0),
    ],
)
def test_the_distances_of_planes_are_seen(planes, depths, regularity, missing):
    image = read_series(planes(depths))
    assert image.spacing.regularity is regularity
    assert image.spacing.missing == missing
    assert bool(image.missing) == bool(missing)


def test_a_gap_of_whole_steps_is_named_with_its_place(planes):
    image = read_series(planes([0, 5, 10, 20, 25, 30]))
    assert image.spacing.gaps == (2,)
    assert image.spacing.step_mm == 5
    assert image.missing == (
        "1 plane is absent inside the stack: whole steps of 5 mm between neighbouring planes are empty.",
    )


def test_spacing_between_slices_settles_what_a_step_is(planes):
    assert read_series(planes([0, 5, 15], SpacingBetweenSlices=5)).spacing.missing == 1


@pytest.mark.parametrize("fraction", [2, 3])
@pytest.mark.parametrize("backwards", [False, True])
def test_every_other_plane_is_missing_where_spacing_and_instance_numbers_agree(planes, fraction, backwards):
    paths = planes([0, 5, 10, 20, 25], SpacingBetweenSlices=5 / fraction)
    for path, place in zip(paths, (0, 1, 2, 4, 5), strict=True):
        change(path, InstanceNumber=1 + fraction * (5 - place if backwards else place))
    image = read_series(paths)
    assert image.spacing.regularity is Regularity.CONSTANT
    assert image.spacing.step_mm == pytest.approx(5 / fraction)
    assert image.spacing.missing == 5 * fraction + 1 - 5
    assert image.missing[0].startswith(f"{5 * fraction - 4} planes are absent inside the stack")


@pytest.mark.parametrize(
    ("declared", "numbers"),
    [
        (2.5, [1, 2, 3, 4, 5]),
        (2.5, [1, 4, 7, 10, 13]),
        (2.5, [1, 3, 5, 7, 8]),
        (2.5, [1, 3, 5, 7, 7]),
        (2.5, [None] * 5),
        (5, [1, 3, 5, 7, 9]),
        (0, [1, 3, 5, 7, 9]),
        (0.7, [1, 8, 15, 22, 29]),
        (3.3, [1, 3, 5, 7, 9]),
        (None, [1, 3, 5, 7, 9]),
    ],
)
def test_spacing_between_slices_alone_makes_no_plane_missing(planes, declared, numbers):
    attributes = {} if declared is None else {"SpacingBetweenSlices": declared}
    paths = planes([0, 5, 10, 15, 20], **attributes)
    for path, number in zip(paths, numbers, strict=True):
        change(path, InstanceNumber=number)
    image = read_series(paths)
    assert image.spacing == Spacing(Regularity.CONSTANT, 5.0)
    assert not image.missing


def test_instance_numbers_of_another_echo_are_no_missing_planes(planes):
    """Two echoes numbered in turn, and a Spacing Between Slices that is half the step."""
    paths = planes([0, 5, 10, 15, 20], SpacingBetweenSlices=2.5, EchoTime=20)
    others = copied(paths, "other", EchoTime=90)
    for place, (first, second) in enumerate(zip(paths, others, strict=True)):
        change(first, InstanceNumber=1 + 2 * place)
        change(second, InstanceNumber=2 + 2 * place)
    images = read_study([*paths, *others]).images
    assert [image.missing for image in images] == [(), ()]


def test_a_change_of_spacing_is_told_by_its_parts_and_is_no_missing_plane(planes):
    image = read_series(planes([0, 2.5, 5, 7.5, 12.5, 17.5, 22.5]))
    assert image.spacing.runs == ((0, 4), (3, 7))
    assert not image.missing
    parts = [image.part(*run) for run in image.spacing.runs]
    assert [part.spacing.step_mm for part in parts] == [2.5, 5.0]
    assert [len(part.values) for part in parts] == [4, 4]
    assert parts[1].stack == "planes 4 to 7"


@pytest.mark.parametrize("degrees", [0.0, 5.0, 25.0])
def test_a_tilted_gantry_is_measured_and_changes_no_distance(planes, degrees):
    paths = planes([0, 5, 10, 15])
    for path, depth in zip(paths, (0, 5, 10, 15), strict=True):
        change(path, ImagePositionPatient=[0, round(float(np.tan(np.deg2rad(degrees))) * depth, 4), depth])
    spacing = read_series(paths).spacing
    assert spacing.regularity is Regularity.CONSTANT
    assert spacing.step_mm == pytest.approx(5)
    assert spacing.tilt_degrees == pytest.approx(degrees, abs=0.01)
    assert spacing.tilted == bool(degrees)


def test_planes_that_jump_in_their_plane_are_irregular(planes):
    paths = planes([0, 5, 10, 15])
    change(paths[2], ImagePositionPatient=[0, 30, 10])
    assert read_series(paths).spacing.regularity is Regularity.IRREGULAR


def test_an_oblique_stack_is_constant_along_its_normal(write_series, head):
    turned = (0.9397, 0.342, 0, -0.342, 0.9397, 0)
    spacing = read_series(write_series(head, turned)).spacing
    assert spacing.regularity is Regularity.CONSTANT
    assert not spacing.tilted


def test_positions_rounded_to_a_thousandth_are_constant_and_not_tilted(planes):
    paths = planes(range(8))
    draw = np.random.default_rng(0)
    for index, path in enumerate(paths):
        rounded = draw.uniform(-1e-3, 1e-3, 3) + np.array([0, 0, index])
        change(path, ImagePositionPatient=[round(float(x), 4) for x in rounded])
    spacing = read_series(paths).spacing
    assert spacing.regularity is Regularity.CONSTANT
    assert not spacing.tilted


def test_a_received_plane_that_cannot_be_read_is_missing_by_its_reason_alone(planes):
    paths = planes([0, 5, 10, 15, 20])
    put(paths[2], 0x00281053, "DS", b"NaN")
    put(paths[2], 0x00281052, "DS", b"0")
    (image,) = read_study(paths).images
    (sentence,) = image.missing
    assert sentence.startswith("1 received image of this stack could not be read: Rescale Slope (0028,1053) is 'NaN'")

"""What scanners and archives send: each case of the collection ends as it is expected to, in-process."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.reading.account import Disposition, StudyReading
from inference.reading.checks import pixel_objections
from inference.reading.image import Image
from inference.reading.study import read_study
from tests.development_data import needs_data, needs_odd_cases
from tests.odd_cases import SAME, write_odd_cases

pytestmark = [pytest.mark.data, needs_data, needs_odd_cases]

SAME_VALUES = (*SAME, "knee_by_region")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd_cases(tmp_path_factory.mktemp("odd"))


def read(cases: Path, name: str) -> StudyReading:
    return read_study(sorted((cases / name).glob("*.dcm")))


def only(reading: StudyReading) -> Image:
    (image,) = reading.images
    return image


def stored(cases: Path, name: str = "plain") -> np.ndarray:
    """Return the values of the untouched series straight from its bytes, sorted by position."""
    datasets = sorted(map(dcmread, (cases / name).glob("*.dcm")), key=lambda ds: ds.ImagePositionPatient[2])
    planes = [
        np.frombuffer(ds.PixelData, "<u2")[: ds.Rows * ds.Columns].reshape(ds.Rows, ds.Columns) for ds in datasets
    ]
    return np.stack(planes).astype(np.float32)


def test_every_case_is_looked_at_here(cases: Path) -> None:
    names = set(json.loads((cases / "cases.json").read_text()))
    here = {
        *SAME_VALUES,
        "slope_zero",
        "flat",
        "only_noise",
        "two_character_sets",
        "slope_nan",
        "two_echoes",
        "padding_unsigned",
    }
    assert names <= here, "a case that nobody has said what is expected of"


@pytest.mark.parametrize("name", SAME_VALUES)
def test_the_values_are_those_of_the_untouched_series(cases: Path, name: str) -> None:
    if not (cases / name).is_dir():
        pytest.skip("not in the collection")
    reading = read(cases, name)
    image = only(reading)
    assert np.array_equal(image.values, stored(cases))
    assert image.missing == ()
    assert image.stack == ""
    assert pixel_objections(image) == ()
    assert reading.read == len({frame.sop_instance_uid for frame in image.frames})


@pytest.mark.parametrize(
    "name", ["philips_private_frame", "instance_number_text", "white_window", "screen_save_in_series"]
)
def test_the_places_are_those_of_the_untouched_series(cases: Path, name: str) -> None:
    plain, odd = only(read(cases, "plain")), only(read(cases, name))
    assert [frame.position_mm for frame in odd.frames] == [frame.position_mm for frame in plain.frames]
    assert (odd.plane, odd.spacing) == (plain.plane, plain.spacing)


@pytest.mark.parametrize(("name", "word"), [("raw_data_in_series", "Raw Data"), ("screen_save_in_series", "Secondary")])
def test_a_foreign_object_is_set_apart_and_named(cases: Path, name: str, word: str) -> None:
    reading = read(cases, name)
    (apart,) = [entry for entry in reading.instances if entry.disposition is Disposition.SET_APART]
    assert word in apart.reason
    assert not apart.unreadable


def test_the_series_with_commas_is_left_out_with_element_and_value(cases: Path) -> None:
    reading = read(cases, "comma_in_one_series")
    assert reading.set_apart == reading.read
    (reason,) = reading.reasons(Disposition.SET_APART)
    assert reason.startswith("Rescale Slope (0028,1053) is '1,0'")


@pytest.mark.parametrize(("name", "word"), [("slope_zero", "flat"), ("flat", "flat"), ("only_noise", "noise")])
def test_what_is_no_image_of_a_head_is_objected_to(cases: Path, name: str, word: str) -> None:
    (reason,) = pixel_objections(only(read(cases, name)))
    assert word in reason


def test_one_patient_in_two_character_sets_is_read_without_a_warning(cases: Path) -> None:
    reading = read(cases, "two_character_sets")
    assert reading.warnings == ()
    assert all(np.array_equal(image.values, stored(cases)) for image in reading.images)
    assert len(reading.images) == 2


def test_a_slope_that_is_no_number_leaves_out_its_slice_by_name(cases: Path) -> None:
    image = only(read(cases, "slope_nan"))
    plain = stored(cases)
    assert len(image.values) == len(plain) - 1
    assert all(any(np.array_equal(plane, other) for other in plain) for plane in image.values)
    (sentence,) = image.missing
    assert "Rescale Slope (0028,1053) is 'NaN'" in sentence


def test_two_echoes_are_two_stacks_named_by_their_echo_times(cases: Path) -> None:
    first, second = read(cases, "two_echoes").images
    assert (first.stack, second.stack) == ("echo time 20 ms", "echo time 90 ms")
    assert np.array_equal(first.values, stored(cases))
    assert np.array_equal(second.values, stored(cases) // 2)


def test_a_knee_by_its_region_is_a_knee(cases: Path) -> None:
    assert only(read(cases, "knee_by_region")).body_part == "KNEE"


def test_a_tilted_gantry_is_seen(cases: Path) -> None:
    spacing = only(read(cases, "gantry_tilt")).spacing
    assert spacing.tilted
    assert spacing.tilt_degrees == pytest.approx(25, abs=0.01)


def test_padding_is_background_and_never_white(cases: Path) -> None:
    image = only(read(cases, "padding_unsigned"))
    expected = stored(cases) - 1024
    outside = np.zeros(expected.shape, dtype=np.bool_)
    outside[:, :40] = True
    assert np.array_equal(image.padded, outside)
    assert np.array_equal(image.values[~outside], expected[~outside])
    assert np.array_equal(image.filled()[outside], np.full(outside.sum(), expected[~outside].min()))
    assert not image.display()[outside].any()
    assert image.display().max() == 1

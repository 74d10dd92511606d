"""The digital head: its promises about truth, repeatability and DICOM."""

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest

from inference.phantom.phantom import Lesion, Phantom, degrade, make_phantom
from reports.objects.phantom_study import write_study

DECIMAL_MM = 1e-3


@pytest.fixture(scope="module")
def head() -> Phantom:
    return make_phantom(7, rows=128, columns=128, slices=20)


def test_same_seed_gives_the_same_pixels_and_truth(head: Phantom) -> None:
    again = make_phantom(7, rows=128, columns=128, slices=20)
    assert np.array_equal(again.pixels, head.pixels)
    assert np.array_equal(again.masks, head.masks)
    assert again.lesions == head.lesions


def test_another_seed_gives_another_head(head: Phantom) -> None:
    other = make_phantom(8, rows=128, columns=128, slices=20)
    assert not np.array_equal(other.pixels, head.pixels)
    assert other.lesions != head.lesions


def test_pixels_lie_in_display_range(head: Phantom) -> None:
    assert head.pixels.dtype == np.float32
    assert head.masks.shape == head.pixels.shape
    assert float(head.pixels.min()) >= 0
    assert float(head.pixels.max()) <= 1


def test_a_lesion_free_head_has_no_truth() -> None:
    head = make_phantom(7, lesions=0, rows=64, columns=64, slices=8)
    assert not head.masks.any()
    assert head.lesions == ()
    assert head.lesion_slices == ()


def test_the_lesion_lies_where_it_is_said_to_lie() -> None:
    lesion = Lesion(centre_mm=(28.0, 10.0, 20.0), radii_mm=(14.0, 18.0, 15.0), contrast=0.8)
    head = make_phantom(3, lesions=[lesion], slices=22)
    where = np.argwhere(head.masks).mean(axis=0) * head.spacing_mm + np.array(head.origin_mm)[::-1]
    assert np.allclose(where[::-1], lesion.centre_mm, atol=6.0)
    assert len(head.lesion_slices) >= 3


def test_the_lesion_is_brighter_than_the_same_head_without_it() -> None:
    lesion = Lesion(centre_mm=(28.0, 10.0, 20.0), radii_mm=(14.0, 18.0, 15.0), contrast=0.8)
    ill, well = (make_phantom(3, lesions=found, rows=128, columns=128, noise=0.0) for found in ([lesion], []))
    change = ill.pixels - well.pixels
    assert float(change[ill.masks].mean()) > 0.05
    assert float(np.abs(change[:2]).max()) < 1e-3  # far from the lesion nothing changes


def test_the_brightest_pixels_are_no_lesion() -> None:
    for seed in range(4):
        head = make_phantom(seed, rows=128, columns=128)
        bright = head.pixels >= np.quantile(head.pixels, 0.995)
        assert float((bright & head.masks).sum() / bright.sum()) < 0.5


def test_a_lesion_outside_the_brain_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the brain"):
        make_phantom(1, lesions=[Lesion((200.0, 0.0, 0.0), (5.0, 5.0, 5.0), 0.5)], rows=64, columns=64)


@pytest.mark.parametrize("changes", [{"slices": 2}, {"rows": 8}])
def test_a_grid_too_small_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        make_phantom(1, **changes)


def test_a_lesion_without_size_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Lesion((0.0, 0.0, 0.0), (0.0, 5.0, 5.0), 0.5)


def test_degrading_repeats_and_keeps_the_truth(head: Phantom) -> None:
    worse, again = (degrade(head, noise=0.03, motion=1.0, seed=2) for _ in range(2))
    assert np.array_equal(worse.pixels, again.pixels)
    assert worse.masks is head.masks
    assert worse.lesions == head.lesions
    assert float(np.abs(worse.pixels - head.pixels).mean()) > 0.005


def test_no_degradation_changes_nothing(head: Phantom) -> None:
    assert np.array_equal(degrade(head).pixels, head.pixels)


def test_motion_ghosts_into_the_air_around_the_head(head: Phantom) -> None:
    air = (slice(8, 12), slice(0, 10), slice(None))
    assert degrade(head, motion=2.0).pixels[air].mean() > head.pixels[air].mean()


def test_negative_degradation_is_refused(head: Phantom) -> None:
    with pytest.raises(ValueError, match="negative"):
        degrade(head, noise=-1.0)


def test_same_seed_gives_the_same_bytes(head: Phantom, tmp_path: Path) -> None:
    first, second = write_study(head, tmp_path / "a"), write_study(head, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_another_study_key_gives_other_uids(head: Phantom, tmp_path: Path) -> None:
    first = pydicom.dcmread(write_study(head, tmp_path / "a")[0])
    second = pydicom.dcmread(write_study(head, tmp_path / "b", study_key="follow-up")[0])
    for role in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert first[role].value != second[role].value
        assert str(first[role].value).startswith("2.25.")


def test_the_written_geometry_is_the_phantoms(head: Phantom, tmp_path: Path) -> None:
    images = [pydicom.dcmread(path) for path in write_study(head, tmp_path)]
    assert {image.SeriesInstanceUID for image in images} == {images[0].SeriesInstanceUID}
    heights = [float(image.ImagePositionPatient[2]) for image in images]
    assert all(abs(b - a - head.spacing_mm[0]) < DECIMAL_MM for a, b in pairwise(heights))
    assert np.allclose([float(v) for v in images[0].ImagePositionPatient], head.origin_mm, atol=DECIMAL_MM)
    assert np.allclose([float(v) for v in images[0].PixelSpacing], head.spacing_mm[1:], atol=DECIMAL_MM)


def test_the_written_pixels_are_the_phantoms_to_a_grey_level(head: Phantom, tmp_path: Path) -> None:
    images = [pydicom.dcmread(path) for path in write_study(head, tmp_path)]
    stored = np.stack([image.pixel_array for image in images]) / 4095
    assert float(np.abs(stored - head.pixels).max()) <= 0.5 / 4095 + 1e-6


def test_the_study_names_a_phantom_and_a_flair_series(head: Phantom, tmp_path: Path) -> None:
    image = pydicom.dcmread(write_study(head, tmp_path, patient_id="PHANTOM-0042")[0])
    assert image.PatientID == "PHANTOM-0042"
    assert image.BurnedInAnnotation == "NO"
    assert "FLAIR" in image.SeriesDescription
    assert "FLAIR" in image.ProtocolName


def test_dciodvfy_finds_no_error(head: Phantom, tmp_path: Path) -> None:
    validator = shutil.which("dciodvfy") or shutil.which("dciodvfy", path=str(Path(sys.executable).parent))
    if validator is None:
        pytest.skip("dciodvfy is not installed")
    path = write_study(head, tmp_path)[0]
    said = subprocess.run([validator, str(path)], capture_output=True, text=True, check=False)
    assert not [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]

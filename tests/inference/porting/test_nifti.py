"""A network trained on NIfTI sees here what MONAI's NibabelReader gives it of a NIfTI made of the same study."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from inference.bundle.bundle import Bundle
from inference.bundle.digests import digest_files
from inference.porting.check import Checked, check
from inference.porting.nifti import beside_nifti
from inference.porting.proposal import propose
from inference.prepare import prepare
from inference.selection import select_stacks
from node.commands.image_study import write_image
from tests.inference.bundle.types import studies
from tests.inference.bundle.types.studies import Study
from tests.inference.porting.zoo_like import CLASSIFIER, READING, write_zoo_like

ORIENTED = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
SPACED = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.2], "mode": "bilinear"}
"""No size of a result lies between two whole numbers: the float32 of a NIfTI's affine would decide which it is."""
OBLIQUE = partial(studies.ct_volume, orientation=studies.OBLIQUE)
SCALED = {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -200, "a_max": 250, "b_min": 0, "b_max": 1}
CUT = {"_target_": "ResizeWithPadOrCropd", "keys": "image", "spatial_size": [24, 28, 12]}
VOLUME = {**CLASSIFIER, "spatial_dims": 3, "block_config": [1, 1]}
READ = ({**READING[0], "reader": "NibabelReader"}, READING[1])


def proposed(folder: Path, *steps: Mapping[str, Any], network: Mapping[str, Any] = VOLUME, **said: Any) -> Bundle:
    image = {"modality": "CT", "spatial_shape": []}
    write_zoo_like(folder, network=network, transforms=steps, image=image, **said)
    (folder / "bundle.toml").write_text(propose(folder, {}).text)
    return Bundle(folder, digest_files(folder))


@pytest.mark.parametrize(
    ("study", "steps"),
    [
        (studies.ct_volume, (SPACED,)),
        (partial(studies.ct_volume, orientation=studies.CORONAL), (SPACED,)),
        (partial(studies.ct_volume, orientation=studies.MIRRORED), (SPACED,)),
        (OBLIQUE, ()),
    ],
    ids=["axial", "coronal", "mirrored", "oblique"],
)
def test_a_volume_is_the_same_after_orientation_and_spacing(
    study: Callable[[Path], Study], steps: tuple[Mapping[str, Any], ...], tmp_path: Path
) -> None:
    bundle = proposed(tmp_path / "bundle", *READ, ORIENTED, *steps, SCALED, CUT)
    (image,) = select_stacks(study(tmp_path / "study").files, bundle).reading.images
    given = prepare(bundle, image)
    beside = beside_nifti(bundle, image, given)
    assert beside.input_difference <= 1e-5
    assert beside.logit_difference <= 1e-4
    moved = beside_nifti(
        bundle, image, given.__class__(given.tensor.roll(1, 2), given.to_source, given.source_shape, True)
    )
    assert not moved.is_same


def lines(bundle: Bundle, tmp_path: Path, *study: Path) -> dict[str, Checked]:
    return {
        entry.part: entry for entry in check(bundle.folder, lambda image: write_image(image, tmp_path / "s"), study)
    }


@pytest.mark.parametrize(
    ("reading", "said"), [(READ, {}), (READING, {"data_type": "nibabel"})], ids=["by its reader", "by its metadata"]
)
def test_a_check_has_a_second_line_for_a_bundle_that_reads_nifti(
    reading: tuple[Mapping[str, Any], ...], said: dict[str, str], tmp_path: Path
) -> None:
    bundle = proposed(tmp_path / "bundle", *reading, ORIENTED, SPACED, SCALED, CUT, **said)
    checked = lines(bundle, tmp_path, *studies.ct_volume(tmp_path / "study").files)
    for name in ("synthetic study", "study"):
        first, second = checked[f"{name}, beside MONAI"], checked[f"{name}, beside MONAI on NIfTI"]
        assert (first.state, second.state) == ("good", "good")
        assert "PydicomReader" in first.sentence
        assert "NibabelReader on a NIfTI of the same stack" in second.sentence


def test_without_orientation_the_rows_stand_the_other_way_round_and_a_note_says_so(tmp_path: Path) -> None:
    resized = {"_target_": "Resized", "keys": "image", "spatial_size": [48, 40]}
    bundle = proposed(tmp_path / "bundle", *READ, SCALED, resized, network=CLASSIFIER)
    second = lines(bundle, tmp_path)["synthetic study, beside MONAI on NIfTI"]
    assert second.state == "note"
    assert "Axis 1 runs the other way. The preprocessing has no Orientation" in second.sentence


def test_a_bundle_that_reads_dicom_has_no_second_line(tmp_path: Path) -> None:
    bundle = proposed(tmp_path / "bundle", *READING, ORIENTED, SPACED, SCALED, CUT, data_type="dicom")
    assert not [part for part in lines(bundle, tmp_path) if "NIfTI" in part]


def test_a_grid_that_spacing_begins_elsewhere_in_an_oblique_nifti_is_a_note_and_no_fault(tmp_path: Path) -> None:
    bundle = proposed(tmp_path / "bundle", *READ, ORIENTED, SPACED, SCALED, CUT)
    checked = lines(bundle, tmp_path, *OBLIQUE(tmp_path / "study").files)
    assert checked["study, beside MONAI"].state == "good"
    second = checked["study, beside MONAI on NIfTI"]
    assert second.state == "note"
    assert second.sentence.endswith("begins its grid elsewhere, by less than a voxel.")

"""A check says everything of a bundle at once, and holds its input and its logits beside MONAI's own."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.bundle.bundle import Bundle
from inference.bundle.digests import digest_files
from inference.porting.beside import NotComparable, beside_monai
from inference.porting.check import Checked, check
from inference.porting.proposal import propose
from inference.porting.seal import seal
from inference.porting.synthetic import synthetic_images
from inference.prepare import prepare
from inference.reading.image import Image
from inference.reading.study import read_series
from node.commands.image_study import write_image
from tests.inference.porting.zoo_like import CLASSIFIER, READING, RESIZED, write_zoo_like

VOLUME = {
    "_target_": "DenseNet", "spatial_dims": 3, "in_channels": 1, "out_channels": "@classes", "init_features": 4,
    "growth_rate": 2, "block_config": [1, 1],
}  # fmt: skip
SCALED = {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 4096, "b_min": 0, "b_max": 1}
CT = (
    *READING,
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, 2.0]},
    {**SCALED, "a_min": -160, "a_max": 240, "clip": True},
    {"_target_": "ResizeWithPadOrCropd", "keys": "image", "spatial_size": [40, 36, 24]},
)  # fmt: skip


def manifested(folder: Path, **given: str) -> Path:
    (folder / "bundle.toml").write_text(propose(folder, given).text)
    return folder


def run(folder: Path, scratch: Path, *study: Path) -> dict[str, list[Checked]]:
    checked: dict[str, list[Checked]] = {}
    for entry in check(folder, lambda image: write_image(image, scratch / "synthetic"), study):
        checked.setdefault(entry.part, []).append(entry)
    return checked


def wrong(checked: dict[str, list[Checked]]) -> dict[str, str]:
    return {part: entry.sentence for part, found in checked.items() for entry in found if entry.state == "wrong"}


def test_a_bundle_of_the_zoo_is_checked_sealed_and_equal_to_monais_own(tmp_path: Path) -> None:
    folder = manifested(write_zoo_like(tmp_path / "head"))
    checked = run(folder, tmp_path)
    assert not wrong(checked)
    (beside,) = checked["synthetic study, beside MONAI"]
    assert beside.state == "good"
    assert "PydicomReader" in beside.sentence
    assert seal(folder)


def test_a_volume_in_hounsfield_units_is_equal_to_monais_own(tmp_path: Path) -> None:
    folder = manifested(
        write_zoo_like(tmp_path / "chest", network=VOLUME, transforms=CT, image={"modality": "CT", "spatial_shape": []})
    )
    checked = run(folder, tmp_path)
    assert not wrong(checked)
    assert checked["synthetic study, beside MONAI"][0].state == "good"


@pytest.mark.parametrize(
    "image",
    [
        {"num_channels": 4, "channel_def": {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"}},
        {"num_channels": 5, "channel_def": {}},
        {"num_channels": 3, "modality": "endoscopy", "channel_def": {"0": "R", "1": "G", "2": "B"}},
        {"num_channels": 3, "modality": "mammogram", "channel_def": {"0": "image"}},
    ],
    ids=["series", "neighbours", "colour", "grey as RGB"],
)
def test_channels_of_every_kind_are_equal_to_monais_own(tmp_path: Path, image: dict[str, Any]) -> None:
    first = {**READING[1], "channel_dim": -1} if image["num_channels"] == 3 else READING[1]
    resized = {"_target_": "Resized", "keys": "image", "spatial_size": [48, 40]}
    network = {**CLASSIFIER, "in_channels": image["num_channels"]}
    folder = manifested(
        write_zoo_like(tmp_path / "head", network=network, transforms=(READING[0], first, resized), image=image)
    )
    checked = run(folder, tmp_path)
    assert not wrong(checked)
    assert checked["synthetic study, beside MONAI"][0].state == "good"


def test_a_study_is_tried_and_the_bundles_objections_to_it_are_said(
    tmp_path: Path, write_series: Callable[..., list[Path]]
) -> None:
    folder = manifested(write_zoo_like(tmp_path / "head"))
    stored = np.random.default_rng(1).integers(0, 900, (2, 60, 50)).cumsum(axis=1) // 20
    assert run(folder, tmp_path, *write_series(stored))["study, beside MONAI"][0].state == "good"
    assert "modality CR, not MR" in wrong(run(folder, tmp_path, *write_series(stored, Modality="CR")))["study"]


def loaded(folder: Path, scratch: Path) -> tuple[Bundle, Image]:
    bundle = Bundle(folder, digest_files(folder))
    paths = write_image(next(synthetic_images(bundle.manifest)), scratch / "files")
    return bundle, read_series(paths)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda image: replace(image, values=image.values[:, ::-1]), "Axis 1 runs the other way."),
        (lambda image: replace(image, values=image.values * 1.01), ""),
    ],
)
def test_another_input_than_monais_is_seen_and_named(
    tmp_path: Path, change: Callable[[Image], Image], hint: str
) -> None:
    transforms = (*READING, SCALED)
    folder = manifested(write_zoo_like(tmp_path / "head", transforms=transforms, image={"spatial_shape": [128, 112]}))
    bundle, image = loaded(folder, tmp_path)
    assert beside_monai(bundle, image, prepare(bundle, image)).is_same
    compared = beside_monai(bundle, image, prepare(bundle, change(image)))
    assert not compared.is_same
    assert compared.hint == hint


def test_a_manifest_that_asks_for_another_input_is_not_compared(tmp_path: Path) -> None:
    folder = manifested(write_zoo_like(tmp_path / "head"))
    toml = folder / "bundle.toml"
    toml.write_text(toml.read_text().replace("[input]", '[input]\nvalues = "display"'))
    bundle, image = loaded(folder, tmp_path)
    with pytest.raises(NotComparable, match="values = 'display'"):
        beside_monai(bundle, image, prepare(bundle, image))


def test_an_input_that_is_nearly_constant_is_called_wrong(tmp_path: Path) -> None:
    pressed = {**SCALED, "a_min": -1e6, "a_max": 1e6}
    folder = manifested(write_zoo_like(tmp_path / "head", transforms=(*RESIZED[:3], pressed)))
    assert "nearly constant" in wrong(run(folder, tmp_path))["synthetic study"]


def test_every_fault_is_said_at_once(tmp_path: Path) -> None:
    folder = manifested(write_zoo_like(tmp_path / "head"))
    toml = folder / "bundle.toml"
    toml.write_text(toml.read_text().replace('kind = "slices"', 'kind = "slides"'))
    path = folder / "configs" / "inference.json"
    tree = json.loads(path.read_text())
    tree["network_def"]["in_channels"] = "$os.environ"
    tree["preprocessing"]["transforms"].append({"_target_": "RandFlipd"})
    path.write_text(json.dumps(tree))
    faults = wrong(run(folder, tmp_path))
    assert "kind" in faults["manifest"]
    assert "os.environ" in faults["configuration"]
    assert "draws at random" in faults["configuration"]


def test_a_folder_without_a_manifest_is_told_how_to_get_one(tmp_path: Path) -> None:
    faults = wrong(run(write_zoo_like(tmp_path / "head"), tmp_path))
    assert "heatproof bundle init head" in faults["manifest"]


def test_a_wrong_argument_of_a_transform_is_found_before_the_first_patient(tmp_path: Path) -> None:
    folder = manifested(write_zoo_like(tmp_path / "head"))
    path = folder / "configs" / "inference.json"
    path.write_text(
        path.read_text().replace('"ScaleIntensityd", "keys": "image"', '"ScaleIntensityd", "keys": "imgae"')
    )
    assert "ScaleIntensityd" in wrong(run(folder, tmp_path))["preprocessing"]


def test_weights_that_do_not_fit_are_said_beside_what_is_good(tmp_path: Path) -> None:
    folder = manifested(write_zoo_like(tmp_path / "head"))
    other = write_zoo_like(tmp_path / "other", network={**CLASSIFIER, "init_features": 6})
    (folder / "models" / "model.pt").write_bytes((other / "models" / "model.pt").read_bytes())
    checked = run(folder, tmp_path)
    assert checked["manifest"][0].state == "good"
    assert "does not fit network_def" in wrong(checked)["weights"]

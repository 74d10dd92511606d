"""A localiser of any head: which channels are findings is said, and one that marks the background never witnesses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from inference.bundle.bundle import Bundle
from inference.bundle.digests import digest_files
from inference.errors import BundleRefused
from inference.porting.check import check
from inference.porting.proposal import propose
from inference.porting.seal import seal, tried_input
from inference.prepare import prepare
from node.commands.image_study import write_image
from tests.inference.porting.zoo_like import READING, write_zoo_like

SCALED = {"_target_": "ScaleIntensityd", "keys": "image"}
WEIGHT, BIAS = [-60.0, 60.0, 0.0], [51.0, -51.0, -90.0]
"""Of a convolution of one pixel: channel 0 the background, channel 1 what is bright, channel 2 nothing."""


def with_localiser(folder: Path, keys: str, bias: list[float] = BIAS) -> Path:
    """Write a bundle whose localiser marks the brightest pixels in its channel 1, with these keys of its table."""
    write_zoo_like(folder, transforms=(*READING, SCALED), image={"spatial_shape": [128, 112]})
    toml = propose(folder, {}).text
    (folder / "bundle.toml").write_text(
        f'{toml}\n[localiser]\nfile = "models/localiser.safetensors"\nnetwork = "localiser_def"\n{keys}\n'
    )
    path = folder / "configs" / "inference.json"
    definition = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 3, "kernel_size": 1}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"localiser_def": definition}))
    weights = {"weight": torch.tensor(WEIGHT).reshape(3, 1, 1, 1), "bias": torch.tensor(bias)}
    save_file(weights, folder / "models" / "localiser.safetensors")
    return folder


@pytest.mark.parametrize("keys", ['activation = "softmax"\nchannels = [1]', "channels = [1, 2]"])
def test_a_localiser_marks_the_source_pixel_that_it_was_built_to_mark(tmp_path: Path, keys: str) -> None:
    folder = with_localiser(tmp_path / "head", keys)
    seal(folder)
    bundle = Bundle(folder, digest_files(folder))
    image, _ = tried_input(bundle)
    image.values[1] = np.minimum(image.values[1], 2000)
    image.values[1, 71, 23] = 4095
    given = prepare(bundle, image)
    localiser = bundle.localiser()
    assert localiser is not None
    marked = bundle.marked(localiser.module(given.tensor))[1].numpy()
    on_source = given.to_frame(marked, 1)
    assert np.argwhere(on_source > 0.5).tolist() == [[71, 23]]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("", r"gives 3 channels, and localiser\.channels names none"),
        ("channels = [3]", r"gives 3 channels, and localiser\.channels names \[3\]"),
        ("channels = [0]", r"marks \d+% of the air in a synthetic image"),
        ('activation = "softmax"\nchannels = [0, 1]', "marks 100% of the air in a synthetic image"),
        ('activation = "softmax"', "a localiser with softmax needs channels"),
    ],
)
def test_a_localiser_that_could_mark_the_background_is_not_sealed(tmp_path: Path, keys: str, reason: str) -> None:
    with pytest.raises(BundleRefused, match=reason):
        seal(with_localiser(tmp_path / "head", keys))


def test_a_channel_of_the_air_alone_is_known_as_the_background(tmp_path: Path) -> None:
    """It marks less than half of the image."""
    folder = with_localiser(tmp_path / "head", "channels = [0, 1]", [9.0, -51.0, -90.0])
    with pytest.raises(BundleRefused, match=r"marks \d+% of the air in a synthetic image as a finding"):
        seal(folder)


def test_a_check_says_how_much_of_the_air_a_localiser_marks(tmp_path: Path) -> None:
    folder = with_localiser(tmp_path / "head", "channels = [1]")
    checked = list(check(folder, lambda image: write_image(image, tmp_path / "files")))
    (seen,) = [entry for entry in checked if entry.part == "localiser"]
    assert (seen.state, seen.sentence.endswith("marks 0% of the air around a body.")) == ("good", True)

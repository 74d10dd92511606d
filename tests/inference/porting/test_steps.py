"""The image after every transform of the preprocessing, and its pictures."""

from pathlib import Path

import numpy as np
from PIL import Image as Picture

from inference.bundle.bundle import Bundle
from inference.bundle.digests import digest_files
from inference.porting.proposal import propose
from inference.porting.seal import tried_input
from inference.porting.steps import steps_of
from reports.picture.steps import write_steps
from tests.inference.porting.zoo_like import write_zoo_like


def test_every_transform_is_shown_with_what_it_makes(tmp_path: Path) -> None:
    folder = write_zoo_like(tmp_path / "head")
    (folder / "bundle.toml").write_text(propose(folder, {}).text)
    bundle = Bundle(folder, digest_files(folder))
    image, given = tried_input(bundle)
    steps = steps_of(bundle, image)
    assert [step.name for step in steps] == ["as read", "EnsureChannelFirstd", "Resized", "ScaleIntensityd"]
    assert np.array_equal(steps[-1].values, given.tensor[len(given.tensor) // 2].numpy())
    assert steps[2].values.shape == (1, 48, 40)
    assert "spatial_size = " in steps[2].arguments
    assert steps[-1].sentence.startswith("1 x 48 x 40")
    assert "values 0 to 1" in steps[-1].sentence
    write_steps(steps, tmp_path / "steps.png")
    with Picture.open(tmp_path / "steps.png") as sheet:
        assert sheet.height > 300 * len(steps)
        assert len(sheet.convert("L").getcolors(1 << 16) or []) > 50

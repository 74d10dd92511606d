"""A localiser of three dimensions: what it marks is found again in the source, and no background witnesses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.bundle.bundle import Bundle
from inference.errors import BundleRefused
from inference.prepare import prepare
from inference.selection import select_stacks
from tests.inference.bundle.types import studies
from tests.inference.bundle.types.making import marking, write
from tests.inference.bundle.types.model_types import TYPES
from tests.inference.bundle.types.studies import Study


@dataclass(frozen=True)
class Head:
    """The last layer of a localiser, and nothing before it: a convolution of one voxel."""

    type: str
    activation: str
    channels: Sequence[int]
    weight: Sequence[float]
    """Of the first channel of the input, for each channel of the output."""
    bias: Sequence[float]


ORGAN = Head("ct_volume", "softmax", [1], [-40.0, 40.0], [30.0, -30.0])
"""As a network for one organ in CT: channel 0 the background, channel 1 what is brighter than 0.75."""
TUMOUR = Head("four_mr_sequences", "sigmoid", [0, 1, 2], [3.0, 3.0, 0.0], [-18.0, -21.0, -30.0])
"""As a network for parts of a tumour in four sequences: each channel by itself, none is the background."""
TUMOUR_AND_BACKGROUND = replace(TUMOUR, weight=[-3.0, 3.0, 0.0], bias=[9.0, -21.0, -30.0])


def with_localiser(folder: Path, head: Head) -> Bundle:
    kind = TYPES[head.type]
    channels = kind.input.get("channels", 1)
    count = len(channels) if isinstance(channels, list) else channels
    configuration, network = marking(kind)
    outputs = len(head.bias)
    configuration += f"""
localiser_def: {{_target_: torch.nn.Conv3d, in_channels: {count}, out_channels: {outputs}, kernel_size: 1}}
"""
    weight = torch.zeros(outputs, count, 1, 1, 1)
    weight[:, 0, 0, 0, 0] = torch.tensor(head.weight)
    (folder / "models").mkdir(parents=True)
    torch.save({"weight": weight, "bias": torch.tensor(head.bias)}, folder / "models" / "localiser.pt")
    entry = {
        "file": "models/localiser.pt", "network": "localiser_def", "activation": head.activation,
        "channels": list(head.channels),
    }  # fmt: skip
    return write(folder, replace(kind, manifest={"localiser": entry}), [network], configuration, layer="1")


STUDIES = {
    "axial": (ORGAN, studies.ct_volume),
    "oblique": (ORGAN, partial(studies.ct_volume, orientation=studies.OBLIQUE)),
    "coronal": (ORGAN, partial(studies.ct_volume, orientation=studies.CORONAL)),
    "mirrored": (ORGAN, partial(studies.ct_volume, orientation=studies.MIRRORED)),
    "four series": (TUMOUR, studies.mr_sequences),
}


@pytest.mark.parametrize(("head", "study"), STUDIES.values(), ids=STUDIES)
def test_a_voxel_that_a_localiser_marks_comes_back_to_its_place_in_the_source(
    head: Head, study: Callable[[Path], Study], tmp_path: Path
) -> None:
    """Through Orientation, Spacing, a crop that follows the image, a flip and a pad, to one voxel."""
    given = study(tmp_path / "study")
    bundle = with_localiser(tmp_path / "bundle", head)
    (image,) = select_stacks(given.files, bundle).reading.images
    seen = prepare(bundle, image)
    localiser = bundle.localiser()
    assert localiser is not None
    with torch.inference_mode():
        marked = bundle.marked(localiser.module(seen.tensor))[0].numpy()
    on_source = np.stack([seen.to_frame(marked, frame) for frame in range(len(image.frames))])
    plane = next(i for i, frame in enumerate(image.frames) if frame.path == given.files[given.spot[0]])
    places = np.argwhere(on_source > 0.5)
    assert 0 < len(places) < 0.02 * on_source.size
    assert np.abs(places.mean(axis=0) - (plane, *given.spot[1:])).max() <= 1


@pytest.mark.parametrize(
    "head",
    [
        replace(ORGAN, channels=[0]),
        replace(ORGAN, channels=[0, 1]),
        replace(ORGAN, activation="sigmoid", channels=[0, 1]),
        replace(TUMOUR_AND_BACKGROUND, channels=[0]),
        TUMOUR_AND_BACKGROUND,
    ],
    ids=["softmax", "softmax, all", "sigmoid", "four series", "four series, all"],
)
def test_a_volume_whose_background_is_called_a_finding_is_not_sealed(head: Head, tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match=r"models/localiser\.pt marks \d+% of the air"):
        with_localiser(tmp_path / "bundle", head)

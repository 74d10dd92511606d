"""What the oracles are asked: two small MONAI networks of fixed weights, and eight slices of phantoms."""

from functools import cache
from pathlib import Path

import torch
from monai.networks.nets import DenseNet, ResNet
from safetensors.torch import load_file
from torch import nn

from inference.phantom.phantom import make_phantom
from tests.inference.conditions import disturbed, disturbed_network

SIZE = 64
LAYERS = {"densenet": "features.transition1.conv", "resnet": "layer3"}
"""A layer with an 8 x 8 or 16 x 16 grid in each network."""
WEIGHTS = Path(__file__).with_name("weights")
"""What ``fixed_weights`` has trained."""


def architecture(name: str, *, inplace: bool = True) -> nn.Module:
    """Make one of the networks, untrained and seeded; ``inplace`` only matters to oracles that hook every ReLU."""
    torch.manual_seed(0)
    if name == "densenet":
        made: nn.Module = DenseNet(2, 1, 3, init_features=12, growth_rate=8, block_config=(2, 2), bn_size=2)
    else:
        made = ResNet(
            block="basic", layers=[1, 1, 1, 1], block_inplanes=[8, 12, 16, 24], spatial_dims=2, n_input_channels=1,
            num_classes=3, conv1_t_size=3,
        )  # fmt: skip
    if not inplace:
        for module in made.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
    return made.eval()


@cache
def slices() -> tuple[torch.Tensor, torch.Tensor]:
    """Return 72 phantom slices, (N, 1, 64, 64), and what is on them: 0 nothing, 1 a lesion on the left, 2 on the right.

    ``explained_slices`` gives eight of them.
    """
    pixels, labels = [], []
    for seed in range(12):
        phantom = make_phantom(seed, rows=SIZE, columns=SIZE, slices=14)
        shown = phantom.masks.sum(axis=(1, 2))
        left = phantom.masks[:, :, : SIZE // 2].sum(axis=(1, 2)) * 2 > shown
        with_lesion = shown.argsort()[::-1][:3]
        without = [index for index in range(3, 14) if not shown[index]][:3]
        for index in (*with_lesion, *without):
            pixels.append(torch.from_numpy(phantom.pixels[index]))
            labels.append(0 if index in without else 2 - int(left[index]))
    return torch.stack(pixels)[:, None], torch.tensor(labels)


def explained_slices() -> torch.Tensor:
    """Return the eight slices that are explained, (8, 1, 64, 64): five with a lesion, three without."""
    return slices()[0][[0, 7, 13, 18, 26, 33, 46, 51]].clone()


def images() -> torch.Tensor:
    """Return the eight slices that are explained, as the tests see them: with the noise that is asked for."""
    return disturbed(explained_slices())


def trained(name: str, *, inplace: bool = True) -> nn.Module:
    """Make one of the networks with its weights, in evaluation mode, without gradients of its weights."""
    model = architecture(name, inplace=inplace)
    model.load_state_dict(load_file(WEIGHTS / f"{name}.safetensors"))
    return disturbed_network(model).eval().requires_grad_(False)


def predicted(name: str) -> torch.Tensor:
    """Return the class the trained network finds on each of the eight images."""
    with torch.no_grad():
        return trained(name)(images()).argmax(dim=1)

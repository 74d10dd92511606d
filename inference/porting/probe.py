"""What a network shows of itself when it is built and one blank input goes through it."""

from dataclasses import dataclass

import torch
from torch import nn

from inference.bundle.bundle import first_output
from inference.errors import BundleRefused
from inference.saliency.engine.layers import feature_layers

SIDES = {2: 224, 3: 96}
"""Side in pixels of the blank input where nothing says what the network takes, by dimensions."""
MOST_VALUES = 1 << 25
"""Of a blank input."""
FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_CONVOLUTIONS = {nn.Conv2d: 2, nn.Conv3d: 3, nn.ConvTranspose2d: 2, nn.ConvTranspose3d: 3}
_SEQUENCE_PARTS = ("SABlock", "MultiheadAttention", "TransformerBlock", "CrossAttentionBlock", "EncoderBlock")


@dataclass(frozen=True)
class Probed:
    """What one pass showed."""

    dimensions: int
    """2 or 3."""
    channels: int
    """Of the input, as the first layer takes it."""
    spatial_size: tuple[int, ...]
    """Of the blank input."""
    output: tuple[int, ...]
    """Shape of the output, without the first axis."""
    outputs: int
    """How many it gives."""
    layer: str
    """Where class activation maps are taken from: the last feature map; empty where there is none of use."""
    is_transformer: bool
    """Whether it works on a sequence of patches, which has no feature map after its first layer."""

    @property
    def classes(self) -> int:
        """Number of classes; 0 where it gives something else than logits."""
        return self.output[0] if len(self.output) > 0 and all(size == 1 for size in self.output[1:]) else 0

    @property
    def is_mask(self) -> bool:
        """Whether it gives a value for every pixel, or for blocks of pixels."""
        return len(self.output) == self.dimensions + 1 and max(self.output[1:]) > 1


def probe(network: nn.Module, spatial_size: tuple[int, ...], where: str) -> Probed:
    """Pass a blank input through a network.

    Args:
        network: in evaluation mode.
        spatial_size: of its input; of another number of dimensions than the network's: not known.
        where: how messages name it.

    Raises:
        BundleRefused: it has no convolution to tell its input by, does not take such an input, or gives no tensor.
    """
    dimensions, channels = input_of(network, where)
    size = spatial_size if len(spatial_size) == dimensions else (SIDES[dimensions],) * dimensions
    blank = torch.zeros(1, channels, *size)
    if blank.numel() > MOST_VALUES:
        raise BundleRefused(f"{where} takes inputs of {size}: more than {MOST_VALUES} values.")
    try:
        with torch.no_grad():
            given = network(blank)
            layers = feature_layers(network, blank)
    except FAILURES as error:
        raise BundleRefused(f"{where} does not take inputs of shape {tuple(blank.shape)}: {_short(error)}.") from error
    output = first_output(given)
    if not isinstance(output, torch.Tensor):
        kind = type(output).__name__
        raise BundleRefused(
            f"{where} gives a {kind}, where a tensor of logits is needed: (1, classes).",
            cure="Networks that detect objects, or return dictionaries, give no class for an image.",
        )
    is_transformer = any(type(module).__name__ in _SEQUENCE_PARTS for module in network.modules())
    outputs = len(given) if isinstance(given, (list, tuple)) else 1
    layer = "" if is_transformer or not layers else list(layers)[-1]
    return Probed(dimensions, channels, size, tuple(output.shape[1:]), outputs, layer, is_transformer)


def input_of(network: nn.Module, where: str) -> tuple[int, int]:
    """Return dimensions and channels of what a network takes, by its first convolution.

    Raises:
        BundleRefused: it has none.
    """
    for module in network.modules():
        for kind, dimensions in _CONVOLUTIONS.items():
            if isinstance(module, kind):
                return dimensions, int(str(module.in_channels))
    for weights in network.parameters():  # of a TorchScript program, whose modules have no class here
        if weights.ndim in (4, 5):
            return weights.ndim - 2, weights.shape[1]
    raise BundleRefused(f"{where} has no convolution: it is no network of 2D or 3D images that is known here.")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]

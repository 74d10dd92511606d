"""The architectures companions are made of: MONAI's networks by name, sized to the primary and to the memory."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from monai.networks import nets
from torch import nn

from inference.bundle.manifest import Manifest
from inference.companions.settings import AUTO
from inference.errors import UnknownName

NETS = "monai.networks.nets."
Definition = dict[str, Any]
"""As it stands in a bundle's configuration."""
MASTER_BYTES = 16
"""Of one parameter while it is trained: weight, gradient and AdamW's two moments in single precision."""
MOST_LEVELS = 4
"""Of a U-Net below its first."""


def _densenet(dims: int, channels: int, classes: int, **sizes: Any) -> Definition:
    return {
        "_target_": f"{NETS}DenseNet", "spatial_dims": dims, "in_channels": channels, "out_channels": classes, **sizes
    }  # fmt: skip


def _resnet(dims: int, channels: int, classes: int, block: str, layers: list[int], planes: list[int]) -> Definition:
    return {
        "_target_": f"{NETS}ResNet", "spatial_dims": dims, "n_input_channels": channels, "num_classes": classes,
        "block": block, "layers": layers, "block_inplanes": planes, "conv1_t_size": 3, "conv1_t_stride": 2,
        "no_max_pool": True,
    }  # fmt: skip


def _efficientnet(dims: int, channels: int, classes: int, name: str) -> Definition:
    return {
        "_target_": f"{NETS}EfficientNetBN", "model_name": name, "spatial_dims": dims, "in_channels": channels,
        "num_classes": classes, "pretrained": False,
    }  # fmt: skip


WIDE, NARROW = [64, 128, 256, 512], [16, 32, 64, 128]
ALTERNATES: Mapping[str, Callable[[int, int, int], Definition]] = {
    "densenet_small": lambda d, c, n: _densenet(d, c, n, init_features=32, growth_rate=24, block_config=[2, 6],
                                                bn_size=2),
    "densenet121": _densenet,
    "densenet169": lambda d, c, n: _densenet(d, c, n, block_config=[6, 12, 32, 32]),
    "resnet_small": lambda d, c, n: _resnet(d, c, n, "basic", [1, 1, 1, 1], NARROW),
    "resnet10": lambda d, c, n: _resnet(d, c, n, "basic", [1, 1, 1, 1], WIDE),
    "resnet18": lambda d, c, n: _resnet(d, c, n, "basic", [2, 2, 2, 2], WIDE),
    "resnet34": lambda d, c, n: _resnet(d, c, n, "basic", [3, 4, 6, 3], WIDE),
    "resnet50": lambda d, c, n: _resnet(d, c, n, "bottleneck", [3, 4, 6, 3], WIDE),
    "efficientnet-b0": lambda d, c, n: _efficientnet(d, c, n, "efficientnet-b0"),
    "efficientnet-b2": lambda d, c, n: _efficientnet(d, c, n, "efficientnet-b2"),
}  # fmt: skip
"""By name: of dimensions, channels and outputs."""
AUTOMATIC = ("densenet_small", "densenet121", "resnet_small", "resnet10", "resnet18", "resnet50")
"""Those that ``auto`` chooses from."""
LOCALISERS = ("unet", "segresnet")


@dataclass(frozen=True)
class NetworkSize:
    """What a network needs in a training, from shapes alone."""

    parameters: int
    saved_bytes: int
    """Kept for the gradient, of one image."""

    def bytes_of(self, batch: int) -> int:
        """Return the memory of a training in batches of so many images."""
        return self.parameters * MASTER_BYTES + 2 * batch * self.saved_bytes


def build(definition: Definition) -> nn.Module:
    """Build a network that this module defines, with random weights."""
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    made = getattr(nets, definition["_target_"].removeprefix(NETS))(**arguments)
    if not isinstance(made, nn.Module):
        raise TypeError(f"{definition['_target_']} is no network")
    return made


def size_of(network: nn.Module, manifest: Manifest) -> NetworkSize:
    """Measure a network on torch's meta device, on which shapes are computed and no memory is taken."""
    shadow = copy.deepcopy(network).to("meta").requires_grad_(True).train()
    kept = {"bytes": 0}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept["bytes"] += tensor.numel() * tensor.element_size()
        return tensor

    images = torch.zeros((2, manifest.input.channel_count, *manifest.input.spatial_size), device="meta")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        shadow(images)
    return NetworkSize(sum(parameter.numel() for parameter in shadow.parameters()), kept["bytes"] // 2)


def family_of(network: nn.Module) -> str:
    """Return the family of a network by its class: DenseNet121 is a DenseNet."""
    name = type(network).__name__.lower()
    return next((family for family in ("densenet", "resnet", "efficientnet") if family in name), name)


def alternate_definition(name: str, primary: nn.Module, manifest: Manifest) -> tuple[str, Definition]:
    """Return the alternate of a name; auto: of another family than the primary, nearest to it in parameters.

    Raises:
        UnknownName: there is none of this name.
    """
    outputs = len(manifest.classes) - (manifest.activation == "ordinal")
    of = (len(manifest.input.spatial_size), manifest.input.channel_count, outputs)
    if name in ALTERNATES:
        return name, ALTERNATES[name](*of)
    if name != AUTO:
        raise UnknownName(f"There is no alternate {name!r}.", cure=f"There are: {AUTO}, none, {', '.join(ALTERNATES)}.")
    own = sum(parameter.numel() for parameter in primary.parameters())
    others = [known for known in AUTOMATIC if not known.startswith(family_of(primary))]

    def distance(known: str) -> float:
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in build(ALTERNATES[known](*of)).parameters())
        return abs(math.log(parameters / own))

    chosen = min(others, key=distance)
    return chosen, ALTERNATES[chosen](*of)


def localiser_definitions(name: str, manifest: Manifest) -> list[tuple[str, Definition]]:
    """Return the localisers of a name, the largest first: the first that fits the memory is taken.

    Raises:
        UnknownName: there is none of this name.
    """
    size, channels = manifest.input.spatial_size, manifest.input.channel_count
    dims = len(size)
    widths = (16, 8) if dims == 3 else (16,)
    common = {"spatial_dims": dims, "in_channels": channels, "out_channels": 1}
    levels = halvings(size)
    if name in (AUTO, "unet") and levels < 2:
        features = [[*(width * 2**level for level in range(5)), width] for width in widths]
        return [("unet", {"_target_": f"{NETS}BasicUNet", **common, "features": some}) for some in features]
    if name in (AUTO, "unet"):
        return [
            ("unet", {
                "_target_": f"{NETS}UNet", **common, "channels": [width * 2**level for level in range(levels + 1)],
                "strides": [2] * levels, "num_res_units": 1,
            })
            for width in widths
        ]  # fmt: skip
    if name == "segresnet":
        down = [1, 2, 2, 4][: min(levels, 3) + 1]
        return [
            ("segresnet", {
                "_target_": f"{NETS}SegResNet", **common, "init_filters": width, "blocks_down": down,
                "blocks_up": [1] * (len(down) - 1),
            })
            for width in widths
        ]  # fmt: skip
    raise UnknownName(f"There is no localiser {name!r}.", cure=f"There are: {AUTO}, none, {', '.join(LOCALISERS)}.")


def halvings(size: tuple[int, ...]) -> int:
    """Return how often every axis of an input can be halved without a rest, at least four pixels being left."""
    count = 0
    while count < MOST_LEVELS and all(side % 2 ** (count + 1) == 0 and side >> (count + 1) >= 4 for side in size):
        count += 1
    return count

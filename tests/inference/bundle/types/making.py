"""Bundles of the model types with random or marking weights, and what MONAI's own pipeline makes of them."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from monai.bundle import ConfigParser
from torch import nn

from inference.bundle.bundle import Bundle, load_bundle
from inference.porting.seal import seal
from tests.inference.bundle.types.model_types import ModelType

APART = 1e-2
"""How far logits must lie from those of the transposed input: over 100 times what counts as equal."""
MANIFEST = {
    "version": "0.0.1", "title": "A small bundle", "intended_use": "tests", "not_for": "anything else",
    "licence": "Apache-2.0", "training_data": "none",
}  # fmt: skip


class Monai:
    """MONAI's own parser, Compose, reader and network of one configuration."""

    def __init__(self, kind: ModelType) -> None:
        self._parser = ConfigParser(yaml.safe_load(kind.configuration))

    def inputs(self, sources: Sequence[Any]) -> torch.Tensor:
        """Return the network's input for each entry of a list of data, (N, C, *spatial)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            transform = self._parser.get_parsed_content("preprocessing")
            steps = transform.transforms if hasattr(transform, "transforms") else transform
            return torch.stack([self._through(steps, source) for source in sources])

    def _through(self, steps: Sequence[Any], source: Any) -> torch.Tensor:
        is_dictionary = hasattr(steps[0], "keys")
        data = {"image": source} if is_dictionary else source
        for step in steps:
            data = step(data)
        return torch.as_tensor(np.asarray(data["image"] if is_dictionary else data), dtype=torch.float32)

    def network(self, seed: int, inputs: torch.Tensor) -> nn.Module:
        """Return the network with random weights, its last layer scaled until it tells an input from its transpose."""
        torch.manual_seed(seed)
        network = self.untrained()
        with torch.no_grad():
            network.train()
            for _ in range(5):
                network(torch.cat([given[:2] for given in (inputs, *changes(inputs))]))
            network.eval()
            last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
            differences = [
                abs(logits_of(network, changed) - logits_of(network, inputs)).max() for changed in changes(inputs)
            ]
            last.weight *= max(1.0, 20 * APART / float(min(differences)))
            last.bias.zero_()
        return network

    def untrained(self) -> nn.Module:
        """Return the network as MONAI builds it."""
        return self._parser.get_parsed_content("network_def", instantiate=True)


def changes(inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return the input as wrong readings have it: transposed, upside down, in other units, channels the other way."""
    sides = inputs.shape[2:4]
    square = nn.functional.pad(
        inputs, [0, 0] * (inputs.ndim - 4) + [0, max(sides) - sides[1], 0, max(sides) - sides[0]]
    )
    turned = square.transpose(2, 3)[:, :, : sides[0], : sides[1]].contiguous()
    swapped = [inputs.flip(1)] if inputs.shape[1] > 1 and not torch.equal(inputs[:, 0], inputs[:, -1]) else []
    return [turned, inputs.flip(2), inputs * 0.5 + 0.2, *swapped]


def logits_of(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        given = network(inputs)
    return given[0] if isinstance(given, tuple) else given


def write(folder: Path, kind: ModelType, networks: Sequence[nn.Module], configuration: str, layer: str = "") -> Bundle:
    """Write, seal and load the bundle of a type."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir(exist_ok=True)
    (folder / "configs" / "inference.yaml").write_text(configuration)
    (folder / "configs" / "metadata.json").write_text(json.dumps({"version": "0.0.1"}))
    files = [kind.weights, *(f"models/fold_{number}.pt" for number in range(1, len(networks)))]
    for file, network in zip(files, networks, strict=True):
        save(folder / file, network, kind)
    classes = [
        {"name": f"class {number}", "finding": kind.classes == 1 or number > 0 or kind.classes > 4, "threshold": 0.5}
        for number in range(kind.classes)
    ]
    primary = {"file": files[0], "members": files[1:], "layer": layer}
    tree = {
        "name": folder.name, "kind": kind.kind, "activation": kind.activation, **MANIFEST, **kind.manifest,
        "input": dict(kind.input), "classes": classes,
        "primary": {key: value for key, value in primary.items() if value},
    }  # fmt: skip
    (folder / "bundle.toml").write_text("\n".join(toml(tree)))
    seal(folder)
    return load_bundle(folder)


def save(path: Path, network: nn.Module, kind: ModelType) -> None:
    """Save a network as the type has it: a program, or weights as training writes them."""
    if path.suffix == ".ts":
        size = [kind.input.get("channels", 1), *kind.input["spatial_size"]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.trace(network, torch.zeros(1, *size)), path)
    else:
        torch.save({"state_dict": network.state_dict()}, path)


def toml(tree: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the lines of a tree of values, tables and lists of tables."""
    plain, tables = [], []
    for key, value in tree.items():
        if isinstance(value, dict):
            tables += [f"[{prefix}{key}]", *toml(value, f"{prefix}{key}.")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables += [line for item in value for line in (f"[[{prefix}{key}]]", *toml(item, f"{prefix}{key}."))]
        else:
            plain.append(f"{key} = {json.dumps(value)}")
    return plain + tables


def marking(kind: ModelType) -> tuple[str, nn.Module]:
    """Return a network that answers to the brightest place, and its configuration in place of the type's own.

    Its features are the mean of the channels; the logit of the last class is their maximum, no other is found.
    """
    channels = kind.input.get("channels", 1)
    count = len(channels) if isinstance(channels, list) else channels
    dimensions = len(kind.input["spatial_size"])
    outputs = kind.classes - (kind.activation == "ordinal")
    head = (
        kind.preprocessing
        + f"""
network_def:
  _target_: torch.nn.Sequential
  layers:
  - {{_target_: torch.nn.Conv{dimensions}d, in_channels: {count}, out_channels: 1, kernel_size: 1}}
  - {{_target_: torch.nn.ReLU}}
  - {{_target_: torch.nn.AdaptiveMaxPool{dimensions}d, output_size: 1}}
  - {{_target_: torch.nn.Flatten}}
  - {{_target_: torch.nn.Linear, in_features: 1, out_features: {outputs}}}
"""
    )
    convolution, pool = (nn.Conv2d, nn.AdaptiveMaxPool2d) if dimensions == 2 else (nn.Conv3d, nn.AdaptiveMaxPool3d)
    network = nn.Sequential(convolution(count, 1, 1), nn.ReLU(), pool(1), nn.Flatten(), nn.Linear(1, outputs))
    with torch.no_grad():
        network[0].weight.fill_(1 / count)
        network[0].bias.fill_(0.1)
        network[4].weight.zero_()
        network[4].bias.fill_(0.0 if kind.activation == "softmax" else -5.0)
        network[4].weight[-1], network[4].bias[-1] = 2.0, 1.0
    return head, network.eval()


def answering(network: nn.Module, inputs: torch.Tensor) -> nn.Module:
    """Set the weights of a convolutional classifier so that class 1 is the answer to what is brighter than half.

    One channel is used. The first convolution is a 3 x 3 mean whose threshold is the bias of its normalisation; every
    other lets its channel through, those larger than one pixel as a 3 x 3 mean, so that no step of two pixels overlooks
    a place. Excitations are constant. The last layer is scaled to the inputs: a spot is found, images without are not.
    """
    mean = torch.tensor([[0.5, 1.0, 0.5]]).T @ torch.tensor([[0.5, 1.0, 0.5]])
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    normalisations = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for module in (*convolutions, *linears):
            module.weight.zero_()
            if module.bias is not None:
                module.bias.zero_()
        for module in convolutions:
            middle = module.kernel_size[0] // 2
            if module.bias is None and middle:
                module.weight[0, 0, middle - 1 : middle + 2, middle - 1 : middle + 2] = mean
            elif module.bias is None:
                module.weight[0, 0] = 1.0
        convolutions[0].weight *= 10.0
        for module in normalisations:
            module.reset_running_stats()
            module.weight.fill_(1.0)
            module.bias.zero_()
        normalisations[0].bias[0] = -20.0
        network.eval()
        linears[-1].weight[1, 0] = 1.0
        highest = float(network(inputs)[:, 1].max())
        linears[-1].weight[1, 0] = 10.0 / highest
        linears[-1].bias[1] = -5.0
    return network

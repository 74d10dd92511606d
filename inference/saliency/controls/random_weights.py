"""Weight randomisation (Adebayo et al. 2018): the whole network at once, or stage by stage as a cascade.

Weights and biases are drawn as torch's convolutions and linear layers draw theirs (He et al. 2015, uniform,
a = sqrt 5); normalisation starts again from ones and zeros. Every draw is made on the CPU by a generator of its own: a
seed gives the same network on every device and in every thread, and torch's own generator stays as it is.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from inference.errors import Refused

Order = Literal["top_down", "bottom_up"]

UNOWNED_STANDARD_DEVIATION = 0.02
"""For parameters that are neither weight nor bias, such as position embeddings (the value of ViT's own)."""
FEWEST_STAGES, MOST_STAGES = 5, 12
"""Bounds on the number of stages of a cascade; Arun et al. 2021 used 12 states."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the cascade: a name to show, and the modules (by their path in the tree) re-initialised together."""

    name: str
    modules: tuple[str, ...]


def randomised(model: nn.Module, *, seed: int) -> nn.Module:
    """Copy a network and re-initialise every parameter of the copy, which is in evaluation mode, on the same device."""
    device = _device(model)
    twin = copy.deepcopy(model).cpu()
    draw_anew(twin, torch.Generator().manual_seed(seed))
    return twin.eval().requires_grad_(requires_grad=False).to(device)


def draw_anew(module: nn.Module, generator: torch.Generator) -> None:
    """Re-initialise every parameter below a module, in place. The module must lie on the CPU."""
    with torch.inference_mode(mode=False), torch.no_grad():
        for part in module.modules():
            _draw_own(part, generator)


def stages(model: nn.Module) -> tuple[Stage, ...]:
    """Find the network's own stages, input first: the modules under its root, opened until there are five.

    The largest container is opened first, so a MONAI DenseNet gives its first convolution, its dense blocks and
    transitions and its head, a ResNet its stem, its four layers and its head. Normalisation that stands alone belongs
    to the stage before it; more than twelve are joined, neighbour with neighbour. Modules are taken in the order in
    which the network declares them.

    Raises:
        Refused: no module of the network has parameters.
    """
    names = _with_parameters(model, "")
    if not names:
        raise Refused("No module of this network has parameters to draw anew.")
    while len(names) < FEWEST_STAGES:
        openable = [name for name in names if len(_with_parameters(model.get_submodule(name), name)) > 0]
        if not openable:
            break
        widest = max(openable, key=lambda name: _size(model.get_submodule(name)))
        at = names.index(widest)
        names[at : at + 1] = _with_parameters(model.get_submodule(widest), widest)
    groups: list[list[str]] = []
    for name in names:
        if groups and _only_constants(model.get_submodule(name)):
            groups[-1].append(name)
        else:
            groups.append([name])
    joined = [[name for group in part for name in groups[group]] for part in _divided(len(groups))]
    return tuple(Stage(group[0], tuple(group)) for group in joined)


def cascade_states(model: nn.Module, *, order: Order, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Yield the network with one more stage re-initialised at each step, from the head down or from the input up.

    In the last state every parameter is re-initialised, those of the root itself included. One network is altered in
    place from state to state: use each before asking for the next. The original stays as it is.

    Args:
        model: any network.
        order: ``top_down`` (Adebayo 2018, Arun 2021) or ``bottom_up`` (Hedström 2023).
        seed: of the drawing.

    Yields:
        (name of the stage just drawn, network in evaluation mode on the model's device).
    """
    device = _device(model)
    twin = copy.deepcopy(model).cpu().eval().requires_grad_(requires_grad=False)
    generator = torch.Generator().manual_seed(seed)
    steps = stages(model)
    for left, stage in enumerate(reversed(steps) if order == "top_down" else steps, start=1 - len(steps)):
        twin.cpu()
        for name in stage.modules:
            draw_anew(twin.get_submodule(name), generator)
        if left == 0:
            with torch.inference_mode(mode=False), torch.no_grad():
                _draw_own(twin, generator)
        yield stage.name, twin.to(device)


_DRAWLESS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.PReLU)
"""Layers whose fresh parameters are constants."""


def _draw_own(module: nn.Module, generator: torch.Generator) -> None:
    if isinstance(module, _DRAWLESS):
        module.reset_parameters()
        return
    weight = getattr(module, "weight", None)
    fan_in = weight[0].numel() if isinstance(weight, torch.Tensor) and weight.ndim > 1 else 0
    for name, parameter in module.named_parameters(recurse=False):
        if name == "bias" and fan_in:
            parameter.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)
        elif name == "weight" and fan_in:
            nn.init.kaiming_uniform_(parameter, a=math.sqrt(5), generator=generator)
        else:
            parameter.normal_(std=UNOWNED_STANDARD_DEVIATION, generator=generator)


def _with_parameters(module: nn.Module, path: str) -> list[str]:
    prefix = f"{path}." if path else ""
    return [prefix + name for name, child in module.named_children() if _size(child)]


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _only_constants(module: nn.Module) -> bool:
    owners = [part for part in module.modules() if next(part.parameters(recurse=False), None) is not None]
    return all(isinstance(part, _DRAWLESS) for part in owners)


def _divided(count: int) -> list[list[int]]:
    return [[int(index) for index in part] for part in np.array_split(np.arange(count), min(count, MOST_STAGES))]


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))

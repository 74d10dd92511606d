"""What a saliency method is: a name, a paper, parameters with defaults, and one function."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

Value = str | int | float | bool


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method; its type is that of its default."""

    default: Value
    meaning: str
    """One line, with the unit."""
    choices: tuple[str, ...] = ()
    """The words allowed; empty where any value of the type is."""
    minimum: float | None = None


@dataclass(frozen=True)
class MethodInfo:
    """What is known of a method without running it."""

    name: str
    paper: str
    description: str
    needs_layer: bool
    """Whether it looks at the features of one layer."""
    details: Mapping[str, Parameter]

    @property
    def parameters(self) -> dict[str, Value]:
        """Give the default of every parameter."""
        return {name: parameter.default for name, parameter in self.details.items()}


@dataclass(frozen=True)
class Task:
    """What a method is asked: checked, on the device of the network, outside inference mode."""

    model: nn.Module
    inputs: torch.Tensor
    """(N, C, *spatial) float32."""
    targets: torch.Tensor
    """(N,) class indices."""
    layer: str | None
    seed: int
    parameters: Mapping[str, Value]
    """Every parameter, defaults included."""


class Method(Protocol):
    """One family member: what is known of it, and how it explains."""

    info: MethodInfo

    def explain(self, task: Task) -> torch.Tensor:
        """Give raw signed maps, (N, *spatial) float32, of each target's logit."""
        ...


def target_logits(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Give the logit of each sample's target, (N,)."""
    return model(inputs).gather(1, targets[:, None])[:, 0]


def input_gradient(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Give the gradient of each target's logit by its input, of the shape of the inputs."""
    leaf = inputs.detach().clone().requires_grad_()
    return torch.autograd.grad(target_logits(model, leaf, targets).sum(), leaf)[0]

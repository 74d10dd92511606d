"""What a saliency method is: a name, a paper, parameters with defaults, and one function."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import torch
from torch import nn

from inference.saliency.engine.passes import Passes

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
    maximum: float | None = None


class ExplanationType(StrEnum):
    """What kind of visual explanation a method makes (PS3.16 CID 217), by its DCM code value."""

    CLASS_ACTIVATION = "130402"
    GRADIENT_WEIGHTED = "130403"
    """Gradient-weighted class activation."""
    SALIENCY = "130404"


@dataclass(frozen=True)
class MethodInfo:
    """What is known of a method without running it."""

    name: str
    paper: str
    description: str
    needs_layer: bool
    """Whether it looks at the features of one layer."""
    explanation: ExplanationType
    details: Mapping[str, Parameter]
    control: bool = False
    """Whether it knows nothing of the finding and stands beside the methods for comparison."""
    libraries: tuple[str, ...] = ()
    """Distributions that make its maps, beside those that every result depends on: part of the fingerprint."""

    @property
    def parameters(self) -> dict[str, Value]:
        """Return the default of every parameter."""
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
    passes: Passes
    """The way through the network."""
    references: torch.Tensor | None = None
    """(M, C, *spatial) float32, on any device: images of other subjects, for methods that compare with them."""
    prior: torch.Tensor | None = None
    """(*spatial) float32: where findings lie on average, for the control that knows nothing else."""

    def number(self, name: str) -> float:
        """Return a parameter that is a number."""
        return float(self.parameters[name])

    def whole(self, name: str) -> int:
        """Return a parameter that is a whole number."""
        return int(self.parameters[name])


class Method(Protocol):
    """One family member: what is known of it, and how it explains."""

    @property
    def info(self) -> MethodInfo:
        """What is known of it without running it."""
        ...

    def explain(self, task: Task) -> torch.Tensor:
        """Return raw signed attributions of each target's logit, (N, C, *spatial) or (N, 1, *spatial) float32."""
        ...

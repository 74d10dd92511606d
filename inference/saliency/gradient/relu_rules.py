"""Other rules of propagation through ReLU, for every ReLU that runs: modules and functions, in place or not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from inference.errors import Unsuitable

Rule = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Gives the gradient by the input of a ReLU from that input and the gradient by its output."""


def guided(inputs: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Springenberg et al. 2015: only what is positive, and only where the ReLU was open."""
    return gradient.clamp(min=0) * (inputs > 0)


def deconvolution(_inputs: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Zeiler and Fergus 2014: only what is positive, whether the ReLU was open or not."""
    return gradient.clamp(min=0)


@contextmanager
def relus_by(rule: Rule) -> Iterator[None]:
    """Run networks in this thread with another backward rule for ReLU; nothing about the network is changed.

    Raises:
        Unsuitable: the network has no ReLU, or an activation for which the rule is not defined.
    """
    mode = _ReluMode(rule)
    with mode:
        yield
    if not mode.met:
        raise Unsuitable(
            "No ReLU ran in this network (a scripted or compiled one hides them).",
            cure="Guided backpropagation and deconvolution are defined for ReLU networks only: choose another method.",
        )


class _ReluMode(TorchFunctionMode):
    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.met = 0
        self._rule = rule

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in _RELUS or (func in _CLAMPS and _is_relu(args[1:], given)):
            self.met += 1
            return _RuledReLU.apply(args[0] if args else given["input"], self._rule)  # type: ignore[no-untyped-call]
        if func in _OTHERS:
            raise Unsuitable(
                f"The network uses {func.__name__}, for which this method is not defined.",
                cure="Guided backpropagation and deconvolution need ReLU networks: choose another method.",
            )
        return func(*args, **given)


class _RuledReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, rule: Rule) -> torch.Tensor:
        ctx.save_for_backward(inputs)
        ctx.rule = rule
        return inputs.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        return ctx.rule(ctx.saved_tensors[0], gradients[0]), None


def _is_relu(positional: tuple[Any, ...], given: dict[str, Any]) -> bool:
    bounds = [*positional, None, None][:2]
    low, high = given.get("min", bounds[0]), given.get("max", bounds[1])
    return isinstance(low, int | float) and low == 0 and high is None


_RELUS = frozenset((F.relu, F.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_))
_CLAMPS = frozenset((
    torch.clamp, torch.clamp_, torch.clamp_min, torch.clamp_min_, torch.clip, torch.Tensor.clamp, torch.Tensor.clamp_,
    torch.Tensor.clamp_min, torch.Tensor.clamp_min_, torch.Tensor.clip,
))  # fmt: skip
_OTHERS = frozenset((
    F.celu, F.elu, F.elu_, F.gelu, F.hardswish, F.hardtanh, F.leaky_relu, F.leaky_relu_, F.mish, F.prelu, F.relu6,
    F.rrelu, F.selu, F.selu_, F.silu, F.softplus, F.threshold, torch.prelu, torch.Tensor.prelu,
))  # fmt: skip

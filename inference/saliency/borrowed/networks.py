"""What a network is made of, seen before any pass of it, and a copy of it that captum's rules of propagation fit.

A pass without values (device "meta": shapes alone, no weights, no arithmetic) tells which modules run, how often, and
which functions run outside of modules that a rule knows. captum follows modules: a function it cannot see, and a module
that runs twice has one multiplier for two activations.
"""

import copy
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from inference.errors import Unsuitable

SHAPING = frozenset((
    "__get__", "__getitem__", "__len__", "chunk", "clone", "contiguous", "detach", "dim", "expand", "flatten", "narrow",
    "numel", "permute", "reshape", "size", "split", "squeeze", "swapaxes", "transpose", "unbind", "unflatten",
    "unsqueeze", "view",
))  # fmt: skip
"""Functions that move values without changing them."""
LINEAR = SHAPING | frozenset((
    "__add__", "__iadd__", "__isub__", "__radd__", "__rsub__", "__sub__", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "add", "add_", "alpha_dropout", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm",
    "cat", "concat", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "dropout", "dropout1d", "dropout2d", "dropout3d", "interpolate", "linear", "mean", "neg", "pad", "stack", "sub",
    "sub_", "sum", "zeros", "zeros_like",
))  # fmt: skip
"""Functions whose output moves in proportion to their input: in evaluation mode, dropout and batch norm too."""
_PRODUCTS = frozenset((
    "__imul__", "__itruediv__", "__matmul__", "__mul__", "__rmul__", "__truediv__", "bmm", "div", "einsum", "matmul",
    "mul", "mul_",
))  # fmt: skip
"""Linear where all sides but one are numbers or weights; of two activations they are not."""
_UNSEEN = (AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a pass without values raises where a network looks at values, or hides its inside."""
_LEAST = -1e30
"""Pads the windows of a maximum: below any activation, and finite, so that differences stay numbers."""


@dataclass(frozen=True)
class Survey:
    """What ran in one pass."""

    runs: Counter[str]
    """How often each module ran, by dotted name."""
    undefined: tuple[str, ...]
    """Functions that no rule knows, with the layer in which they ran, in their order."""


def survey(model: nn.Module, inputs: torch.Tensor, *, known: Collection[type], linear: bool) -> Survey:
    """Pass one input without values.

    Args:
        model: the network; it stays as it is.
        inputs: (N, C, *spatial); only the shape matters.
        known: types of modules that have a rule: what runs in them is theirs.
        linear: whether linear functions need no rule, or only those that move values without changing them.

    Raises:
        Unsuitable: the network cannot be passed without values.
    """
    memo = {id(tensor): _valueless(tensor) for tensor in (*model.parameters(), *model.buffers())}
    image = torch.empty((1, *inputs.shape[1:]), device="meta")
    try:
        shapes = copy.deepcopy(model, memo)
        with torch.no_grad(), _noted(shapes) as (runs, path), _Functions(shapes, path, known, linear=linear) as met:
            shapes(image)
    except _UNSEEN as error:
        raise Unsuitable(
            f"What this network does cannot be seen without a pass ({type(error).__name__}), so that no rule of "
            "propagation is known to be defined for it.",
            cure="Choose a method that asks the network for gradients or logits alone.",
        ) from error
    return Survey(runs, tuple(dict.fromkeys(met.undefined)))


def rescaled(model: nn.Module, inputs: torch.Tensor, *, known: Collection[type]) -> nn.Module:
    """Return a copy for the rescale rule: each run of an activation is a module, and windows of a maximum are apart.

    It shares the weights, and gives the logits of the network. captum follows a maximum by unpooling, which keeps one
    of several windows that chose the same value, and loses contributions where a ReLU comes right before it (measured:
    4 % to 100 % of the logit's difference): the windows are laid side by side first.

    Args:
        model: the network; it stays as it is.
        inputs: (N, C, *spatial).
        known: types of modules that have a multiplier.

    Raises:
        Unsuitable: the network has an activation that has none, named with its layer.
    """
    seen = survey(model, inputs, known=known, linear=True)
    if seen.undefined:
        raise undefined("DeepLift", seen.undefined)
    memo: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    whole = nn.Sequential(copy.deepcopy(model, memo))
    turns = {
        id(module): _Turns([_alone(module) for _ in range(seen.runs[name])])
        for name, module in whole[0].named_modules()
        if type(module) in known
    }
    for name, module in list(whole.named_modules(remove_duplicate=False)):
        if id(module) in turns:
            whole.set_submodule(name, turns[id(module)])
    return whole


def undefined(method: str, where: Collection[str]) -> Unsuitable:
    """Return the refusal of a network that has what a method is not defined for."""
    named = list(where)
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return Unsuitable(
        f"{method} is not defined for {', '.join(named[:3])}{more} of this network.",
        cure="Choose a method that asks the network for gradients or logits alone.",
    )


def _valueless(tensor: torch.Tensor) -> torch.Tensor:
    empty = tensor.detach().to("meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty


@contextmanager
def _noted(model: nn.Module) -> Iterator[tuple[Counter[str], list[tuple[str, nn.Module]]]]:
    """Count the runs of every module, and keep the path of those that are running."""
    runs: Counter[str] = Counter()
    path: list[tuple[str, nn.Module]] = []
    handles = []
    for name, module in model.named_modules():

        def enter(module: nn.Module, _inputs: object, name: str = name) -> None:
            runs[name] += 1
            path.append((name, module))

        def leave(_module: nn.Module, _inputs: object, _output: object) -> None:
            path.pop()

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield runs, path
    finally:
        for handle in handles:
            handle.remove()


class _Functions(TorchFunctionMode):
    """Notes every function that no rule knows, in this thread."""

    def __init__(
        self, model: nn.Module, path: list[tuple[str, nn.Module]], known: Collection[type], *, linear: bool
    ) -> None:
        super().__init__()
        self.undefined: list[str] = []
        self._weights = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
        self._path, self._known, self._linear = path, known, linear

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        layer, module = self._path[-1] if self._path else ("", None)
        if type(module) not in self._known and not self._defined(func.__name__, args):
            self.undefined.append(f"{func.__name__} in {layer or 'the network'} ({type(module).__name__})")
        return func(*args, **(kwargs or {}))

    def _defined(self, name: str, args: tuple[Any, ...]) -> bool:
        if self._linear and name in _PRODUCTS:
            sides = [side for side in args if isinstance(side, torch.Tensor)]
            return sum(id(side) not in self._weights for side in sides) < 2
        return name in (LINEAR if self._linear else SHAPING)


class _Turns(nn.Module):
    """One module for each run of an activation in a pass, in their order."""

    def __init__(self, modules: list[nn.Module]) -> None:
        super().__init__()
        self.turns = nn.ModuleList(modules)
        self._next = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the next."""
        module = self.turns[self._next]
        self._next = (self._next + 1) % len(self.turns)
        return module(x)


class _SideBySide(nn.Module):
    """The maximum of windows that may overlap, over windows that are laid side by side: the same values."""

    def __init__(self, pool: Any, dims: int) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = (
            (size,) * dims if isinstance(size, int) else tuple(size)
            for size in (pool.kernel_size, pool.stride, pool.padding)
        )
        self.cells = math.prod(self.kernel)
        self.pool = nn.MaxPool1d(self.cells)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, C, *grid)."""
        edges = [size for padding in reversed(self.padding) for size in (padding, padding)]
        windows = nn.functional.pad(x, edges, value=_LEAST)
        for axis, (size, step) in enumerate(zip(self.kernel, self.stride, strict=True), start=2):
            windows = windows.unfold(axis, size, step)
        grid = windows.shape[: x.ndim]
        return self.pool(windows.reshape(len(x), -1, self.cells)).reshape(grid)


def _alone(module: nn.Module) -> nn.Module:
    """Return a module that gives what this one gives, for one run of it, and changes no input in place."""
    dims = _MAXIMA.get(type(module))
    if dims is not None and not module.ceil_mode and module.dilation == 1:
        return _SideBySide(module, dims)
    fresh = copy.deepcopy(module)
    if hasattr(fresh, "inplace"):
        fresh.inplace = False  # type: ignore[assignment]
    return fresh


_MAXIMA: dict[type, int] = {nn.MaxPool1d: 1, nn.MaxPool2d: 2, nn.MaxPool3d: 3}

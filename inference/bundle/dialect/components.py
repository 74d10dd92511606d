"""What a configuration asks to build: planned first, as values, and built only when nothing was objected to."""

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import Parameter, signature
from typing import Any

import torch
from monai.utils import optional_import
from torch.overrides import TorchFunctionMode

from inference.bundle.dialect.allowed import LARGEST_ARGUMENTS, Target, parameters_of, too_large
from inference.bundle.dialect.objections import CannotResolve, LimitExceeded

MOST_ELEMENTS = 1 << 30
"""Of all tensors made while a network is built (4 GiB in single precision)."""
MOST_TENSORS = 100_000
_FACTORIES = frozenset(("empty", "full", "ones", "rand", "randn", "zeros"))

DOWNLOADS = ("pretrained", "pretrained_state_dict_key", "pretrained_url", "progress", "weights", "checkpoint")
"""Parameters by which a network fetches weights, or reads them from a path."""
OF_THE_NODE = ("device", "sw_device", "log_stats", "progress")
"""Parameters of a transform or an inferer that say where it runs, or what it prints."""
GONE = {"SwinUNETR": ("img_size",)}
"""Parameters that MONAI has dropped, without which the network is the same."""
TORCHVISION_NAMES = {"TorchVisionFCModel": "model_name", "MILModel": "backbone"}
"""Networks that take the name of a model of torchvision, and the parameter it is given by."""
REFUSED_ARGUMENTS = {"use_re": "A key is given by its name here, not by a pattern."}

BUILDING_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NotImplementedError, RuntimeError,
    TypeError, ValueError, Warning,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Component:
    """One thing to be built. Two references to one component build one object."""

    target: Target
    key: str
    positional: tuple[Any, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_callable: bool = False
    """Not built but handed on, as ``_mode_`` callable says."""


def overridden(target: Target, name: str) -> bool:
    """Whether an argument is the node's to give, so that it is not read from the bundle."""
    short = target.name.rpartition(".")[2]
    if target.kind == "network":
        return name in DOWNLOADS or name == "device" or name in GONE.get(short, ())
    return target.kind in ("transform", "inferer") and name in OF_THE_NODE


def why_overridden(name: str) -> str:
    """Say why an argument is not read from the bundle."""
    if name in DOWNLOADS and name != "progress":
        return "weights come only from the bundle's own sealed files"
    return "the node says where it runs and what is printed" if name in OF_THE_NODE else "MONAI has dropped it"


def given_by_node(target: Target) -> dict[str, Any]:
    """Return what the node gives in place of the arguments it overrides."""
    given: dict[str, Any] = {}
    for name, parameter in parameters_of(target.call).items():
        if target.kind == "network" and name in DOWNLOADS:
            given[name] = False if isinstance(parameter.default, bool) else None
        elif overridden(target, name) and parameter.default is parameter.empty and parameter.kind not in (2, 4):
            given[name] = "cpu"
    return given


def fetched_by_default(target: Target) -> tuple[str, ...]:
    """Return the parameters by which a network fetches weights where its configuration says nothing of them."""
    if target.kind != "network":
        return ()
    parameters = parameters_of(target.call)
    return tuple(
        name for name in DOWNLOADS
        if name in parameters and name != "progress" and parameters[name].default not in (False, None, Parameter.empty)
    )  # fmt: skip


def check_arguments(component: Component) -> None:
    """Look at the arguments as far as that is possible without building.

    Raises:
        CannotResolve: one is not allowed.
    """
    parameter = TORCHVISION_NAMES.get(component.target.name.rpartition(".")[2])
    if parameter is not None:
        _check_torchvision(component, parameter)
    for name, cure in REFUSED_ARGUMENTS.items():
        if component.arguments.get(name):
            raise CannotResolve(f"{name} is not allowed", cure)
    for name, value in _by_name(component).items():
        if too_large(component.target, name, value):
            raise CannotResolve(f"{name} is larger than {LARGEST_ARGUMENTS[name]:g}", "Use a smaller one.")


def _by_name(component: Component) -> Mapping[str, Any]:
    """Return the arguments by name, positional ones included, as far as they fit."""
    try:
        return signature(component.target.call).bind_partial(*component.positional, **component.arguments).arguments
    except (TypeError, ValueError):
        return component.arguments


def _check_torchvision(component: Component, parameter: str) -> None:
    """Refuse a name that is no classifier of torchvision: others, and its functions, fetch weights by themselves."""
    try:
        given = signature(component.target.call).bind_partial(*component.positional, **component.arguments).arguments
    except TypeError as error:
        raise CannotResolve(f"{component.target.name} does not accept these arguments: {error}") from error
    name, (models, is_installed) = given.get(parameter), optional_import("torchvision.models")
    if isinstance(name, str) and is_installed and name not in models.list_models(module=models):
        raise CannotResolve(f"{name[:60]!r} is not a classifier of torchvision", "Name one of torchvision.models.")


class Builder:
    """Builds what was planned."""

    def __init__(self, built: Callable[[Component, Any], Any] = lambda _, made: made) -> None:
        """Take what is called with every component and the object made of it, and returns the one to use."""
        self._built = built
        self._made: dict[int, Any] = {}

    def build(self, value: Any) -> Any:
        """Build a value and whatever it holds.

        Raises:
            CannotResolve: something does not accept its arguments, with the key in ``args``.
        """
        if isinstance(value, Component):
            if id(value) not in self._made:
                self._made[id(value)] = self._built(value, self._component(value))
            return self._made[id(value)]
        if isinstance(value, (list, tuple)):
            return type(value)(self.build(item) for item in value)
        if isinstance(value, dict):
            return {key: self.build(item) for key, item in value.items()}
        return value

    def _component(self, component: Component) -> Any:
        positional = [self.build(value) for value in component.positional]
        arguments = {name: self.build(value) for name, value in component.arguments.items()}
        try:
            if component.target.name == "torch.nn.Sequential" and "layers" in arguments:
                positional += arguments.pop("layers")
            if component.is_callable:
                return partial(component.target.call, *positional, **arguments) if arguments else component.target.call
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what MONAI has to say to whoever wrote the configuration
                return component.target.call(*positional, **arguments)
        except LimitExceeded as error:
            raise BuildFailed(component, error.problem) from error
        except ImportError as error:
            reason = re.split(r"\s*(?:For details about|Original traceback)", str(error))[0]
            raise BuildFailed(component, f"needs a package that is missing or does not import: {reason}") from error
        except BUILDING_ERRORS as error:
            raise BuildFailed(component, f"does not accept these arguments: {error}") from error


class BuildFailed(CannotResolve):
    """A component that its class does not accept."""

    def __init__(self, component: Component, reason: str) -> None:
        needs_torchvision = "torchvision" in reason and "import" in reason
        build = f"Install the torchvision built for torch {torch.__version__}: pip install 'heatproof[torchvision]'."
        cure = build if needs_torchvision else ""
        super().__init__(f"{component.target.name} {' '.join(reason.split())[:600].rstrip('.')}", cure)
        self.key = component.key


class BoundedAllocation(TorchFunctionMode):
    """While entered, refuses to make more elements, or more tensors, than a network here may have."""

    def __init__(self) -> None:
        super().__init__()
        self._elements = 0
        self._tensors = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count what a factory of tensors is about to make."""
        if getattr(func, "__name__", "") in _FACTORIES:
            sizes = args[0] if args and isinstance(args[0], (list, tuple)) else args
            self._elements += math.prod(size for size in sizes if isinstance(size, int))
            self._tensors += 1
        if self._elements > MOST_ELEMENTS or self._tensors > MOST_TENSORS:
            raise LimitExceeded(f"would make more than {MOST_ELEMENTS} weights or {MOST_TENSORS} tensors")
        return func(*args, **(kwargs or {}))


def build_network(builder: Builder, value: Any) -> torch.nn.Module:
    """Build a network, with the architecture's own random weights.

    Raises:
        CannotResolve: it is none, is too large, or does not accept its arguments.
    """
    with BoundedAllocation():
        built = builder.build(value)
    if not isinstance(built, torch.nn.Module):
        raise CannotResolve("is not a network", "Give it a _target_ of monai.networks.nets.")
    return built

"""The names a bundle's configuration may call, taken from MONAI's and torch's own lists by rule.

Transforms: every array and dictionary transform of ``monai.transforms`` that draws nothing at random, touches no file,
calls nothing by name, does not wait, prints nothing, and leaves it known where each pixel came from; ``LoadImage`` and
its kin stand for the node's own reading. Networks: every module of ``monai.networks.nets`` whose weights can be kept
from being fetched. Inferers: those of ``monai.inferers`` and of ``monai.apps``' pathology. Layers: the modules of
``torch.nn``.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Literal

import torch
from monai import inferers, transforms
from monai.apps.pathology import inferers as pathology_inferers
from monai.networks import nets

from inference.attention_gate import GatedClassifier
from inference.bundle.dialect.expression import OF_FILES
from inference.bundle.dialect.objections import CannotResolve
from inference.pyramid_classifier import PyramidClassifier

Kind = Literal["network", "transform", "reading", "inferer", "layer"]

TELLING_PARAMETERS = {
    "output_dir": "writes files",
    "mapping_file_path": "writes files",
    "delay_time": "waits",
    "data_value": "prints what it is given",
}
"""Parameters of a transform's constructor that tell what else it does."""

LARGEST_ARGUMENTS: Mapping[str, float] = {
    "radius": 20, "sigma": 60, "sigma1": 60, "sigma2": 60, "window_length": 201, "filter_size": 31, "kernel_size": 31,
    "num_bins": 65_536, "repeats": 64, "length": 10_000,
}  # fmt: skip
"""Of transforms: arguments that decide how much time and memory one pixel takes, and the largest values of use."""

MOVING = ("spatial.", "croppad.")
"""Modules of the transforms that move pixels; those that MONAI can invert keep the affine."""

_DOWNLOADING = "path_or_repo_id"
"""A network with this parameter fetches weights whatever it is given."""


@dataclass(frozen=True)
class Target:
    """One name that may be called."""

    name: str
    """Full name."""
    kind: Kind
    call: Callable[..., Any]

    @property
    def parameters(self) -> frozenset[str]:
        """Names of its parameters."""
        return frozenset(parameters_of(self.call))


@cache
def parameters_of(call: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class or function, by name."""
    try:
        return dict(inspect.signature(call).parameters)
    except ValueError:
        return {}


def find(name: Any) -> Target:
    """Return what a ``_target_``, or the name of a call in an expression, stands for.

    Raises:
        CannotResolve: it is not allowed; says why.
    """
    if isinstance(name, str) and name in allowed():
        return allowed()[name]
    if isinstance(name, str) and name in refused_transforms():
        raise CannotResolve(
            f"{name!r} {refused_transforms()[name]}", "Leave it out of the preprocessing used for inference."
        )
    if isinstance(name, str) and name.split(".")[0] == "scripts":
        raise CannotResolve(
            f"{shortened(name)} is code of the bundle's own, which never runs here",
            "Name what MONAI has for it: a network of monai.networks.nets of the same architecture takes the same "
            "weights, once they are saved under its layers' names; a transform of monai.transforms.",
        )
    if isinstance(name, str) and re.search(r"(^|\.)(open|load|loads|read_\w+|fromfile)(\(\))?$", name):
        raise CannotResolve(f"{shortened(name)} reads a file", OF_FILES)
    home = _home(name)
    if ".detection." in f"{home}.":
        home += ", and detects objects: boxes, no class of the image and no mask"
    raise CannotResolve(
        f"{shortened(name)} is not on the list of names that a bundle may use{home}",
        "Allowed are networks of monai.networks.nets, inference.attention_gate.GatedClassifier, "
        "inference.pyramid_classifier.PyramidClassifier, deterministic transforms of monai.transforms, inferers of "
        "monai.inferers and layers of torch.nn, by MONAI's short names or by their full names.",
    )


def shortened(value: Any) -> str:
    """Return a value as a message quotes it."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _home(name: Any) -> str:
    """Say where MONAI has a short name that is not allowed."""
    for module_name in sorted(module for module in sys.modules if module.startswith("monai.")):
        member = vars(sys.modules[module_name]).get(name) if isinstance(name, str) else None
        if member is not None and getattr(member, "__module__", None) == module_name:
            return f": it belongs to {module_name}"
    return ""


@cache
def allowed() -> dict[str, Target]:
    """Return everything that may be called, by full name, and by short name where MONAI resolves one."""
    table: dict[str, Target] = {}
    packages: tuple[tuple[ModuleType, Kind], ...] = (
        (nets, "network"), (transforms, "transform"), (inferers, "inferer"), (pathology_inferers, "inferer"),
    )  # fmt: skip
    for package, kind in packages:
        for module, name, member in _members(package):
            verdict = _kind_of(member, kind, name)
            if verdict is not None:
                target = Target(f"{member.__module__}.{member.__name__}", verdict, member)
                table[f"{module}.{name}"] = target
                if getattr(package, name, None) is member:
                    table[name] = table[f"{package.__name__}.{name}"] = target
    for name, member in vars(torch.nn).items():
        if inspect.isclass(member) and issubclass(member, torch.nn.Module) and name != "Module":
            target = Target(f"torch.nn.{name}", "layer", member)
            table[f"torch.nn.{name}"] = table[f"{member.__module__}.{name}"] = target
    for member in (GatedClassifier, PyramidClassifier):
        name = f"{member.__module__}.{member.__name__}"
        table[name] = Target(name, "network", member)
    return table


@cache
def refused_transforms() -> dict[str, str]:
    """Return the transforms of MONAI that are not allowed, by name, each with the reason."""
    table: dict[str, str] = {}
    for module, name, member in _members(transforms):
        if inspect.isclass(member) and issubclass(member, transforms.Transform):
            reason = refusal_of_transform(member)
            if reason:
                table[f"{module}.{name}"] = table[name] = table[f"monai.transforms.{name}"] = reason
    return table


def refusal_of_transform(member: type) -> str:
    """Say why a transform of MONAI is not allowed; empty where it is."""
    module = member.__module__.removeprefix("monai.transforms.")
    parameters = parameters_of(member)
    if issubclass(member, transforms.Randomizable) and member is not transforms.Compose:
        return "draws at random"
    if module.split(".")[-1] not in ("array", "dictionary") and member is not transforms.Compose:
        return "is a part that transforms are made of, not a transform of images"
    if "name" in parameters and "kwargs" in parameters:
        return "calls by name what another package holds"
    for parameter, reason in TELLING_PARAMETERS.items():
        if parameter in parameters:
            return reason
    if module.startswith(MOVING) and not issubclass(member, transforms.InvertibleTransform):
        return "moves pixels, or makes what is no image, without an account of where they came from"
    if module.startswith("io.") and not issubclass(member, (transforms.LoadImage, transforms.LoadImaged)):
        return "touches files"
    return ""


def too_large(target: Target, name: str, value: Any) -> bool:
    """Whether an argument of a transform, a number or a sequence of numbers, is larger than any that is of use."""
    largest = LARGEST_ARGUMENTS.get(name)
    if target.kind != "transform" or largest is None:
        return False
    numbers = value if isinstance(value, (list, tuple)) else [value]
    return any(
        too_large(target, name, number) if isinstance(number, (list, tuple)) else number > largest
        for number in numbers
        if isinstance(number, (int, float, list, tuple))
    )


def _kind_of(member: Any, kind: Kind, name: str) -> Kind | None:
    if kind == "network":
        return kind if _is_network(member, name) else None
    if not inspect.isclass(member):
        return None
    if kind == "inferer":
        return kind if issubclass(member, inferers.Inferer) else None
    if not issubclass(member, transforms.Transform) or refusal_of_transform(member):
        return None
    reads = issubclass(member, (transforms.LoadImage, transforms.LoadImaged))
    return "reading" if reads else kind


def _is_network(member: Callable[..., Any], name: str) -> bool:
    """Whether it is a module, or a public function that builds one from keywords alone."""
    if _DOWNLOADING in parameters_of(member):
        return False
    if inspect.isclass(member):
        return issubclass(member, torch.nn.Module)
    if name.startswith("_") or vars(nets).get(name) is not member:
        return False
    given = inspect.signature(member).return_annotation
    if given is not inspect.Signature.empty:
        made = getattr(sys.modules[member.__module__], str(given), None)
        return inspect.isclass(made) and issubclass(made, torch.nn.Module)
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return all(
        parameter.default is not inspect.Parameter.empty or parameter.kind in kinds
        for parameter in parameters_of(member).values()
    )


def _members(package: ModuleType) -> Iterator[tuple[str, str, Any]]:
    """Return (module, name, member) of every class and function that a package's own modules define."""
    prefix = package.__name__
    for module_name in sorted(name for name in sys.modules if name == prefix or name.startswith(f"{prefix}.")):
        for name, member in list(vars(sys.modules[module_name]).items()):
            if (inspect.isclass(member) or inspect.isfunction(member)) and member.__module__ == module_name:
                yield module_name, name, member

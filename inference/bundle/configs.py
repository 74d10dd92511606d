"""A bundle's ``configs/*.json``, read as data: only names on a list are called, nothing is evaluated.

MONAI treats these files as programs: ``_target_`` names any callable, a string that starts with ``$`` is Python, ``%``
pulls in other files. Here a file that asks for more than the tables below is refused with the key that asked.
"""

import json
from collections.abc import Mapping
from inspect import signature
from typing import Any, NoReturn

import torch
from monai import transforms
from monai.networks import nets

from inference import attention_gate
from inference.bundle.allowed import LAYERS, NETWORKS, TRANSFORMS
from inference.errors import BundleRefused

_TABLES: Mapping[str, tuple[Any, frozenset[str]]] = {
    "monai.networks.nets": (nets, NETWORKS),
    "monai.transforms": (transforms, TRANSFORMS),
    "torch.nn": (torch.nn, LAYERS),
    "inference.attention_gate": (attention_gate, frozenset(("GatedClassifier",))),
}

_DOWNLOADS = ("pretrained", "pretrained_weights", "weights")
"""Arguments by which a network fetches weights from elsewhere, or reads them from a path."""


class Config:
    """One parsed configuration file, checked as a whole before anything is built from it."""

    def __init__(self, content: bytes, name: str) -> None:
        """Parse and check.

        Raises:
            BundleRefused: not JSON, or any key asks for what is not allowed.
        """
        self._name = name
        self._tree = _parse(content, name)
        _check(self._tree, name)

    def __contains__(self, key: object) -> bool:
        """Whether the file has this top-level key."""
        return key in self._tree

    def network(self, key: str) -> torch.nn.Module:
        """Build the network a top-level key describes, with the architecture's own random weights.

        Raises:
            BundleRefused: there is no such key, it is no network, or its arguments are not accepted.
        """
        built = self._build_top(key)
        if not isinstance(built, torch.nn.Module):
            self._refuse(key, "is not a network", "Give it a _target_ of monai.networks.nets.")
        return built

    def transform(self, key: str) -> transforms.Transform:
        """Build the transform a top-level key describes.

        Raises:
            BundleRefused: there is no such key, it is no transform, or its arguments are not accepted.
        """
        built = self._build_top(key)
        if not isinstance(built, transforms.Transform):
            self._refuse(key, "is not a transform", "Give it a _target_ of monai.transforms.")
        return built

    def _build_top(self, key: str) -> Any:
        if key not in self._tree:
            self._refuse(key, "is missing", f"The file has: {', '.join(sorted(self._tree))}.")
        return self._build(self._tree[key], key, ())

    def _build(self, node: Any, path: str, seen: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [self._build(item, f"{path}::{index}", seen) for index, item in enumerate(node)]
        if isinstance(node, str) and node.startswith("@"):
            if node in seen:
                self._refuse(path, f"refers to itself through {node}", "Break the circle.")
            return self._build(self._referred(node, path), path, (*seen, node))
        if not isinstance(node, dict):
            return node
        arguments = {key: self._build(item, f"{path}::{key}", seen) for key, item in node.items() if key != "_target_"}
        if "_target_" not in node:
            return arguments
        return self._call(node["_target_"], arguments, path)

    def _call(self, target: str, arguments: dict[str, Any], path: str) -> Any:
        package, _, name = target.rpartition(".")
        try:
            called = getattr(_TABLES[package][0], name)
            if target == "torch.nn.Sequential":
                return called(*arguments.get("layers", ()))
            if "pretrained" in signature(called).parameters:
                arguments.setdefault("pretrained", False)
            return called(**arguments)
        except (
            ArithmeticError,
            AttributeError,
            ImportError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise BundleRefused(
                f"{self._name}, key {path}: {target} does not accept these arguments: {error}"
            ) from error

    def _referred(self, reference: str, path: str) -> Any:
        node: Any = self._tree
        for part in reference[1:].replace("#", "::").split("::"):
            if isinstance(node, dict) and part in node:
                node = node[part]
            elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            else:
                self._refuse(path, f"refers to {reference}, which is not in the file", "Name a key of the same file.")
        return node

    def _refuse(self, key: str, problem: str, cure: str) -> NoReturn:
        raise BundleRefused(f"{self._name}, key {key} {problem}.", cure=cure)


def _parse(content: bytes, name: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            raise BundleRefused(f"{name} has a key twice among: {', '.join(sorted(keys))}.")
        return dict(pairs)

    try:
        tree = json.loads(content, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise BundleRefused(f"{name} is not valid JSON: {error}.") from error
    if not isinstance(tree, dict):
        raise BundleRefused(f"{name} must hold a JSON object.")
    return tree


def _check(node: Any, name: str, path: str = "") -> None:
    """Walk the whole tree, used or not: what MONAI would run must not lie in the file at all."""
    if isinstance(node, dict):
        for key, item in node.items():
            inner = f"{path}::{key}" if path else key
            _check_key(key, item, name, inner)
            if "_target_" in node and key in _DOWNLOADS and item not in (False, None):
                raise BundleRefused(
                    f"{name}, key {inner}: weights come only from the bundle's own sealed files.",
                    cure=f"Remove {key!r}.",
                )
            _check(item, name, inner)
    elif isinstance(node, list):
        for index, item in enumerate(node):
            _check(item, name, f"{path}::{index}")
    elif isinstance(node, str) and node.lstrip().startswith(("$", "%")):
        raise BundleRefused(
            f"{name}, key {path}: {node!r} would be evaluated as code.",
            cure="Replace the expression by its value.",
        )


def _check_key(key: str, item: Any, name: str, path: str) -> None:
    if key == "_target_":
        package, _, called = item.rpartition(".") if isinstance(item, str) else ("", "", "")
        if package not in _TABLES or called not in _TABLES[package][1]:
            raise BundleRefused(
                f"{name}, key {path}: {item!r} is not on the list of names that a bundle may use.",
                cure="Allowed are networks of monai.networks.nets, inference.attention_gate.GatedClassifier, "
                "deterministic array transforms of monai.transforms and plain layers of torch.nn, by their full names.",
            )
    elif key.startswith(("_", "$", "%", "@")) or "+" in key[:1]:
        raise BundleRefused(
            f"{name}, key {path}: {key!r} changes how the file is run.",
            cure="Remove it: of these keys only _target_ is supported.",
        )

"""The activation a bundle's postprocessing names; the postprocessing itself is never built or run."""

from typing import Any

from inference.bundle.dialect.objections import CannotResolve, Objections
from inference.bundle.dialect.references import REFERENCE, ConfigTree, absolute
from inference.bundle.dialect.resolver import Resolver

_NAMES = ("Activations", "ActivationsD", "ActivationsDict", "Activationsd")
_KEYS = ("postprocessing", "evaluator::postprocessing")
_MOST_NODES = 2_000


def read_activation(tree: ConfigTree) -> str:
    """Return softmax, sigmoid or another activation's name; empty where the postprocessing names none."""
    key = next((key for key in _KEYS if key in tree), None)
    if key is None:
        return ""
    resolver = Resolver(tree, Objections(""))
    visited: set[str] = set()
    queue: list[tuple[str, Any]] = [(key, tree.raw(key))]
    for _ in range(_MOST_NODES):
        if not queue:
            break
        path, node = queue.pop(0)
        if isinstance(node, dict) and str(node.get("_target_", "")).rpartition(".")[2] in _NAMES:
            named = _named(node, path, resolver)
            if named:
                return named
        elif isinstance(node, dict):
            queue[:0] = [(f"{path}::{key}", item) for key, item in node.items()]
        elif isinstance(node, list):
            queue[:0] = [(f"{path}::{place}", item) for place, item in enumerate(node)]
        elif isinstance(node, str) and node.startswith(("@", "$", "%")):
            queue[:0] = _referred(tree, node, path, visited)
    return ""


def _named(node: dict[Any, Any], path: str, resolver: Resolver) -> str:
    if "_disabled_" in node and resolver.resolve(f"{path}::_disabled_") in (True, "true", "True"):
        return ""
    for name in ("softmax", "sigmoid"):
        flag = resolver.resolve(f"{path}::{name}") if name in node else False
        if flag is True or (isinstance(flag, (list, tuple)) and True in flag) or flag in ("true", "True"):
            return name
    other = node.get("other")
    return other.strip("$")[:60] if isinstance(other, str) else ""


def _referred(tree: ConfigTree, text: str, path: str, visited: set[str]) -> list[tuple[str, Any]]:
    """Return what a string refers to, each id once."""
    nodes = []
    try:
        text = absolute(text, path)
        for match in REFERENCE.findall(text.replace("%", "@", 1)):
            if match not in visited and match != "@":
                visited.add(match)
                nodes.append((match[1:], tree.raw(match[1:])))
    except CannotResolve:
        return nodes
    return nodes

"""The text of a bundle's configuration, JSON or YAML, as a tree of plain values: bounded, and nothing constructed."""

import json
from typing import Any

from inference.bundle.dialect import yaml_text
from inference.errors import BundleRefused

MOST_BYTES = 1 << 20
MOST_NODES = 50_000
DEEPEST = 64


def parse_config(content: bytes, name: str) -> dict[Any, Any]:
    """Parse one configuration file; YAML where the name ends in ``.yaml`` or ``.yml``.

    Raises:
        BundleRefused: too large or too deep, not JSON (or YAML) of plain values, a key twice, or not an object.
    """
    if len(content) > MOST_BYTES:
        raise BundleRefused(f"{name} is larger than {MOST_BYTES} bytes.")
    is_yaml = name.endswith((".yaml", ".yml"))
    tree = yaml_text.parse_yaml(content, name) if is_yaml else _parse_json(content, name)
    if not isinstance(tree, dict):
        raise BundleRefused(f"{name} must hold {'a YAML mapping' if is_yaml else 'a JSON object'}.")
    return tree


def _parse_json(content: bytes, name: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            raise BundleRefused(f"{name} has a key twice among: {', '.join(sorted(keys))[:400]}.")
        return dict(pairs)

    try:
        tree = json.loads(content, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise BundleRefused(f"{name} is not valid JSON: {error}.") from error
    _check_size(tree, name)
    return tree


def _check_size(tree: Any, name: str) -> None:
    level, nodes, depth = [tree], 0, 0
    while level:
        nodes += len(level)
        depth += 1
        if nodes > MOST_NODES or depth > DEEPEST:
            raise BundleRefused(f"{name} has more than {MOST_NODES} values, or more than {DEEPEST} levels.")
        inner: list[Any] = []
        for node in level:
            inner.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
        level = inner

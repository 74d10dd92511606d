"""The text of a bundle's configuration, JSON or YAML, as a tree of plain values: bounded, and nothing constructed."""

from typing import Any

from inference.bundle.dialect import yaml_text
from inference.errors import BundleRefused, Unparsable
from inference.parsing import parse_json


def parse_config(content: bytes, name: str) -> dict[Any, Any]:
    """Parse one configuration file; YAML where the name ends in ``.yaml`` or ``.yml``.

    Raises:
        BundleRefused: too large or too deep, not JSON (or YAML) of plain values, a key twice, or not an object.
    """
    is_yaml = name.endswith((".yaml", ".yml"))
    tree = yaml_text.parse_yaml(content, name) if is_yaml else _parse_json(content, name)
    if not isinstance(tree, dict):
        raise BundleRefused(f"{name} must hold {'a YAML mapping' if is_yaml else 'a JSON object'}.")
    return tree


def _parse_json(content: bytes, name: str) -> Any:
    try:
        return parse_json(content, once=True)
    except Unparsable as error:
        raise BundleRefused(f"{name} {error.reason}.") from error

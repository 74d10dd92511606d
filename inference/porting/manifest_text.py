"""A manifest as the text of ``bundle.toml``."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from inference.bundle.manifest import Manifest


def manifest_text(manifest: Manifest, comments: Mapping[str, str] | None = None) -> str:
    """Return a manifest as TOML: what was set in it, and nothing that was left to its default.

    Args:
        manifest: to be written.
        comments: by key, as ``input.modality``; each stands above its key's line, or above its table.
    """
    tree = manifest.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return text_of(tree, comments or {})


def text_of(tree: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """Return a tree of plain values as TOML, tables below the plain keys; ``comments`` as ``manifest_text``."""
    plain = ((key, value) for key, value in tree.items() if not _is_table(value))
    parts = [_lines(plain, "", comments)]
    for key, value in tree.items():
        if isinstance(value, dict):
            parts.append(f"{_comment(key, comments)}[{key}]\n{_lines(value.items(), f'{key}.', comments)}")
        elif _is_table(value):
            tables = [f"[[{key}]]\n{_lines(table.items(), f'{key}.', {})}" for table in value]
            parts += [_comment(key, comments) + table if not place else table for place, table in enumerate(tables)]
    return "\n".join(parts)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and all(isinstance(item, dict) for item in value))


def _lines(items: Iterable[tuple[str, Any]], prefix: str, comments: Mapping[str, str]) -> str:
    return "".join(f"{_comment(prefix + key, comments)}{key} = {_value(value)}\n" for key, value in items)


def _comment(key: str, comments: Mapping[str, str]) -> str:
    return "".join(f"# {line}\n" for line in comments.get(key, "").splitlines())


def _value(value: Any) -> str:
    """Return a TOML value; strings and numbers are written as in JSON."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n" + "".join(f"    {_value(item)},\n" for item in value) + "]"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

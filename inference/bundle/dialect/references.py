"""Where the ids of a configuration point: ``@a::b``, ``%a::b``, relative ``@##a``, and keys that override others."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from inference.bundle.dialect.objections import CannotResolve

SEPARATOR = "::"
REFERENCE = re.compile(r"@\w*(?:(?:::|#)\w*)*")
"""A reference inside an expression, and the whole of a string that is one (as MONAI's ``ReferenceResolver``)."""
_RELATIVE = re.compile(r"(?:@|%)(?:::)+")
_FILE = re.compile(r".*\.(json|yaml|yml)(?=(?:::.*)|$)", re.IGNORECASE)


MOST_HOPS = 20
"""Macros an id may lead through."""


class ConfigTree:
    """A parsed configuration, looked up by id."""

    def __init__(self, *trees: Mapping[Any, Any], metadata: Mapping[Any, Any] | None = None) -> None:
        """Take in files as MONAI does: a later one overrides; a key ``a::b`` sets, and ``+a`` extends, another."""
        self._root: dict[Any, Any] = {}
        for tree in trees:
            for key, item in tree.items():
                self._set(key, item)
        if metadata is not None:
            self._root["_meta_"] = dict(metadata)

    def __contains__(self, path: object) -> bool:
        """Whether something stands at an id."""
        try:
            self.raw(str(path))
        except CannotResolve:
            return False
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._root)

    def raw(self, path: str) -> Any:
        """Return what stands at an id, as it was written.

        Raises:
            CannotResolve: nothing stands there.
        """
        return self._at(normalised(path).split(SEPARATOR), path, MOST_HOPS)

    def _at(self, parts: list[str], path: str, hops: int) -> Any:
        node: Any = self._root
        for place, part in enumerate(parts):
            if isinstance(node, str) and node.startswith("%") and hops:
                copied = macro_id(absolute(node, SEPARATOR.join(parts[:place])))
                return self._at([*copied.split(SEPARATOR), *parts[place:]], path, hops - 1)
            node = _child(node, part, path)
        return node

    def _set(self, key: Any, item: Any) -> None:
        if not isinstance(key, str) or not (key.startswith("+") or SEPARATOR in normalised(key)):
            self._root[key] = item
            return
        merged = key.startswith("+")
        *parents, last = normalised(key.lstrip("+")).split(SEPARATOR)
        node: Any = self._root
        try:
            for part in parents:
                node = _child(node, part, key)
            present = _child(node, last, key)
        except CannotResolve:
            present = None
        if merged and isinstance(present, dict) and isinstance(item, dict):
            item = {**present, **item}
        elif merged and isinstance(present, list) and isinstance(item, list):
            item = [*present, *item]
        if isinstance(node, dict):
            node[last] = item
        elif isinstance(node, list) and last.isdigit() and int(last) < len(node):
            node[int(last)] = item


def normalised(path: str) -> str:
    """Return an id with MONAI's newer separator in place of its older one."""
    return path.replace("#", SEPARATOR)


def absolute(text: str, path: str) -> str:
    """Return a string with its relative ids made absolute; ``path`` is the id of the string itself.

    Raises:
        CannotResolve: an id leads above the top of the file.
    """
    if "@" not in text and "%" not in text:
        return text
    text = normalised(text) if _RELATIVE.search(normalised(text)) else text
    parts = path.split(SEPARATOR)
    for prefix in sorted(set(_RELATIVE.findall(text)), reverse=True):
        up = prefix.count(SEPARATOR)
        if up > len(parts):
            raise CannotResolve(f"{text[:200]!r} leads above the top of the file")
        text = text.replace(prefix, prefix[0] + "".join(f"{part}{SEPARATOR}" for part in parts[: len(parts) - up]))
    return text


def macro_id(text: str) -> str:
    """Return the id a macro (``%a::b``) copies from.

    Raises:
        CannotResolve: it copies from another file.
    """
    target = normalised(text[1:])
    if _FILE.match(target):
        raise CannotResolve(
            f"{text[:200]!r} pulls in another file", "Write the content itself into this file and refer to its key."
        )
    return target


def _child(node: Any, part: str, path: str) -> Any:
    if isinstance(node, dict):
        if part in node:
            return node[part]
        if part.lstrip("-").isdigit() and int(part) in node:
            return node[int(part)]
    elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
        return node[int(part)]
    raise CannotResolve(f"refers to @{path[:200]}, which is not in the file", "Name a key of the same file.")

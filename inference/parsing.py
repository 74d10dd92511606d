"""JSON and TOML that others wrote, read in one way: bounded in bytes, values and levels, and one exception."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

from inference.errors import Unparsable

MOST_BYTES = 1 << 20
MOST_VALUES = 50_000
DEEPEST = 64
_LONGEST_REASON = 200

Pairs = list[tuple[str, Any]]


def parse_json(
    content: bytes | str, *, most_bytes: int = MOST_BYTES, most_values: int = MOST_VALUES, once: bool = False
) -> Any:
    """Parse JSON (RFC 8259).

    Args:
        content: UTF-8, or text; NaN and Infinity are numbers here.
        most_bytes: that are parsed.
        most_values: that it may hold, at most ``DEEPEST`` levels deep.
        once: whether an object that has a key twice is refused.

    Raises:
        Unparsable: it is something else, or beyond the limits.
    """

    def load() -> Any:
        return json.loads(_text(content), object_pairs_hook=_once if once else None)

    return _bounded(content, load, "JSON", most_bytes, most_values)


def parse_toml(content: bytes | str, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Parse TOML 1.0.

    Args:
        content: UTF-8, or text.
        most_bytes: that are parsed; it may hold ``MOST_VALUES`` values, ``DEEPEST`` levels deep.

    Raises:
        Unparsable: it is something else, or beyond the limits.
    """

    def load() -> dict[str, Any]:
        return tomllib.loads(_text(content))

    tree: dict[str, Any] = _bounded(content, load, "TOML", most_bytes, MOST_VALUES)
    return tree


def _bounded(content: bytes | str, load: Callable[[], Any], name: str, most_bytes: int, most_values: int) -> Any:
    if len(content) > most_bytes:
        raise Unparsable(f"is larger than {most_bytes} bytes")
    try:
        tree = load()
    except RecursionError as error:
        raise Unparsable(f"is not valid {name}: nested too deeply") from error
    except (ValueError, ArithmeticError) as error:  # besides syntax: numbers of thousands of digits, impossible dates
        raise Unparsable(f"is not valid {name}: {' '.join(str(error).split())[:_LONGEST_REASON]}") from error
    _check_size(tree, most_values)
    return tree


def _text(content: bytes | str) -> str:
    return content if isinstance(content, str) else content.decode("utf-8-sig")


def _once(pairs: Pairs) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key twice among {', '.join(sorted(found))}")
    return found


def _check_size(tree: Any, most_values: int) -> None:
    level, values, depth = [tree], 0, 0
    while level:
        values += len(level)
        depth += 1
        if values > most_values or depth > DEEPEST:
            raise Unparsable(f"has more than {most_values} values, or more than {DEEPEST} levels")
        inner: list[Any] = []
        for node in level:
            inner.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
        level = inner

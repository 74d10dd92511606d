"""Rules written as TOML, as they stand in the settings file: what the console edits and the store keeps."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from node.settings.rule import Rule, Unrouted


def rules_as_toml(rules: tuple[Rule, ...], unrouted: Unrouted) -> str:
    """Return ``[[rules]]`` in order and ``[unrouted]``; what has its default is left out."""
    return "\n\n".join(_tables(rules, unrouted)) + "\n"


def _tables(rules: tuple[Rule, ...], unrouted: Unrouted) -> Iterator[str]:
    if not rules:
        yield "rules = []"
    for rule in rules:
        values = {**rule.model_dump(exclude_defaults=True), "destinations": rule.destinations}
        yield "\n".join(["[[rules]]", *_lines(values)])
    if unrouted.destinations:
        yield "\n".join(["[unrouted]", *_lines(unrouted.model_dump())])


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name} = {_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_lines({name: part for name, part in value.items() if part is not None})) + " }"
    if isinstance(value, (tuple, list)):
        parts = [_value(part) for part in value]
        if any(isinstance(part, Mapping) for part in value):
            return "[\n" + "".join(f"  {part},\n" for part in parts) + "]"
        return f"[{', '.join(parts)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # a basic string of TOML
    return str(value)

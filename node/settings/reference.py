"""The reference of the settings, generated from their model."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from node.settings.problems import section_in


def table_of(model: type[BaseModel], title: str = "Setting") -> str:
    """Return a Markdown table of every key of a model: key, type, default and meaning.

    Args:
        model: of a file of settings, or of a bundle's manifest.
        title: of the column of keys.
    """
    lines = [f"| {title} | Type | Default | Meaning |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in _rows(model, "")]
    return "\n".join(lines) + "\n"


def _rows(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    schema = section.model_json_schema()
    for name, field in section.model_fields.items():
        inner = section_in(field.annotation)
        if inner is not None:
            repeated = "[]" if get_origin(field.annotation) is tuple else ""
            yield from _rows(inner, f"{prefix}{name}{repeated}.")
            continue
        default = "required" if field.is_required() else f"`{_toml(field.default)}`"
        yield (
            f"`{prefix}{name}`",
            _type(schema["properties"][name]),
            default,
            " ".join((field.description or "").replace("``", "`").split()),
        )
        if (inner := _table_among(field.annotation)) is not None:
            yield from _rows(inner, f"{prefix}{name}[].")


def _table_among(annotation: Any) -> type[BaseModel] | None:
    """Return the table that a field of several types may hold a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table_among, get_args(annotation))), None)


def _type(schema: Mapping[str, Any]) -> str:
    """Describe the type of a JSON schema."""
    if "anyOf" in schema:
        return " or ".join(_type(alternative) for alternative in schema["anyOf"] if alternative.get("type") != "null")
    if "$ref" in schema:
        return "tables"
    if "const" in schema:
        return f'"{schema["const"]}"'
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])} {_type(schema['prefixItems'][0])}"
    if "enum" in schema:
        return ", ".join(f'"{value}"' for value in schema["enum"])
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    words = {"string": "path" if schema.get("format") == "path" else "text", "number": "number"}
    limits = [
        f"{sign} {schema[key]:g}" if schema[key] < 1e6 else f"{sign} {schema[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if key in schema
    ]
    return " ".join([words.get(schema["type"], schema["type"]), *limits])


def _toml(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)

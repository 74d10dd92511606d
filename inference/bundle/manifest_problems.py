"""What is wrong with a manifest, in sentences: every problem once, with its key and what would be right."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

Location = Sequence[int | str]


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[str, ...]:
    """Return a sentence a problem.

    A list whose items are wrong is not also said to be too short: pydantic leaves wrong items out and then counts.

    Args:
        error: of validating the whole file.
        model: of the whole file.
    """
    details = error.errors()
    places = [tuple(detail["loc"]) for detail in details]
    kept = []
    for detail, place in zip(details, places, strict=True):
        has_inner = any(other[: len(place)] == place and len(other) > len(place) for other in places)
        if not (detail["type"] == "too_short" and has_inner):
            kept.append(_sentence(detail, place, model))
    return tuple(kept)


def _sentence(detail: Any, place: Location, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in place) or "(file)"
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, place[:-1])
        near = get_close_matches(str(place[-1]), known, n=1)
        return f"{key}: there is no such key; " + (
            f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known))}"
        )
    if detail["type"] == "missing":
        return f"{key}: must be there and is not"
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    given = detail.get("input")
    shown = f", not {given!r}" if isinstance(given, (bool, int, float)) or (isinstance(given, str) and given) else ""
    return f"{key}: {message}{shown if len(shown) < 80 else ''}"


def _keys_at(model: type[BaseModel], place: Location) -> list[str]:
    """Return the keys of the table at a place."""
    table: type[BaseModel] | None = model
    for part in place:
        if isinstance(part, str) and table is not None and part in table.model_fields:
            table = _table_in(table.model_fields[part].annotation)
    return list(table.model_fields) if table is not None else []


def _table_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table_in, get_args(annotation))), None)

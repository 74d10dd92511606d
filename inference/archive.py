"""Serialisation of values between the steps of a job: JSON for the tree, one .npz for its arrays. No pickle."""

import json
import os
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import GetPydanticSchema, TypeAdapter
from pydantic_core import core_schema

T = TypeVar("T")

_AN_ARRAY = GetPydanticSchema(lambda _source, _handler: core_schema.is_instance_schema(np.ndarray))

Floats = Annotated[NDArray[np.float32], _AN_ARRAY]
"""A float32 array inside a value that is kept on disk."""
Booleans = Annotated[NDArray[np.bool_], _AN_ARRAY]
"""A mask inside a value that is kept on disk."""


def save(value: object, folder: Path, name: str) -> None:
    """Write a frozen dataclass tree as ``name.json`` and ``name.npz``: both complete or neither visible.

    The JSON is renamed into place last, so its presence means that the value is whole.
    """
    tree, arrays = taken_apart(value)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.npz.part").open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    with (folder / f"{name}.json.part").open("w", encoding="utf-8") as text:
        json.dump(tree, text)
        text.flush()
        os.fsync(text.fileno())
    for suffix in ("npz", "json"):
        (folder / f"{name}.{suffix}.part").replace(folder / f"{name}.{suffix}")


def load(kind: type[T], folder: Path, name: str) -> T:
    """Read back what ``save`` wrote, checked against ``kind``.

    Raises:
        pydantic.ValidationError: the files are not of this kind.
        FileNotFoundError: nothing was saved under this name.
    """
    tree = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return put_together(kind, tree, {key: arrays[key] for key in arrays.files})


def taken_apart(value: object) -> tuple[object, dict[str, np.ndarray[Any, Any]]]:
    """Return a frozen dataclass tree as what JSON holds, and its arrays by the names that stand there for them."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    return _flatten(value, arrays), arrays


def put_together(kind: type[T], tree: object, arrays: dict[str, np.ndarray[Any, Any]]) -> T:
    """Return what ``taken_apart`` took apart, checked against ``kind``.

    Raises:
        pydantic.ValidationError: it is not of this kind.
    """
    return TypeAdapter(kind).validate_python(_fill(tree, arrays))


def _flatten(value: object, arrays: dict[str, np.ndarray[Any, Any]]) -> object:
    if isinstance(value, np.ndarray):
        key = f"a{len(arrays)}"
        arrays[key] = value
        return {"__array__": key}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _flatten(getattr(value, field.name), arrays) for field in fields(value)}
    if isinstance(value, dict):
        return {key: _flatten(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_flatten(item, arrays) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _fill(tree: object, arrays: dict[str, np.ndarray[Any, Any]]) -> object:
    if isinstance(tree, dict):
        if set(tree) == {"__array__"}:
            return arrays[tree["__array__"]]
        return {key: _fill(item, arrays) for key, item in tree.items()}
    if isinstance(tree, list):
        return tuple(_fill(item, arrays) for item in tree)
    return tree

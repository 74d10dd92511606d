"""The functions and constants an expression of a configuration may name, in tables: what is not here is refused."""

import math
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any

import numpy as np
import torch
from monai import utils as monai_utils

from inference.bundle.dialect.objections import CannotResolve, LimitExceeded
from inference.bundle.dialect.operations import MOST_MEMBERS, Budget, is_array, make_broadcast, make_joined

_PLAIN = (bool, int, float, str)


def _range(*bounds: int) -> list[int]:
    numbers = range(*bounds)
    if len(numbers) > MOST_MEMBERS:
        raise LimitExceeded(f"gives more than {MOST_MEMBERS} values")
    return list(numbers)


def _round(value: float, digits: int | None = None) -> float:
    if digits is not None and abs(digits) > 30:
        raise LimitExceeded("rounds to more than 30 digits")
    return round(value, digits)


def _of_plain(call: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*values: Any) -> Any:
        if not all(isinstance(value, _PLAIN) and not isinstance(value, Enum) for value in values):
            raise CannotResolve("converts what is neither a number nor a text")
        return call(*values)

    return checked


def _of_sequences(call: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*values: Any) -> Any:
        if not all(isinstance(value, (str, list, tuple, dict, int, float)) for value in values):
            raise CannotResolve("counts or lists what is neither a list nor a text")
        return call(*values)

    return checked


BUILTINS: Mapping[str, Callable[..., Any]] = {
    "abs": _of_plain(abs), "bool": _of_plain(bool), "float": _of_plain(float), "int": _of_plain(int),
    "round": _of_plain(_round), "str": _of_plain(str), "range": _of_plain(_range),
    "all": _of_sequences(all), "any": _of_sequences(any), "dict": _of_sequences(dict), "len": _of_sequences(len),
    "list": _of_sequences(list), "max": _of_sequences(max), "min": _of_sequences(min), "sum": _of_sequences(sum),
    "tuple": _of_sequences(tuple),
    "enumerate": _of_sequences(lambda *values: [tuple(pair) for pair in enumerate(*values)]),
    "reversed": _of_sequences(lambda values: list(reversed(values))),
    "sorted": _of_sequences(sorted),
    "zip": _of_sequences(lambda *values: [tuple(items) for items in zip(*values, strict=False)]),
}  # fmt: skip
"""Of Python; those that count give lists, so that every value has a size. Positional arguments alone."""

_ELEMENTWISE = (
    "abs", "ceil", "clamp", "clip", "exp", "floor", "isfinite", "isnan", "log", "log1p", "logical_and", "logical_not",
    "logical_or", "maximum", "minimum", "nan_to_num", "ones_like", "round", "sigmoid", "sqrt", "square", "tanh",
    "where", "zeros_like",
)  # fmt: skip
_SHAPING = ("flip", "movedim", "permute", "squeeze", "transpose", "unsqueeze")
_REDUCING = ("amax", "amin", "mean", "std", "sum")
_KEYWORDS = frozenset(("axis", "correction", "dim", "dims", "keepdim", "max", "min", "nan", "neginf", "posinf"))


def _on_image(name: str) -> Callable[..., Any]:
    call = getattr(torch, name)

    def checked(budget: Budget, *values: Any, **keywords: Any) -> Any:
        if not set(keywords) <= _KEYWORDS:
            raise CannotResolve(f"gives torch.{name} arguments that are not passed on: {', '.join(sorted(keywords))}")
        if name in ("cat", "stack"):
            make_joined(values[0] if values else (), budget)
        elif not any(is_array(value) for value in values):
            raise CannotResolve(f"torch.{name} needs the image", f"Write it in a function: $lambda x: torch.{name}(x)")
        else:
            make_broadcast(values, budget)
        return call(*values, **keywords)

    return checked


TORCH: Mapping[str, Callable[..., Any]] = {
    f"torch.{name}": _on_image(name) for name in (*_ELEMENTWISE, *_SHAPING, *_REDUCING, "cat", "stack")
}
"""Of torch, for functions that run on the image."""

MODULES = frozenset(("monai", "torch", "np", "numpy", "math"))
"""First parts of the names that are looked up here."""


@cache
def constants() -> dict[str, Any]:
    """Return the constants by full name: numbers, types of values, and the members of MONAI's enums."""
    table: dict[str, Any] = {}
    for prefix in ("np", "numpy", "math"):
        table |= {f"{prefix}.pi": math.pi, f"{prefix}.e": math.e, f"{prefix}.inf": math.inf, f"{prefix}.nan": math.nan}
    for prefix in ("np", "numpy"):
        table |= {
            f"{prefix}.{name}": member
            for name, member in vars(np).items()
            if isinstance(member, type) and issubclass(member, (np.number, np.bool_))
        }
    table |= {f"torch.{name}": member for name, member in vars(torch).items() if isinstance(member, torch.dtype)}
    for name, member in vars(monai_utils).items():
        if isinstance(member, type) and issubclass(member, Enum):
            for key, value in member.__members__.items():
                table[f"monai.utils.{name}.{key}"] = table[f"monai.utils.enums.{name}.{key}"] = value
    return table

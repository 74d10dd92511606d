"""What an expression of a configuration may do with values: bounded in size before anything is computed.

Plain values are held to a number of characters, digits and members; tensors (in functions that run on the image) to
what the image itself needs.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch

from inference.bundle.dialect.objections import CannotResolve, LimitExceeded

MOST_STEPS = 50_000
LONGEST_TEXT = 10_000
MOST_MEMBERS = 10_000
"""Of a value, counted through everything it holds."""
LARGEST_INTEGER = 1 << 63


class Budget:
    """Steps that may still be taken, and elements of tensors that may still be made."""

    def __init__(self, steps: int = MOST_STEPS, elements: int = 0) -> None:
        self.left = steps
        self.elements = elements

    def make(self, count: int) -> None:
        """Take elements, before the tensor is made.

        Raises:
            LimitExceeded: so many are not left.
        """
        self.elements -= count
        if self.elements < 0:
            raise LimitExceeded("makes the image many times larger")

    def spend(self, steps: int = 1) -> None:
        """Take steps.

        Raises:
            LimitExceeded: none is left.
        """
        self.left -= steps
        if self.left < 0:
            self.left = 0
            raise LimitExceeded("takes too many steps", "Write the values themselves.")


def bounded(value: Any, budget: Budget) -> Any:
    """Return a value that is no larger than values may be; its size is spent.

    Raises:
        LimitExceeded: it is larger.
    """
    stack, members = [value], 0
    while stack:
        item = stack.pop()
        members += 1
        if isinstance(item, int) and abs(item) >= LARGEST_INTEGER:
            raise LimitExceeded("gives a whole number beyond 2^63")
        if isinstance(item, (str, bytes)):
            members += len(item) // 100
            if len(item) > LONGEST_TEXT:
                raise LimitExceeded(f"gives a text of more than {LONGEST_TEXT} characters")
        elif isinstance(item, (list, tuple, set)):
            stack.extend(item) if len(item) <= MOST_MEMBERS else None
            members += len(item)
        elif isinstance(item, Mapping):
            stack.extend((*item, *item.values())) if len(item) <= MOST_MEMBERS else None
            members += len(item)
        if members + len(stack) > 2 * MOST_MEMBERS:
            raise LimitExceeded(f"gives more than {MOST_MEMBERS} values")
    budget.spend(members)
    return value


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_, ast.Invert: operator.invert,
}  # fmt: skip
_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip


def binary(kind: type[ast.operator], left: Any, right: Any, budget: Budget) -> Any:
    """Compute ``left kind right``, where the result cannot be much larger than the two.

    Raises:
        CannotResolve: not for these values, or the result would be too large.
    """
    if kind not in _ARITHMETIC:
        raise CannotResolve("uses an operator that is not computed here", "Write the value itself.")
    if is_array(left) or is_array(right):
        make_broadcast((left, right), budget)
    elif _is_number(left) and _is_number(right):
        _check_power(kind, left, right)
    elif not _joins(kind, left, right):
        raise CannotResolve(
            f"combines {_kind_name(left)} with {_kind_name(right)}", "Only numbers, texts and lists are combined here."
        )
    return _ARITHMETIC[kind](left, right)


def unary(kind: type[ast.unaryop], value: Any, budget: Budget) -> Any:
    """Compute ``kind value``.

    Raises:
        CannotResolve: not for this value.
    """
    if kind is not ast.Not and not (_is_number(value) or is_array(value)):
        raise CannotResolve(f"takes the sign of {_kind_name(value)}")
    make_broadcast((value,), budget)
    return _UNARY[kind](value)


def compare(kind: type[ast.cmpop], left: Any, right: Any, budget: Budget) -> Any:
    """Compute ``left kind right``."""
    make_broadcast((left, right), budget)
    return _COMPARED[kind](left, right)


def index(value: Any, key: Any, budget: Budget) -> Any:
    """Compute ``value[key]``.

    Raises:
        CannotResolve: the value is no sequence, mapping or tensor; or the result would be too large.
    """
    if is_array(value):
        _check_array_key(value, key, budget)
    elif not isinstance(value, (str, list, tuple, dict)):
        raise CannotResolve(f"takes an item of {_kind_name(value)}")
    return value[key]


def is_array(value: Any) -> bool:
    """Whether it is a tensor or an array."""
    return isinstance(value, (torch.Tensor, np.ndarray))


def make_broadcast(values: Iterable[Any], budget: Budget) -> None:
    """Take the elements of what arrays broadcast to; nothing where there are none.

    Raises:
        LimitExceeded: so many are not left.
    """
    shapes = [tuple(value.shape) for value in values if is_array(value)]
    if shapes:
        budget.make(math.prod(torch.broadcast_shapes(*shapes)))  # type: ignore[no-untyped-call]


def make_joined(values: Any, budget: Budget) -> None:
    """Take the elements of arrays that are joined into one.

    Raises:
        LimitExceeded: so many are not left.
    """
    if not isinstance(values, (list, tuple)) or not all(is_array(value) for value in values):
        raise CannotResolve("joins what is no list of images")
    budget.make(sum(math.prod(value.shape) for value in values))


def _check_array_key(value: Any, key: Any, budget: Budget) -> None:
    picked = 1
    for part in key if isinstance(key, tuple) else (key,):
        is_mask = is_array(part) and part.dtype in (torch.bool, np.bool_) and part.ndim > 0
        is_list = isinstance(part, list) and all(isinstance(item, int) for item in part)
        picked *= len(part) if is_list else 1
        if not (part is None or part is Ellipsis or isinstance(part, (int, slice)) or is_mask or is_list):
            raise CannotResolve("takes items of the image by something that is no number, slice, list or mask")
    budget.make(math.prod(value.shape) * picked)


def _check_power(kind: type[ast.operator], left: Any, right: Any) -> None:
    if kind is not ast.Pow:
        return
    if isinstance(left, int) and isinstance(right, int) and abs(left) > 1 and right * abs(left).bit_length() > 128:
        raise LimitExceeded("gives a whole number beyond 2^63")


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float))


def _joins(kind: type[ast.operator], left: Any, right: Any) -> bool:
    """Whether two sequences of a kind are added, or one is repeated."""
    if kind is ast.Mult:
        return _is_repeated(left, right) or _is_repeated(right, left)
    return kind is ast.Add and any(isinstance(left, kind) and isinstance(right, kind) for kind in (str, list, tuple))


def _is_repeated(sequence: Any, times: Any) -> bool:
    if not isinstance(sequence, (str, list, tuple)) or not isinstance(times, int):
        return False
    if len(sequence) * times > MOST_MEMBERS:
        raise LimitExceeded(f"gives more than {MOST_MEMBERS} values")
    return True


def _kind_name(value: Any) -> str:
    if is_array(value):
        return "the image"
    names = {str: "a text", list: "a list", tuple: "a tuple", dict: "a mapping", type(None): "nothing"}
    if isinstance(value, Enum):
        return "an enum member"
    return names.get(type(value), f"{type(value).__name__!r}")

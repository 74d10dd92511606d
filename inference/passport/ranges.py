"""Whether the figures of a passport can be figures at all: counts, shares, and intervals the right way round."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

LARGEST = 1e15
"""No figure of a passport is as far from 0."""
SHARES = frozenset({"alpha", "delta", "p_value", "probability", "floor", "ece", "risk", "upper", "share_in_network"})
"""Keys of probabilities and shares."""
PARTS = (("misses", "trusted"), ("missed", "of"), ("called_positive", "cases"), ("masked", "cases"), ("hits", "cases"))
"""Of two counts of one table the first is of the second."""
CHOSEN = ("settings", "parameters")
"""Keys below which numbers were chosen, not measured."""
_MOST_NAMED = 20


def out_of_range(tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Say of a passport's JSON which figures cannot be: negative counts, shares above 1, intervals of high and low.

    Returns:
        a line for each, the first 20; nothing where all are possible.
    """
    problems = _problems(tree, "")
    return tuple(problem for problem, _ in zip(problems, range(_MOST_NAMED), strict=False))


def _problems(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _of_table(value, path)
        for key, inner in value.items():
            if key not in CHOSEN:
                yield from _problems(inner, f"{path}.{key}".strip("."))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, inner in enumerate(value):
            yield from _problems(inner, f"{path}[{number}]")
    elif _is_number(value):
        if abs(value) > LARGEST:
            yield f"{path}: {value:g} is too large for a figure"
        elif isinstance(value, int) and value < 0:
            yield f"{path}: a count of {value}"


def _of_table(table: Mapping[str, Any], path: str) -> Iterator[str]:
    for key in SHARES & table.keys():
        share = table[key]
        if _is_number(share) and not 0 <= share <= 1:
            yield f"{path}.{key}: {share:g} is no share".strip(".")
    low, high = table.get("low"), table.get("high")
    if _is_number(low) and _is_number(high) and low > high:
        yield f"{path}: an interval from {low:g} to {high:g}"
    for part, whole in PARTS:
        if _is_number(table.get(part)) and _is_number(table.get(whole)) and table[part] > table[whole]:
            yield f"{path}.{part}: {table[part]} of {table[whole]}".strip(".")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

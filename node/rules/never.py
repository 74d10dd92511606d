"""Conditions of rules that no image can meet, and rules that no study reaches."""

import warnings
from collections.abc import Iterator, Sequence
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from node.rules.texts import LONGEST, vr_of
from node.settings.patterns import is_found
from node.settings.rule import Clause, Rule
from node.settings.section import tag_of

_START = frozenset({_constants.AT_BEGINNING, _constants.AT_BEGINNING_STRING})
_END = frozenset({_constants.AT_END, _constants.AT_END_STRING})


def impossible(rules: Sequence[Rule]) -> Iterator[str]:
    """Yield a sentence for each condition that can never hold, and for each rule behind one that takes every study."""
    taker = ""
    for rule in rules:
        where = f"rules[{rule.name!r}]"
        if taker:
            yield f"{where}: never asked, because {taker!r} before it takes every study"
        for number, clause in enumerate(rule.when):
            yield from (f"{where}.when[{number}].{problem}" for problem in _problems(clause))
        for number, expression in enumerate(rule.expected_series):
            problem = _unmatchable(expression, LONGEST["LO"])
            if problem:
                yield f"{where}.expected_series[{number}]: {problem}, so every study waits for the longest time"
        if not (rule.when or rule.hours or rule.weekdays or taker):
            taker = rule.name


def _problems(clause: Clause) -> Iterator[str]:
    vr = vr_of(tag_of(clause.attribute.split(".")[-1]) or 0)
    longest = LONGEST.get(vr)
    if clause.matches is not None and (problem := _unmatchable(clause.matches, longest)):
        yield f"matches: {clause.matches!r} never matches: {problem}"
    fitting = [value for value in clause.wanted if not _unequal(value, longest)]
    for value in clause.wanted:
        if problem := _unequal(value, longest):
            yield f"equals: no value equals {value!r}: {problem}"
    if clause.matches is not None and fitting and not any(is_found(clause.matches, value) for value in fitting):
        yield f"matches: {clause.matches!r} is found in none of the values of equals"
    if clause.excludes is not None and fitting and all(is_found(clause.excludes, value) for value in fitting):
        yield f"excludes: {clause.excludes!r} is found in every value of equals"
    if clause.at_least is not None and clause.at_most is not None and clause.at_least > clause.at_most:
        yield f"at_least: {clause.at_least:g} is more than at_most, {clause.at_most:g}"


def _unequal(value: str, longest: int | None) -> str:
    """Say why no value of an attribute can equal a text; empty where one can."""
    if value != value.strip() or not value:
        return "values are compared without spaces around them"
    if "\\" in value:
        return "a backslash separates values"
    return f"it has more than the {longest} characters of its VR" if longest and len(value) > longest else ""


def _unmatchable(expression: str, longest: int | None) -> str:
    """Say why an expression is found in no text of so many characters; empty where it may be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        parsed = _parser.parse(expression)
    if not parsed.state.flags & _constants.SRE_FLAG_MULTILINE and _misplaced(list(parsed)):
        return "it asks for something before the beginning or after the end of the value"
    least = parsed.getwidth()[0]
    return f"it needs {least} characters, and values have at most {longest}" if longest and least > longest else ""


def _misplaced(tokens: list[Any]) -> bool:
    """Say whether ^ stands behind, or $ before, what takes at least one character."""
    widths = [_width(token) for token in tokens]
    for place, (kind, argument) in enumerate(tokens):
        if kind is _constants.AT and argument in _START and any(widths[:place]):
            return True
        if kind is _constants.AT and argument in _END and any(widths[place + 1 :]):
            return True
        if kind is _constants.SUBPATTERN and _misplaced(list(argument[3])):
            return True
        if kind is _constants.BRANCH and all(_misplaced(list(branch)) for branch in argument[1]):
            return True
    return False


def _width(token: Any) -> int:
    """Return the least number of characters that a part of an expression takes."""
    part = _parser.SubPattern(_parser.State())
    part.append(token)
    return int(part.getwidth()[0])

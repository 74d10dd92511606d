"""Regular expressions of the settings: compiled by RE2, whose time is linear in the text whatever the expression.

Python's own engine backtracks: one image with a long Series Description could block the interpreter for hours. Only
expressions that both engines read the same way are taken.
"""

import re
import warnings
from functools import lru_cache
from typing import Any

import re2

LONGEST_EXPRESSION = 1000
"""Characters of one expression."""
_MOST_MEMORY = 1 << 20
"""Bytes that RE2 may use for one expression."""
_KEPT = 256
"""Compiled expressions in the cache."""
_OPEN_REPEAT = re.compile(r"\{,\d*\}")
_CURE = (
    "write it without look-around, backreferences, atomic groups, possessive repeats, (?x) and \\Z; "
    "`excludes` asks for what must not be found"
)


def check_expression(expression: str) -> str:
    """Return an expression of the settings if it can be searched for in linear time.

    Raises:
        ValueError: it is too long, is not a regular expression, or needs an engine that backtracks.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise ValueError(f"has {len(expression)} characters; a regular expression may have {LONGEST_EXPRESSION}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # [[:alpha:]] and the like, which RE2 reads otherwise
            re.compile(expression)
    except (re.error, FutureWarning, RecursionError, OverflowError) as error:
        raise ValueError(f"is not a valid regular expression: {error}") from error
    if _OPEN_REPEAT.search(expression):
        raise ValueError("is not a supported regular expression: write {0,n} instead of {,n}")
    try:
        _compiled(expression)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise ValueError(f"is not a supported regular expression ({reason}): {_CURE}") from error
    return expression


def is_found(expression: str, text: str) -> bool:
    """Say whether an expression is found anywhere in a text, without regard to case.

    Args:
        expression: one that ``check_expression`` has taken.
        text: of any length; what is not Unicode in it is replaced.
    """
    return _compiled(expression).search(text.encode(errors="replace")) is not None


@lru_cache(maxsize=_KEPT)
def _compiled(expression: str) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    return re2.compile(expression, options)

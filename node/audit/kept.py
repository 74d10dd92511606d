"""What took long to work out, kept by what it depends on."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")
MOST_KEPT = 32


class Kept:
    """The results that were asked for last, at most 32; safe to use from any thread.

    Nothing in here is ever changed: a key names everything that its result depends on, and results are frozen.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._found: OrderedDict[Hashable, Any] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Give the result of this key; two that ask at once may both compute it."""
        with self._turn:
            if key in self._found:
                self._found.move_to_end(key)
                return cast("T", self._found[key])
        found = compute()
        with self._turn:
            self._found[key] = found
            while len(self._found) > self._most:
                self._found.popitem(last=False)
        return found

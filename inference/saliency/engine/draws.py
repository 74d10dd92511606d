"""Random draws that do not depend on how many points a device passes at once."""

from collections.abc import Iterable, Iterator

import torch

DRAWN_AT_ONCE = 8
"""Points drawn by one call of a generator, on every device. A generator's numbers depend on the size asked for: with
another block the same seed gives other noise and other masks, hence another map."""


def blocks(count: int) -> Iterator[int]:
    """Yield the lengths of the blocks in which so many points are drawn; the last may be shorter."""
    for start in range(0, count, DRAWN_AT_ONCE):
        yield min(DRAWN_AT_ONCE, count - start)


def regrouped(drawn: Iterable[torch.Tensor], most: int) -> Iterator[torch.Tensor]:
    """Yield the rows of successive blocks in groups of at most ``most``, in their order."""
    waiting: list[torch.Tensor] = []
    rows = 0
    for block in drawn:
        for part in torch.split(block, most):
            if rows + len(part) > most:
                yield torch.cat(waiting)
                waiting, rows = [], 0
            waiting.append(part)
            rows += len(part)
    if waiting:
        yield torch.cat(waiting)

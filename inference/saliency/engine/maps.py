"""A saliency map, where it came from, and where it is highest."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.archive import Floats
from inference.findings import Finding

TIED = 1e-5
"""Values as close as this to the highest, as a share of the range, differ from it by rounding alone."""


@dataclass(frozen=True)
class SaliencyMap:
    """The attribution of one finding: raw, signed, never normalised."""

    finding: Finding
    method: str
    parameters: Mapping[str, str | int | float | bool]
    """Every parameter, defaults included."""
    layer: str | None
    seed: int
    values: Floats
    """(*spatial) on the grid of the network's input; signed."""
    frame: int
    """Index into ``Image.frames``: the plane shown. For a volume the plane of the peak."""
    on_frame: Floats
    """(rows, columns) of that plane's own pixel grid; 0 where the network saw nothing; signed."""
    peak: tuple[int, int]
    """(row, column), 0-based, of the highest value of ``on_frame``; on a plateau, of its centre."""
    seconds: float


def peak_of(values: NDArray[np.floating]) -> tuple[int, ...]:
    """Return the index of the highest value; of several, as on a plateau, the one next to their mean.

    Args:
        values: (*shape); -inf where no peak is to be.
    """
    highest = float(values.max())
    lowest = float(values.min(where=np.isfinite(values), initial=highest))
    tied = np.argwhere(values >= highest - TIED * (highest - lowest))
    return tuple(int(i) for i in tied[np.square(tied - tied.mean(axis=0)).sum(axis=1).argmin()])

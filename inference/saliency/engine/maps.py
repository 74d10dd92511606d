"""A saliency map and where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.archive import Floats
from inference.findings import Finding


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
    """(row, column), 0-based, of the highest value of ``on_frame``."""
    seconds: float

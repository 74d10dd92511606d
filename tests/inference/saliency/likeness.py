"""How far two maps are alike, with room for what processors round differently.

Where the input of a ReLU is rounded about zero, one kernel lets it through and another does not: gradients then differ
in a few pixels by a finite amount, not by a last digit (6e-4 of a map's length was seen between SSE4.1 and AVX2). An
error of a formula is far larger: one interval of 24 is 0.04.
"""

from typing import Any

import numpy as np
import torch

ALIKE = 0.01
"""Length of the difference of two maps that are made by one formula, as a share of the length of one."""
FORKS = {"guided_integrated_gradients": 0.7, "xrai": 0.9}
"""Methods that decide by comparing values, which are other ways at the last bit: the least correlation of two maps."""


def pearson(first: Any, second: Any) -> float:
    """Return the correlation of two maps over their pixels; nan where one is flat."""
    first, second = (np.asarray(values, np.float64).ravel() for values in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(first, second)[0, 1])


def difference(found: Any, oracle: Any) -> float:
    """Return the length of the difference of two maps as a share of the oracle's length; 0 of two empty ones."""
    found, oracle = (np.asarray(values, np.float64).ravel() for values in (found, oracle))
    apart, length = np.linalg.norm(found - oracle), np.linalg.norm(oracle)
    return float(apart / length) if length else float(apart)


def alike(found: torch.Tensor, wanted: torch.Tensor, method: str = "") -> bool:
    """Tell whether maps of one method, (N, *spatial), are the same but for what kernels round differently."""
    pairs = zip(found.detach(), wanted.detach(), strict=True)
    if method in FORKS:
        return all(torch.equal(*pair) or pearson(*pair) > FORKS[method] for pair in pairs)
    return all(difference(*pair) < ALIKE for pair in pairs)

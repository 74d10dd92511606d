"""How alike two saliency maps are: Spearman's rank correlation and the overlap of their hottest tenth.

Signed values are compared as they are shown. Neither figure means anything without its null: maps of different
subjects by the same model agree too, since heads lie in the middle of every image (Arun et al. 2021).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Maps = NDArray[np.float32]
Scores = NDArray[np.float64]

HOTTEST_SHARE = 0.10
SMALLEST_ROOM = 0.05
"""Where different subjects agree to 1 within this, nothing can be referenced to them."""


def spearman(one: Maps, others: Maps) -> Scores:
    """Rank-correlate one map with each of several; ties take their mean rank; a constant map agrees with nothing: 0.

    Args:
        one: (*spatial).
        others: (N, *spatial).

    Returns:
        (N,), each from -1 to 1.
    """
    ranked = rankdata(others.reshape(len(others), -1), axis=1)
    own = rankdata(one.reshape(-1))
    ranked = ranked - ranked.mean(axis=1, keepdims=True)
    own = own - own.mean()
    scale = np.linalg.norm(ranked, axis=1) * np.linalg.norm(own)
    return np.divide(ranked @ own, scale, out=np.zeros(len(ranked)), where=scale > 0)


def hottest_overlap(one: Maps, others: Maps, *, seed: int) -> Scores:
    """Intersection over union of the hottest tenth of one map and of each of several; ties are drawn by lot.

    Args:
        one: (*spatial).
        others: (N, *spatial).
        seed: of the lot.

    Returns:
        (N,), each from 0 to 1; two random maps reach 0.053.
    """
    lot = np.random.default_rng(seed)
    own = _hottest(one.reshape(-1), lot)
    return np.array([_overlap(own, _hottest(other.reshape(-1), lot)) for other in others], dtype=np.float64)


def referenced(value: float, null: float) -> float | None:
    """a* = (a - null) / (1 - null): 0 as alike as maps of different subjects, 1 identical; None without room above."""
    return (value - null) / (1.0 - null) if 1.0 - null >= SMALLEST_ROOM else None


def _hottest(values: Maps, lot: np.random.Generator) -> NDArray[np.bool_]:
    count = max(1, round(HOTTEST_SHARE * values.size))
    order = np.lexsort((lot.random(values.size), -values))
    chosen = np.zeros(values.size, dtype=np.bool_)
    chosen[order[:count]] = True
    return chosen


def _overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())

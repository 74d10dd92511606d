"""Agreement of two saliency maps: Spearman's rank correlation, IoU of the hottest tenth, IoU above Otsu's threshold.

Signed values are compared as they are shown. No figure means anything without its null: maps of different subjects by
the same model agree too, since heads lie in the middle of every image (Arun et al. 2021). Each comes in two shapes:
one map with several, and pairs (``..._pairs``). SSIM, the legacy figure, has its own file.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from inference.criteria.otsu import above, otsu_thresholds

Maps = NDArray[np.floating]
Scores = NDArray[np.float64]

HOTTEST_SHARE = 0.10
SMALLEST_ROOM = 0.05
"""Smallest 1 - null at which an agreement can be referenced to its null."""


def spearman(saliency: Maps, others: Maps) -> Scores:
    """Rank-correlate one map with each of several; ties take their mean rank; a constant map agrees with nothing: 0.

    Args:
        saliency: (*spatial).
        others: (N, *spatial).

    Returns:
        (N,), each from -1 to 1.
    """
    ranked, own = _ranks(others), _ranks(saliency[None])[0]
    scale = np.linalg.norm(ranked, axis=1) * np.linalg.norm(own)
    return np.divide(ranked @ own, scale, out=np.zeros(len(ranked)), where=scale > 0)


def spearman_pairs(first: Maps, second: Maps) -> Scores:
    """Rank-correlate maps pair by pair, as ``spearman`` does: (N, *spatial) twice -> (N,)."""
    first_ranks, second_ranks = _ranks(first), _ranks(second)
    scale = np.linalg.norm(first_ranks, axis=1) * np.linalg.norm(second_ranks, axis=1)
    products = np.einsum("np,np->n", first_ranks, second_ranks)
    return np.divide(products, scale, out=np.zeros(len(first_ranks)), where=scale > 0)


def hottest_overlap(saliency: Maps, others: Maps, *, seed: int) -> Scores:
    """IoU of the hottest tenth of one map with that of each of several; ties are broken at random by seed.

    Args:
        saliency: (*spatial).
        others: (N, *spatial).
        seed: of the random tie-breaking.

    Returns:
        (N,), each from 0 to 1; two random maps reach 0.053.
    """
    lot = np.random.default_rng(seed)
    own = hottest(saliency.reshape(-1), lot)
    return np.array([_overlap(own, hottest(other.reshape(-1), lot)) for other in others], dtype=np.float64)


def hottest_overlap_pairs(first: Maps, second: Maps, *, seed: int) -> Scores:
    """Overlap of the hottest tenths pair by pair, as ``hottest_overlap`` does: (N, *spatial) twice -> (N,)."""
    lot = np.random.default_rng(seed)
    pairs = zip(first, second, strict=True)
    return np.array([_overlap(hottest(a.reshape(-1), lot), hottest(b.reshape(-1), lot)) for a, b in pairs])


def otsu_overlap_pairs(first: Maps, second: Maps) -> Scores:
    """Intersection over union of what lies above each map's own Otsu threshold (Venkatesh et al. 2024), pair by pair.

    Args:
        first: (N, *spatial).
        second: (N, *spatial).

    Returns:
        (N,), 0 to 1; two constant maps have no foreground and agree on nothing: 0.
    """
    first_above, second_above = (above(maps, otsu_thresholds(maps)).reshape(len(maps), -1) for maps in (first, second))
    union = (first_above | second_above).sum(axis=1)
    return np.divide((first_above & second_above).sum(axis=1), union, out=np.zeros(len(union)), where=union > 0)


def referenced(value: float, null: float) -> float | None:
    """a* = (a - null) / (1 - null): 0 as alike as maps of different subjects, 1 identical; None without room above."""
    return (value - null) / (1.0 - null) if 1.0 - null >= SMALLEST_ROOM else None


def _ranks(maps: Maps) -> Scores:
    """Rank each map's pixels, ties by their mean, and centre the ranks: (N, pixels)."""
    ranked = rankdata(maps.reshape(len(maps), -1), axis=1)
    return np.asarray(ranked - ranked.mean(axis=1, keepdims=True), dtype=np.float64)


def hottest(values: Maps, lot: np.random.Generator, share: float = HOTTEST_SHARE) -> NDArray[np.bool_]:
    """Mark the hottest share of a map's pixels, (P,) -> (P,); which of tied pixels is drawn by lot."""
    count = max(1, round(share * values.size))
    bound = np.partition(values, -count)[-count]
    chosen = values > bound
    tied = np.flatnonzero(values == bound)
    chosen[lot.permutation(tied)[: count - int(chosen.sum())]] = True
    return np.asarray(chosen)


def _overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())

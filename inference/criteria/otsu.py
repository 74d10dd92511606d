"""Otsu's threshold (1979) of many maps at once."""

import numpy as np
from numpy.typing import NDArray

BINS = 256


def otsu_thresholds(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return for each map the bin centre at which the variance between its two classes is largest.

    Equal to scikit-image's ``threshold_otsu`` of each map. Pixels *above* it are the foreground; a constant map has
    its value for a threshold, and no foreground.

    Args:
        maps: (N, *spatial).

    Returns:
        (N,), in the maps' units.
    """
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    low, high = flat.min(axis=1, keepdims=True), flat.max(axis=1, keepdims=True)
    span = np.where(high > low, high - low, 1.0)
    bins = np.minimum(((flat - low) / span * BINS).astype(np.int64), BINS - 1)
    rows = np.arange(len(flat))[:, None] * BINS
    counts = np.bincount((bins + rows).ravel(), minlength=len(flat) * BINS).reshape(-1, BINS).astype(np.float64)
    centres = low + (np.arange(BINS) + 0.5) / BINS * span
    below = np.cumsum(counts, axis=1)[:, :-1]
    mass = np.cumsum(counts * centres, axis=1)
    over = flat.shape[1] - below
    apart = _ratio(mass[:, :-1], below) - _ratio(mass[:, -1:] - mass[:, :-1], over)
    best = np.argmax(below * over * apart**2, axis=1)
    thresholds = np.take_along_axis(centres, best[:, None], axis=1)[:, 0]
    return np.where(high[:, 0] > low[:, 0], thresholds, high[:, 0])


def above(maps: NDArray[np.floating], thresholds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the pixels above each map's threshold: (N, *spatial) and (N,) -> (N, *spatial) bool."""
    return np.asarray(maps > thresholds.reshape(-1, *[1] * (maps.ndim - 1)))


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)

"""The legacy picture of a map, that published figures were taken on: absolute, clipped at its 99th percentile, 0 to 1.

PAIR's ``VisualizeImageGrayscale`` followed by a min-max scaling (Arun et al. 2021). It throws the sign away and ties
the hottest hundredth of the pixels: legacy figures are computed on it, the figures that decide on the raw map.
"""

import numpy as np
from numpy.typing import NDArray

CLIP_PERCENTILE = 99.0


def legacy_normalised(maps: NDArray[np.floating], *, percentile: float = CLIP_PERCENTILE) -> NDArray[np.float32]:
    """Take absolute values, scale so that the minimum is 0 and the percentile 1, clip, and scale to 0 to 1 again.

    Args:
        maps: (N, *spatial), signed.
        percentile: at which a map saturates.

    Returns:
        (N, *spatial), 0 to 1; a constant map is 0 everywhere.
    """
    flat = np.abs(maps.reshape(len(maps), -1).astype(np.float64))
    low = flat.min(axis=1, keepdims=True)
    high = np.percentile(flat, percentile, axis=1, keepdims=True)
    high = np.where(high > low, high, flat.max(axis=1, keepdims=True))
    clipped = np.clip((flat - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    return clipped.reshape(maps.shape).astype(np.float32)

"""Which maps of a series and class are shown: the few whose score is highest."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def shown(scores: ArrayLike, series: ArrayLike, count: int) -> NDArray[np.bool_]:
    """Mark the maps that are shown of several series and classes, (N,).

    Args:
        scores: (N,); NaN: a hard rule stopped the map, which then comes after every other. Equals keep their order.
        series: (N,), any labels: the series and class of each map.
        count: at most so many of each.
    """
    values, labels = np.asarray(scores, np.float64), np.unique(np.asarray(series), return_inverse=True)[1]
    order = np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")
    marked, given = np.zeros(len(values), np.bool_), np.zeros(len(values), np.int64)
    for row in order:
        marked[row] = given[labels[row]] < count
        given[labels[row]] += 1
    return marked

"""Agreement of a map with an expert's mask: ROC of pixels and region-wise Dice (Brocki et al. 2022).

Two areas under an ROC of pixels are told apart: the mean over images of each image's own area (``pixel_roc_auc``, the
one that decides, with an interval over patients), and the area of one curve of mean rates at common thresholds
(``curve_of_means``, Brocki's "mean of heights"): the second depends on how maps are scaled, the first does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Maps = NDArray[np.floating]
Masks = NDArray[np.bool_]
Scores = NDArray[np.float64]

THRESHOLDS = 100
PERCENTS = tuple(range(1, 101))


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """False and true positive rates, (K,) each, from (0, 0) to (1, 1), and the area below."""

    false_positive_rate: Scores
    true_positive_rate: Scores
    auc: float


def pixel_roc_auc(maps: Maps, masks: Masks) -> Scores:
    """Area under each image's own ROC of pixels, ties counting half: scikit-learn's ``roc_auc_score``.

    Args:
        maps: (N, *spatial), higher is more important.
        masks: (N, *spatial) bool.

    Returns:
        (N,), 0.5 for a map that knows nothing; NaN where the mask is empty or fills the image.
    """
    inside = masks.reshape(len(masks), -1)
    places = rankdata(maps.reshape(len(maps), -1), axis=1)
    hits = inside.sum(axis=1)
    misses = inside.shape[1] - hits
    above = (places * inside).sum(axis=1) - hits * (hits + 1) / 2
    pairs = (hits * misses).astype(np.float64)
    return np.divide(above, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def curve_of_means(maps: Maps, masks: Masks, *, thresholds: int = THRESHOLDS) -> RocCurve:
    """Average the rates of all images at each common threshold of the min-max scaled maps, and take the area (legacy).

    Args:
        maps: (N, *spatial); a constant map is 0 everywhere.
        masks: (N, *spatial) bool; images whose mask is empty or full are left out.
        thresholds: evenly spaced from 1 down to 0.
    """
    flat, inside = maps.reshape(len(maps), -1).astype(np.float64), masks.reshape(len(masks), -1)
    defined = inside.any(axis=1) & ~inside.all(axis=1)
    flat, inside = flat[defined], inside[defined]
    low, high = flat.min(axis=1, keepdims=True), flat.max(axis=1, keepdims=True)
    scaled = (flat - low) / np.where(high > low, high - low, 1.0)
    level = np.minimum((scaled * (thresholds - 1) + 1e-9).astype(np.int64), thresholds - 1)
    cells = level + np.arange(len(flat))[:, None] * thresholds
    rates = [_reached(cells, chosen, thresholds) for chosen in (~inside, inside)]
    false, true = (np.concatenate([[0.0], rate.mean(axis=0)]) for rate in rates)
    return RocCurve(false, true, float(np.trapezoid(true, false)))


def mean_of_curves(maps: Maps, masks: Masks, *, points: int = 201) -> RocCurve:
    """Average each image's own ROC vertically, true positive rate at each false positive rate (Fawcett 2006).

    Its area is the mean of ``pixel_roc_auc``, to the width of the grid.

    Args:
        maps: (N, *spatial).
        masks: (N, *spatial) bool; images whose mask is empty or full are left out.
        points: of the false positive rate's grid.
    """
    flat, inside = maps.reshape(len(maps), -1), masks.reshape(len(masks), -1)
    grid = np.linspace(0.0, 1.0, points)
    curves = []
    for values, mask in zip(flat, inside, strict=True):
        if mask.any() and not mask.all():
            order = np.argsort(-values, kind="stable")
            ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
            true = np.append(0.0, np.cumsum(mask[order])[ends] / mask.sum())
            false = np.append(0.0, np.cumsum(~mask[order])[ends] / (~mask).sum())
            curves.append(np.interp(grid, false, true))
    mean = np.mean(curves, axis=0)
    return RocCurve(grid, mean, float(np.trapezoid(mean, grid)))


def region_dice(regions: Maps, masks: Masks, *, percents: Sequence[int] = PERCENTS) -> Scores:
    """Dice of the mask with the top p per cent of the regions: 2 |X and Y| / (|X| + |Y|), for every p.

    Args:
        regions: (N, *spatial), constant over each region, higher first, as XRAI ranks them; the top p per cent are the
            pixels at or above the (100 - p)th percentile, so that regions enter whole.
        masks: (N, *spatial) bool.
        percents: p, 1 to 100.

    Returns:
        (N, len(percents)), NaN where the mask is empty.
    """
    flat, inside = regions.reshape(len(regions), -1), masks.reshape(len(masks), -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    ranked = np.take_along_axis(flat, order, axis=1)
    hits = np.cumsum(np.take_along_axis(inside, order, axis=1), axis=1)
    cuts = np.percentile(flat, 100.0 - np.asarray(percents), axis=1).T
    taken = np.stack([np.searchsorted(-row, -cut, side="right") for row, cut in zip(ranked, cuts, strict=True)])
    shared = np.take_along_axis(hits, np.maximum(taken, 1) - 1, axis=1) * (taken > 0)
    sizes = inside.sum(axis=1, keepdims=True)
    return np.where(sizes > 0, 2.0 * shared / np.maximum(taken + sizes, 1), np.nan)


def best_dice(dice: Scores) -> float:
    """Highest mean over p, Brocki's figure: legacy, since p is chosen on the images that are scored (optimistic)."""
    return float(np.nanmean(dice, axis=0).max())


def tuned_percent(dice: Scores, *, percents: Sequence[int] = PERCENTS) -> int:
    """Choose the p of the highest mean Dice on the calibration part; ``dice_at`` then scores other patients with it."""
    return percents[int(np.nanmean(dice, axis=0).argmax())]


def dice_at(dice: Scores, percent: int, *, percents: Sequence[int] = PERCENTS) -> Scores:
    """Return each image's Dice at one p, (N,): the figure that decides."""
    return np.asarray(dice[:, list(percents).index(percent)])


def _reached(cells: NDArray[np.int64], chosen: Masks, thresholds: int) -> Scores:
    """Share of each image's chosen pixels at or above each threshold, from the highest down: (N, thresholds)."""
    counts = np.bincount(cells[chosen], minlength=len(cells) * thresholds).reshape(-1, thresholds)
    reached = np.cumsum(counts[:, ::-1], axis=1)
    return np.asarray(reached / reached[:, -1:])

"""Agreement of a map with radiologists' gaze: NCC, AUC and their shuffled forms (Bigolin Lanfredi 2021, 2112.11716).

NCC and AUC reward the middle of the image: a convex lung mask beats radiologists on them. The shuffled forms decide:
sNCC = NCC(G, S) - NCC(B, S) and the sAUC, whose negatives are drawn from the centre bias B; ``centrebias`` gives B. The
paper draws a thousand pixels for each AUC (a standard deviation of 0.013 per image); these are the exact expectations.
No passport has these figures: they are for an engineer who has eye tracks (deploy/guide/examples/compare_with_gaze.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import Refused

Maps = NDArray[np.floating]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fixations:
    """Fixations of one reader on one image, in pixels of the whole image; all arrays are (F,), the rectangle (F, 4).

    Attributes:
        x, y: centre, pixels.
        duration_seconds: weight.
        pixels_per_degree_x, pixels_per_degree_y: of visual angle as shown at that moment.
        shown: (F, 4) x0, y0, x1, y1 of the part of the image that was on the screen, pixels, end exclusive.
    """

    x: Scores
    y: Scores
    duration_seconds: Scores
    pixels_per_degree_x: Scores
    pixels_per_degree_y: Scores
    shown: Scores


def gaze_map(fixations: Fixations, *, height: int, width: int) -> Scores:
    """Spread each fixation over a Gaussian of one degree of visual angle, within what was shown, by its duration.

    Each Gaussian carries the mass of its duration before it is clipped to the shown rectangle.

    Args:
        fixations: of one reader.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        (H, W) that sums to 1; zeros where there was no fixation.
    """
    weight = fixations.duration_seconds / (fixations.pixels_per_degree_x * fixations.pixels_per_degree_y)
    x0, y0, x1, y1 = fixations.shown.T
    down = _bells(fixations.y, fixations.pixels_per_degree_y, y0, y1, height)
    across = _bells(fixations.x, fixations.pixels_per_degree_x, x0, x1, width)
    seen = (down * weight[:, None]).T @ across
    total = seen.sum()
    return np.asarray(seen / total if total > 0 else seen)


def ncc(first: Maps, second: Maps) -> Scores:
    """Normalised cross-correlation of pixel values, Pearson's, pair by pair: (N, H, W) twice -> (N,); constant: 0."""
    first_values, second_values = (_centred(maps) for maps in (first, second))
    scale = np.linalg.norm(first_values, axis=1) * np.linalg.norm(second_values, axis=1)
    products = np.einsum("np,np->n", first_values, second_values)
    return np.divide(products, scale, out=np.zeros(len(products)), where=scale > 0)


def shuffled_ncc(gaze: Maps, saliency: Maps, bias: Maps) -> Scores:
    """NCC with the gaze less NCC with the centre bias, (N, H, W) each -> (N,): above 0 only by this image's content."""
    return ncc(gaze, saliency) - ncc(bias, saliency)


def density_auc(gaze: Maps, saliency: Maps, negatives: Maps | None = None) -> Scores:
    """Return the chance that a pixel drawn by gaze has a higher saliency than one drawn otherwise, ties counting half.

    Args:
        gaze: (N, H, W), weights of the positives, none negative.
        saliency: (N, H, W).
        negatives: (N, H, W), weights of the negatives: the centre bias for the shuffled AUC; None: every pixel alike.

    Returns:
        (N,), 0.5 for a map that knows nothing; NaN where a weight is zero everywhere.
    """
    others = np.ones_like(gaze) if negatives is None else negatives
    values, drawn, against = (part.reshape(len(part), -1).astype(np.float64) for part in (saliency, gaze, others))
    order = np.argsort(values, axis=1, kind="stable")
    values, drawn, against = (np.take_along_axis(part, order, axis=1) for part in (values, drawn, against))
    sums = np.cumsum(against, axis=1)
    pixels = values.shape[1]
    changes = values[:, 1:] != values[:, :-1]
    edge = np.ones((len(values), 1), dtype=np.bool_)
    last = np.where(np.concatenate([changes, edge], axis=1), np.arange(pixels), pixels)
    ends = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    starts = np.maximum.accumulate(np.where(np.concatenate([edge, changes], axis=1), np.arange(pixels), 0), axis=1)
    upto = np.take_along_axis(sums, ends, axis=1)
    before = np.where(starts > 0, np.take_along_axis(sums, np.maximum(starts - 1, 0), axis=1), 0.0)
    wins = (drawn * (upto + before) / 2).sum(axis=1)
    total = drawn.sum(axis=1) * against.sum(axis=1)
    return np.divide(wins, total, out=np.full(len(wins), np.nan), where=total > 0)


def shuffled_auc(gaze: Maps, saliency: Maps, bias: Maps) -> Scores:
    """``density_auc`` with negatives drawn by the centre bias, (N, H, W) each -> (N,)."""
    return density_auc(gaze, saliency, bias)


def other_readers(readers: Maps) -> Scores:
    """Give, for each reader of one image, the mean of the other readers' maps: (R, H, W) -> (R, H, W).

    The truth that a reader and every method are both scored against, so that humans and models face the same: the
    reader's own map against it is the interobserver figure.

    Raises:
        Refused: fewer than two readers.
    """
    if len(readers) < 2:
        raise Refused("Leaving one reader out needs at least two.")
    maps = readers.astype(np.float64)
    return np.asarray((maps.sum(axis=0) - maps) / (len(maps) - 1))


def _bells(centre: Scores, sigma: Scores, start: Scores, stop: Scores, length: int) -> Scores:
    """Evaluate a Gaussian along one axis for each fixation, zero outside what was shown: (F, length)."""
    places = np.arange(length)
    height = np.exp(-0.5 * ((places - centre[:, None]) / sigma[:, None]) ** 2)
    return np.where((places >= start[:, None]) & (places < stop[:, None]), height, 0.0)


def _centred(maps: Maps) -> Scores:
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    centred = flat - flat.mean(axis=1, keepdims=True)
    return np.where(np.ptp(flat, axis=1, keepdims=True) > 0, centred, 0.0)

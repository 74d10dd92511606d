"""Localisation against masks: the first criterion of Arun et al. 2021; hit rate of Saporta et al. 2022 (CheXlocalize).

Maps are (N, *spatial), higher is more important; masks are (N, *spatial) bool. Every function gives (N,) figures, NaN
where the mask is empty: there is nothing to point at. Nothing here says much without the same figure for maps that
know nothing (average mask, centre, edges, blank, random).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from inference.criteria.agreement import hottest
from inference.criteria.otsu import above, otsu_thresholds
from inference.errors import Refused

Maps = NDArray[np.floating]
Masks = NDArray[np.bool_]
Scores = NDArray[np.float64]

THRESHOLDS = np.linspace(0.2, 0.8, 13)
"""Of the min-max scaled map, among which Saporta et al. choose per finding."""


def average_precision(maps: Maps, masks: Masks) -> Scores:
    """Average precision of pixels, the step form: sum over thresholds of (R_k - R_(k-1)) P_k; ties enter together.

    This form decides. It is scikit-learn's ``average_precision_score``; a blank map scores the mask's share of the
    image, as a map that knows nothing must.

    Args:
        maps: (N, *spatial).
        masks: (N, *spatial) bool.

    Returns:
        (N,), 0 to 1.
    """
    hits, true_positives, ends = _ranked(maps, masks)
    total = true_positives[:, -1:]
    precision = np.take_along_axis(true_positives, ends, axis=1) / (ends + 1)
    return _of_total((hits * precision).sum(axis=1), total[:, 0])


def trapezoid_auprc(maps: Maps, masks: Masks) -> Scores:
    """Area under the precision-recall curve by trapezoids: legacy, for comparison with Arun et al. 2021 only.

    Broken where values tie: the line between two far points of the curve is not a classifier. A blank map over a mask
    of 3.5 % scores 0.52. ``average_precision`` decides.

    Args:
        maps: (N, *spatial).
        masks: (N, *spatial) bool.

    Returns:
        (N,), 0 to 1: scikit-learn's ``auc(recall, precision)``.
    """
    _, true_positives, ends = _ranked(maps, masks)
    total = np.maximum(true_positives[:, -1:], 1)
    place = np.arange(true_positives.shape[1])
    last = ends == place
    precision = np.where(last, true_positives / (place + 1), 0.0)
    recall = np.where(last, true_positives / total, 0.0)
    before = np.maximum.accumulate(np.where(last, place, -1), axis=1)[:, :-1]
    before = np.concatenate([np.full((len(true_positives), 1), -1), before], axis=1)
    earlier = np.take_along_axis(precision, np.maximum(before, 0), axis=1)
    earlier = np.where(before < 0, 1.0, earlier)
    earlier_recall = np.where(before < 0, 0.0, np.take_along_axis(recall, np.maximum(before, 0), axis=1))
    area = np.where(last, (recall - earlier_recall) * (precision + earlier) / 2, 0.0).sum(axis=1)
    return _of_total(area * true_positives[:, -1], true_positives[:, -1])


def normalised_average_precision(maps: Maps, masks: Masks) -> Scores:
    """(AP - p) / (1 - p), p the mask's share of the image: 0 knows nothing, 1 is perfect, whatever the size.

    Args:
        maps: (N, *spatial).
        masks: (N, *spatial) bool; a mask that fills its image gives NaN.

    Returns:
        (N,), at most 1.
    """
    share = masks.reshape(len(masks), -1).mean(axis=1)
    room = 1.0 - share
    return np.divide(average_precision(maps, masks) - share, room, out=np.full(len(masks), np.nan), where=room > 0)


def iou_at_otsu(maps: Maps, masks: Masks) -> Scores:
    """Intersection over union of the mask with the pixels above the map's own Otsu threshold (Saporta et al. 2022).

    Args:
        maps: (N, *spatial); a constant map has no pixel above.
        masks: (N, *spatial) bool.

    Returns:
        (N,), 0 to 1.
    """
    return overlap(above(maps, otsu_thresholds(maps)), masks)


def iou_at(maps: Maps, masks: Masks, threshold: float) -> Scores:
    """Intersection over union of the mask with the pixels of the min-max scaled map above a fixed threshold.

    Args:
        maps: (N, *spatial).
        masks: (N, *spatial) bool.
        threshold: 0 to 1; chosen on other patients than these, by ``tuned_threshold``.

    Returns:
        (N,), 0 to 1.
    """
    flat = maps.reshape(len(maps), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    return overlap(above(maps, low + threshold * (high - low)), masks)


def tuned_threshold(maps: Maps, masks: Masks) -> float:
    """Choose the threshold of the highest mean IoU among 0.20, 0.25 ... 0.80 on the calibration part (ties: lowest).

    Args:
        maps: (N, *spatial) of the calibration part, of patients not scored later.
        masks: (N, *spatial) bool.

    Raises:
        Refused: every mask is empty.
    """
    if not masks.any():
        raise Refused("A threshold cannot be tuned on empty masks.")
    means = [np.nanmean(iou_at(maps, masks, float(threshold))) for threshold in THRESHOLDS]
    return float(THRESHOLDS[int(np.argmax(means))])


def hit(maps: Maps, masks: Masks) -> Scores:
    """Pointing game (Zhang et al. 2018): is the hottest pixel in the mask? Of tied hottest pixels, the share inside.

    Args:
        maps: (N, *spatial).
        masks: (N, *spatial) bool.

    Returns:
        (N,), 0 or 1, between where hottest pixels tie: the expected hit of a peak drawn among them.
    """
    flat, inside = maps.reshape(len(maps), -1), masks.reshape(len(masks), -1)
    hottest = flat == flat.max(axis=1, keepdims=True)
    share = (hottest & inside).sum(axis=1) / hottest.sum(axis=1)
    return np.where(inside.any(axis=1), share, np.nan)


def touches(maps: Maps, masks: Masks, *, share: float, seed: int) -> Masks:
    """Say whether the hottest share of a map's pixels touches the mask.

    Args:
        maps: (N, *spatial).
        masks: (N, *spatial) bool.
        share: of the pixels, 0 to 1.
        seed: of the lot among ties.

    Returns:
        (N,) bool; never where the mask is empty.
    """
    lot = np.random.default_rng(seed)
    rows = zip(maps, masks, strict=True)
    return np.array([bool(mask.reshape(-1)[hottest(values.reshape(-1), lot, share)].any()) for values, mask in rows])


def peak_distance(peaks: Sequence[tuple[int, ...]], masks: Masks) -> Scores:
    """Distance from each peak to the nearest pixel of its mask, (N,), pixels: 0 inside, NaN where the mask is empty.

    Args:
        peaks: N places, (axes,) each.
        masks: (N, *spatial) bool.
    """
    rows = zip(peaks, masks, strict=True)
    return np.array(
        [float(distance_transform_edt(~mask)[peak]) if mask.any() else float("nan") for peak, mask in rows], np.float64
    )


def energy_in_mask(maps: Maps, masks: Masks) -> Scores:
    """Share of the map's positive mass that lies in the mask (Wang et al. 2020; relevance mass accuracy, Arras 2022).

    Args:
        maps: (N, *spatial); negative values carry no energy; a map without any has 0 in the mask.
        masks: (N, *spatial) bool.

    Returns:
        (N,), 0 to 1; a blank but constant positive map has the mask's share of the image.
    """
    positive = np.maximum(maps.reshape(len(maps), -1), 0).astype(np.float64)
    inside = masks.reshape(len(masks), -1)
    total = positive.sum(axis=1)
    share = np.divide((positive * inside).sum(axis=1), total, out=np.zeros(len(total)), where=total > 0)
    return np.where(inside.any(axis=1), share, np.nan)


def overlap(first: Masks, second: Masks) -> Scores:
    """Intersection over union of pairs of masks, (N, *spatial) each -> (N,); NaN where the second is empty."""
    first_flat, second_flat = first.reshape(len(first), -1), second.reshape(len(second), -1)
    union = (first_flat | second_flat).sum(axis=1)
    share = np.divide((first_flat & second_flat).sum(axis=1), union, out=np.zeros(len(union)), where=union > 0)
    return np.where(second_flat.any(axis=1), share, np.nan)


def mask_of_boxes(boxes: Sequence[Sequence[float]], *, source_pixels: int = 1024, pixels: int = 320) -> Masks:
    """Fill annotation boxes on the network's grid, with Arun's mapping: int(pixels * coordinate / (source - 1)).

    Args:
        boxes: (x0, y0, x1, y1) each, pixels of the square source, both corners inside the box.
        source_pixels: side of the source.
        pixels: side of the grid.

    Returns:
        (pixels, pixels) bool.
    """
    mask = np.zeros((pixels, pixels), dtype=np.bool_)
    for x0, y0, x1, y1 in (np.asarray(box, dtype=np.float64) * pixels // (source_pixels - 1) for box in boxes):
        mask[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = True
    return mask


def _ranked(maps: Maps, masks: Masks) -> tuple[Masks, NDArray[np.int64], NDArray[np.intp]]:
    """Rank pixels, hottest first: is it in the mask, so many found, last place of its tie; (N, pixels) each."""
    flat, inside = maps.reshape(len(maps), -1), masks.reshape(len(masks), -1)
    if flat.shape != inside.shape:
        raise Refused(f"Maps of shape {maps.shape} came with masks of shape {masks.shape}.")
    order = np.argsort(-flat, axis=1, kind="stable")
    values, hits = np.take_along_axis(flat, order, axis=1), np.take_along_axis(inside, order, axis=1)
    pixels = flat.shape[1]
    last = np.ones(values.shape, dtype=np.bool_)
    last[:, :-1] = values[:, :-1] != values[:, 1:]
    places = np.where(last, np.arange(pixels), pixels)
    ends = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]
    return hits, np.cumsum(hits, axis=1), ends


def _of_total(sums: NDArray[np.float64], totals: NDArray[np.int64]) -> Scores:
    return np.divide(sums, totals, out=np.full(len(sums), np.nan), where=totals > 0)

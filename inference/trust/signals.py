"""Signals of one map, computed from its evidence without knowledge of where the finding is.

Tier A looks at the map and the model, B at the image under the map's peak, C at an independent localiser. The tiers are
different evidence and are reported apart: agreement and stability say nothing of being right, a bright spot is no
lesion, and only the localiser comes from outside the model.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from inference.criteria.agreement import hottest_overlap, spearman
from inference.saliency.engine.maps import peak_of
from inference.trust.evidence import Evidence, Maps, Numbers
from inference.trust.kinds import NAMES

PEAK_BLUR_SHARE = 1 / 85
"""SD of the blur of what is read at the peak, as a share of the shorter side: 1.5 of 128 pixels."""
DISC_SHARE, RING_SHARE = 1 / 25, 1 / 10
"""Radii of the disc round the peak and of the ring round the disc, as shares of the shorter side."""
HOTTEST = 0.05
SURE = 0.5
Predict = Callable[[torch.Tensor], Numbers]
"""Inputs (N, channels, *spatial) to probabilities (N, classes)."""
NONE = float("nan")
"""A signal that cannot be had."""


def signal_table(maps: Maps, evidence: Sequence[Evidence], covered: Numbers, *, seeds: Sequence[int]) -> Numbers:
    """Return every signal of several maps, (N, signals) in the order of ``NAMES``; NaN where it cannot be had.

    Args:
        maps: (N, *spatial), signed.
        evidence: of each map's case.
        covered: (N, 2), from ``covered_probabilities``; NaN: the budget leaves it out.
        seeds: of the lot among ties, one a map.
    """
    rows = [signals(*row) for row in zip(maps, evidence, covered, seeds, strict=True)]
    return np.array([[row[name] for name in NAMES] for row in rows]).reshape(len(maps), len(NAMES))


def signals(values: Maps, evidence: Evidence, covered: Numbers, seed: int) -> Mapping[str, float]:
    """Return every signal of one map, by name.

    Args:
        values: (*spatial), signed.
        evidence: of its case.
        covered: (2,): the probability without, and with nothing but, the map's hottest place.
        seed: of the lot among ties.
    """
    peak, alike = peak_of(values), _alike(values, evidence)
    own = float(evidence.probabilities[evidence.class_index])
    others = np.delete(evidence.probabilities, evidence.class_index)
    return {
        "probability": own,
        "margin": own - float(others.max()) if len(others) else NONE,
        **_shape(values, peak),
        **alike,
        **_others("replicate", values, peak, evidence.replicates),
        **_others("alternate", values, peak, evidence.alternates),
        "replicate_overlap": _mean(hottest_overlap(values, evidence.replicates, seed=seed)),
        "contrast_rank": _rank_in(evidence.contrast, peak),
        "moved_rank": _rank_in(evidence.moved, peak),
        "gradient_rank": _mean([_rank_at(_blurred(values, 2.0), peak) for values in evidence.gradient]),
        "deletion": own - float(covered[0]),
        "insertion": float(covered[1]),
        **_under(evidence.image, peak),
        **_localised(values, peak, evidence.localiser),
    }


def covered_probabilities(maps: Maps, inputs: torch.Tensor, class_indices: Sequence[int], predict: Predict) -> Numbers:
    """Return the probability of each map's class without its hottest tenth, and with nothing but that, (N, 2).

    What is taken away is replaced by the image blurred beyond recognition (Fong and Vedaldi 2017).

    Args:
        maps: (N, *spatial).
        inputs: (N, channels, *spatial).
        class_indices: of each map.
        predict: see ``Predict``.
    """
    width = min(inputs.shape[2:]) / 8
    blurred = torch.from_numpy(
        np.stack([[gaussian_filter(channel, width) for channel in image] for image in inputs.numpy()])
    ).to(inputs)
    place = torch.from_numpy(np.stack([_hot_place(values) for values in maps]))[:, None].to(inputs)
    without, only = inputs * (1 - place) + blurred * place, blurred * (1 - place) + inputs * place
    predicted = predict(torch.cat([without, only]))
    index = np.arange(len(maps))
    return np.stack([predicted[index, class_indices], predicted[len(maps) + index, class_indices]], axis=1)


def _shape(values: Maps, peak: tuple[int, ...]) -> dict[str, float]:
    shown = np.clip(values.astype(np.float64), 0, None)
    total, highest = float(shown.sum()), float(shown.max())
    if highest <= 0:
        return {"peak_height": NONE, "concentration": NONE, "second_peak": NONE, "edge_distance": NONE}
    hottest = np.sort(shown, axis=None)[::-1][: max(1, round(HOTTEST * shown.size))]
    spots, count = label(shown >= highest / 4)
    heights = [float(shown[spots == spot].max()) for spot in range(1, count + 1) if spot != spots[peak]]
    edge = min(min(at, side - 1 - at) / side for at, side in zip(peak, shown.shape, strict=True))
    return {
        "peak_height": float(np.log(highest)),
        "concentration": float(hottest.sum() / total),
        "second_peak": max(heights, default=0.0) / highest,
        "edge_distance": edge,
    }


def _others(who: str, values: Maps, peak: tuple[int, ...], theirs: Maps) -> dict[str, float]:
    distances = [_distance(peak, peak_of(other), values.shape) for other in theirs]
    return {f"{who}_rank": _rank_in(theirs, peak), f"{who}_distance": _mean(distances)}


def _under(image: Maps, peak: tuple[int, ...]) -> dict[str, float]:
    """Look at the image where the map peaks; the mirror is that of the last axis."""
    side = min(image.shape)
    away = np.sqrt(
        sum((axis - at) ** 2 for axis, at in zip(np.ogrid[tuple(map(slice, image.shape))], peak, strict=True))
    )
    disc, ring = away <= max(1.0, DISC_SHARE * side), (away > DISC_SHARE * side) & (away <= RING_SHARE * side)
    tissue = image > image.min() + 0.04 * np.ptp(image)
    spread = float(image[tissue].std()) if tissue.any() else 0.0
    if spread <= 0:
        return dict.fromkeys(("peak_brightness", "peak_contrast", "peak_texture", "peak_asymmetry"), NONE)
    here = float(image[disc].mean())
    return {
        "peak_brightness": float((image[tissue] < here).mean()),
        "peak_contrast": (here - float(image[ring].mean())) / spread if ring.any() else NONE,
        "peak_texture": float(image[disc].std()) / spread,
        "peak_asymmetry": (here - float(image[..., ::-1][disc].mean())) / spread,
    }


def _localised(values: Maps, peak: tuple[int, ...], localiser: Maps | None) -> dict[str, float]:
    names = ("witness_at_peak", "witness_share", "witness_distance", "witness_certainty")
    if localiser is None:
        return dict.fromkeys(names, NONE)
    shown = np.clip(values.astype(np.float64), 0, None)
    seen = np.argwhere(localiser > SURE)
    apart = np.sqrt(np.square((seen - peak) / np.array(values.shape)).sum(axis=1)).min() if len(seen) else 1.0
    total = float(shown.sum())
    share = float((shown * localiser).sum() / total) if total > 0 else NONE
    measured = (_blurred(localiser, min(values.shape) * PEAK_BLUR_SHARE)[peak], share, apart, localiser.max())
    return {name: float(value) for name, value in zip(names, measured, strict=True)}


def _alike(values: Maps, evidence: Evidence) -> dict[str, float]:
    """Rank-correlate the map with every map of each part; its own ranks are taken once."""
    parts = {
        "replicate": evidence.replicates,
        "alternate": evidence.alternates,
        "twin": evidence.twin,
        "contrast": evidence.contrast,
        "moved": evidence.moved,
    }
    agreements = spearman(values, np.concatenate(list(parts.values())))
    shares = np.split(agreements, np.cumsum([len(maps) for maps in parts.values()])[:-1])
    return {f"{name}_spearman": _mean(share) for name, share in zip(parts, shares, strict=True)}


def _mean(values: Sequence[float] | Numbers) -> float:
    return float(np.mean(values)) if len(values) else NONE


def _rank_in(maps: Maps, peak: tuple[int, ...]) -> float:
    return _mean([_rank_at(values, peak) for values in maps])


def _rank_at(values: NDArray[np.floating], peak: tuple[int, ...]) -> float:
    """Return the share of pixels below the value at a place, ties half."""
    at = values[peak]
    return float((values < at).mean() + (values == at).mean() / 2)


def _distance(first: Sequence[int], second: Sequence[int], shape: Sequence[int]) -> float:
    return float(np.sqrt(np.square((np.array(first) - np.array(second)) / np.array(shape)).sum()))


def _blurred(values: Maps, width: float) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(values.astype(np.float64), width))


def _hot_place(values: Maps) -> Maps:
    """Mark the hottest tenth, softly at its rim, (*spatial), 0 to 1."""
    bound = np.partition(values, -max(1, values.size // 10), axis=None)[-max(1, values.size // 10)]
    return np.asarray(gaussian_filter((values >= bound).astype(np.float32), 1.0))

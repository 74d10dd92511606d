"""Performance information curves, SIC and AIC (Kapishnikov et al. 2019): prediction against information shown.

SIC (softmax) and AIC (accuracy): the image is blurred to 1 % of its pixels, then rebuilt from the map's hottest pixels;
the curve is the recovered prediction over the recovered information. As PAIR's ``saliency.metrics.pic``, which Brima
and Atemkeng 2024 used. A mask of scattered random pixels rebuilds smooth medical images well and can win: no figure
stands without the one of ``random_map``. Planes only: there is no webp of a volume.

Areas agree with PAIR's within 1e-3 (see ``reconstruct`` for what is left). Where ties reveal a grey image whole, PAIR's
release fails on the shape of what it returns; here the original is scored.
"""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.criteria.reconstruct import reconstructed
from inference.errors import Refused

Pixels = NDArray[np.uint8]
Entropy = Callable[[Pixels], float]
Predict = Callable[[Pixels], NDArray[np.floating]]
"""Images (B, H, W) or (B, H, W, channels), uint8, to probabilities (B, classes)."""

THRESHOLDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75)
SEED_FRACTION = 0.01
LEAST_PREDICTION = 0.8
POINTS = 1000
"""Of the curve's grid, and a last one at 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Recovered prediction over recovered information: ``x`` and ``y`` (1001,), 0 to 1, and the area below."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    auc: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why an image has no curve."""

    reason: Literal["prediction too low", "blurred image not simpler", "blurred prediction not lower"]


@dataclass(frozen=True, slots=True)
class Information:
    """Both curves of one image and one map, each judged on its own whether the image can have it."""

    sic: Curve | Rejected
    aic: Curve | Rejected


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """The curve over images, its area, and over how many: an area of few kept images says little."""

    curve: Curve
    method: Literal["mean", "median"]
    kept: int
    rejected: int


def random_map(height: int, width: int, *, seed: int) -> NDArray[np.float64]:
    """Return the map every method is compared with, uniform from 0 to 1: (H, W)."""
    return np.random.default_rng(seed).random((height, width))


def seed_mask(height: int, width: int, *, seed: int, fraction: float = SEED_FRACTION) -> NDArray[np.bool_]:
    """Draw the pixels known from the start, (H, W) bool: new for every image, the same for every method."""
    mask = np.zeros(height * width, dtype=np.bool_)
    mask[np.random.default_rng(seed).choice(mask.size, size=int(mask.size * fraction), replace=False)] = True
    return mask.reshape(height, width)


def webp_entropy(image: Pixels) -> float:
    """Length in bytes of the image as lossless webp: the estimator of the paper, and the one that decides."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="webp", lossless=True, quality=100)
    return float(buffer.tell())


def grey_entropy(image: Pixels) -> float:
    """Shannon entropy in bits of the 256 grey values: legacy, for comparison with Brima and Atemkeng 2024 only.

    Blind to where the values lie: the blurred image often has more of it than the original, and most are rejected.
    """
    shares = np.bincount(image.ravel(), minlength=256) / image.size
    return float(-(shares[shares > 0] * np.log2(shares[shares > 0])).sum())


def information_curves(
    image: Pixels,
    saliency: NDArray[np.floating],
    known: NDArray[np.bool_],
    predict: Predict,
    *,
    target: int,
    entropy: Entropy = webp_entropy,
    thresholds: Sequence[float] = THRESHOLDS,
    least_prediction: float = LEAST_PREDICTION,
    keep_monotonous: bool = True,
) -> Information:
    """Rebuild one image from one map and give SIC and AIC: the same reconstructions serve both.

    Args:
        image: (H, W) or (H, W, 3).
        saliency: (H, W), higher is revealed earlier; absolute values are the caller's to take. Pixels that tie at a
            threshold are revealed together: a blank map reveals everything at once.
        known: (H, W) bool, of ``seed_mask``.
        predict: asked once, with all reconstructions in one batch.
        target: class whose prediction is to come back.
        entropy: ``webp_entropy``, or ``grey_entropy`` for legacy figures.
        thresholds: shares of the image revealed, ascending.
        least_prediction: images predicted below it are rejected.
        keep_monotonous: a curve never falls, as in the paper.

    Raises:
        Refused: the image is not of bytes, or the shapes differ.
    """
    if image.dtype != np.uint8 or image.shape[:2] != saliency.shape or known.shape != saliency.shape:
        raise Refused("Information curves need a uint8 image with a map and a seed mask of its height and width.")
    cuts = np.quantile(saliency, 1.0 - np.asarray(thresholds))
    revealed = [known, *((saliency >= cut) | known for cut in cuts)]
    with ThreadPoolExecutor() as threads:  # both Qhull and webp leave the interpreter free
        images = np.stack([*threads.map(partial(reconstructed, image), revealed), image])
        bits = np.array(list(threads.map(entropy, images)), dtype=np.float64)
    predicted = np.asarray(predict(images), dtype=np.float64)
    right = (predicted.argmax(axis=1) == target).astype(np.float64)
    least = least_prediction
    return Information(
        _curve(bits, predicted[:, target], least, keep_monotonous), _curve(bits, right, least, keep_monotonous)
    )


def aggregate(curves: Sequence[Curve | Rejected], *, method: Literal["mean", "median"]) -> Aggregate:
    """Average curves over images, point by point.

    The mean's area is the mean of the areas. The median, PAIR's default, is legacy: an AIC is a step, and the median
    step stands at 1 (area 0) for most methods of Brima and Atemkeng 2024.

    Args:
        curves: of one method, of all images; the rejected are counted.
        method: of averaging.

    Raises:
        Refused: every image was rejected.
    """
    kept = [curve for curve in curves if isinstance(curve, Curve)]
    if not kept:
        raise Refused(f"All {len(curves)} images were rejected: there is no information curve.")
    heights = np.stack([curve.y for curve in kept])
    y = heights.mean(axis=0) if method == "mean" else np.median(heights, axis=0)
    averaged = Curve(kept[0].x, y, float(np.trapezoid(y, kept[0].x)))
    return Aggregate(averaged, method, len(kept), len(curves) - len(kept))


def _curve(
    bits: NDArray[np.float64], predicted: NDArray[np.float64], least_prediction: float, keep_monotonous: bool
) -> Curve | Rejected:
    """Normalise between the blurred image (first) and the original (last) and put the curve on its grid."""
    if predicted[-1] < least_prediction:
        return Rejected("prediction too low")
    if bits[0] >= bits[-1]:
        return Rejected("blurred image not simpler")
    if predicted[0] >= predicted[-1]:
        return Rejected("blurred prediction not lower")
    x, y = (np.clip((part[1:-1] - part[0]) / (part[-1] - part[0]), 0.0, 1.0) for part in (bits, predicted))
    if keep_monotonous:
        y = np.maximum.accumulate(y)
    x, y = np.append(x, [0.0, 1.0]), np.append(y, [0.0, 1.0])
    order = np.argsort(x, kind="stable")
    grid = np.linspace(0.0, 1.0, POINTS, endpoint=False)
    heights = np.append(np.interp(grid, x[order], y[order]), 1.0)
    grid = np.append(grid, 1.0)
    return Curve(grid, heights, float(np.trapezoid(heights, grid)))

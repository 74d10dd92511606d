"""What the anatomy in an image is like, in a few figures that know nothing of what it shows: contrast, texture, place.

They say whether an image is of the kind a bundle was commissioned on. Nothing is measured outside the anatomy, and
nothing depends on the scale or the offset of the grey levels: another gain, another border grey or a brighter air are
no other kind of image.
"""

import numpy as np
from numpy.typing import NDArray

from inference.errors import UnsupportedImage

Numbers = NDArray[np.float64]
ANATOMY = 0.1
"""Anatomy is brighter than this share of the way from the 1 % quantile of the grey levels to the 99 % quantile."""
SMALLEST_SIDE = 8
TINY = 1e-12
LEAST_RATIO = 1e-3
"""Added to ratios before their logarithm: a figure of 0 stays finite."""
FIGURES = (
    "area", "contrast", "asymmetry", "dark_tail", "bright_tail", "brightest", "grain", "edge_energy", "spectral_slope",
    "mirror_likeness",
)  # fmt: skip
PLACES = ("centre", "extent")
"""Along each axis."""


def statistic_names(dimensions: int) -> tuple[str, ...]:
    """Name the columns of ``image_statistics`` for images of so many axes."""
    return (*FIGURES, *(f"{place}_{axis}" for place in PLACES for axis in range(dimensions)), "filling")


def image_statistics(pixels: NDArray[np.floating]) -> Numbers:
    """Describe the anatomy of images: its contrast, texture, symmetry and place.

    ``area``: share of the image. ``contrast``: logarithm of the interquartile range of the grey levels over their
    median, both above the 1 % quantile of the image. In interquartile ranges: ``asymmetry``, of the quartiles about the
    median; ``dark_tail``, ``bright_tail`` and ``brightest``, from the median to the 5, 95 and 99 % quantiles;
    ``grain``, the median absolute difference of neighbours along the last axis; ``edge_energy``, the median size of the
    gradient (the last four but ``dark_tail`` as logarithms). ``spectral_slope``: of log power against log frequency
    between 1/32 and 1/2 cycles per pixel (van der Schaaf and van Hateren 1996), and ``mirror_likeness``: correlation
    with the image mirrored along the last axis, both with the median in place of what is no anatomy. ``centre`` and
    ``extent`` along each axis: mean place of the anatomy and the share of the axis that holds any, as shares of the
    side. ``filling``: the anatomy's share of the box of its extents. All are finite for any finite image.

    Args:
        pixels: (N, *spatial), any scale, every side at least 8 pixels.

    Returns:
        (N, S), as ``statistic_names(len(spatial))`` says; 11 + 2 for each axis.

    Raises:
        UnsupportedImage: a side below 8 pixels, or values that are not finite.
    """
    images = np.asarray(pixels, dtype=np.float64)
    if images.ndim < 2 or min(images.shape[1:]) < SMALLEST_SIDE or not np.isfinite(images).all():
        raise UnsupportedImage("An image to be described needs finite pixels and at least 8 on every side.")
    names = statistic_names(images.ndim - 1)
    return np.array([_figures(image) for image in images]).reshape(len(images), len(names))


def _figures(image: Numbers) -> list[float]:
    low, high = np.quantile(image, (0.01, 0.99))
    anatomy = image > low + ANATOMY * (high - low)
    if high - low <= TINY or not anatomy.any():
        return [0.0] * len(statistic_names(image.ndim))
    q05, q25, median, q75, q95, q99 = np.quantile(image[anatomy] - low, (0.05, 0.25, 0.5, 0.75, 0.95, 0.99))
    between = max(q75 - q25, LEAST_RATIO * (high - low))
    gradient = np.sqrt(sum(part**2 for part in np.gradient(image)))[anatomy]
    steps = np.abs(np.diff(image, axis=-1))[anatomy[..., 1:] & anatomy[..., :-1]]
    filled = np.where(anatomy, image - low, median)
    return [
        float(anatomy.mean()),
        _log(between / median),
        (q75 + q25 - 2 * median) / between,
        (median - q05) / between,
        _log((q95 - median) / between),
        _log((q99 - median) / between),
        _log(np.median(steps) / between if steps.size else 0.0),
        _log(np.median(gradient) / between),
        _spectral_slope(filled),
        _mirror_likeness(filled),
        *_places(anatomy),
    ]


def _log(ratio: float) -> float:
    return float(np.log(max(ratio, 0.0) + LEAST_RATIO))


def _spectral_slope(image: Numbers) -> float:
    power = np.abs(np.fft.fftn(image - image.mean())) ** 2
    axes = np.meshgrid(*(np.fft.fftfreq(side) for side in image.shape), indexing="ij", sparse=True)
    frequency = np.sqrt(sum(axis**2 for axis in axes))
    edges = np.geomspace(1 / 32, 1 / 2, 9)
    band = np.digitize(frequency.ravel(), edges)
    counts = np.bincount(band, minlength=10)[1:9]
    total = np.bincount(band, power.ravel(), minlength=10)[1:9]
    there = counts > 0
    if total.sum() <= TINY or there.sum() < 2:
        return 0.0
    middle = np.log(np.sqrt(edges[:-1] * edges[1:]))[there]
    return float(np.polyfit(middle, np.log(total[there] / counts[there] + TINY), 1)[0])


def _mirror_likeness(image: Numbers) -> float:
    centred = image - image.mean()
    scale = float((centred**2).sum())
    return float((centred * centred[..., ::-1]).sum()) / scale if scale > TINY else 1.0


def _places(anatomy: NDArray[np.bool_]) -> list[float]:
    centres, extents = [], []
    for axis, side in enumerate(anatomy.shape):
        others = tuple(other for other in range(anatomy.ndim) if other != axis)
        centres.append(float((np.nonzero(anatomy)[axis].mean() + 0.5) / side))
        extents.append(float(anatomy.any(axis=others).mean()))
    return [*centres, *extents, float(anatomy.mean() / np.prod(extents))]

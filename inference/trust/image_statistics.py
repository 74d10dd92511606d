"""What an image is like as a whole, in a few figures that know nothing of what it shows: grey levels, edges, place.

One room for two uses: what a classifier could guess from by a shortcut (DeGrave et al. 2021), and whether an image is
of the kind a bundle was commissioned on.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.errors import UnsupportedImage

Numbers = NDArray[np.float64]
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
GREY_NAMES = (
    "mean", "sd", "maximum", "air_share", "border_mean", "border_sd", *(f"quantile_{q:g}" for q in QUANTILES)
)  # fmt: skip
AIR = 0.04
"""Display values (0 black to 1 white) below this are air: 10 of 255 grey levels."""
BORDER_SHARE = 1 / 64
SMALLEST_SIDE = 8
TINY = 1e-12


def grey_statistics(pixels: NDArray[np.floating], *, air: float, border: Sequence[int]) -> Numbers:
    """Return mean, SD, maximum, share of air, mean and SD of the border, and 8 quantiles, as ``GREY_NAMES``.

    Args:
        pixels: (N, *spatial), any scale.
        air: values below this count as air.
        border: width of the border along each axis, pixels.

    Returns:
        (N, 14).
    """
    flat = pixels.reshape(len(pixels), -1)
    rim = np.ones(pixels.shape[1:], np.bool_)
    rim[tuple(slice(width, -width) for width in border)] = False
    edge = flat[:, rim.ravel()]
    return np.column_stack(
        [
            flat.mean(axis=1),
            flat.std(axis=1),
            flat.max(axis=1),
            (flat < air).mean(axis=1),
            edge.mean(axis=1),
            edge.std(axis=1),
            np.quantile(flat, QUANTILES, axis=1).T,
        ]
    )


def statistic_names(dimensions: int) -> tuple[str, ...]:
    """Name the columns of ``image_statistics`` for images of so many axes."""
    places = [f"{what}_{axis}" for what in ("centre", "spread", "extent") for axis in range(dimensions)]
    return (*GREY_NAMES, "edge_energy", "grain", "spectral_slope", "mirror_likeness", *places)


def image_statistics(pixels: NDArray[np.floating]) -> Numbers:
    """Describe whole images: grey levels, edges, grain, spectrum, symmetry, and where the bright matter lies.

    ``edge_energy``: mean size of the gradient per pixel. ``grain``: median absolute difference of neighbours along the
    last axis, in tissue. ``spectral_slope``: of log power against log frequency between 1/32 and 1/2 cycles per pixel
    (van der Schaaf and van Hateren 1996). ``mirror_likeness``: correlation with the image mirrored along the last axis.
    ``centre``, ``spread`` and ``extent`` along each axis: mean and SD of the brightness's place and the share of the
    axis that holds any tissue, all as shares of the side. All are finite for any finite image, a blank one included.

    Args:
        pixels: (N, *spatial), 0 black to 1 white, every side at least 8 pixels.

    Returns:
        (N, S), as ``statistic_names(len(spatial))`` says; 14 + 4 + 3 for each axis.

    Raises:
        UnsupportedImage: a side below 8 pixels, or values that are not finite.
    """
    images = np.asarray(pixels, dtype=np.float64)
    if images.ndim < 2 or min(images.shape[1:]) < SMALLEST_SIDE or not np.isfinite(images).all():
        raise UnsupportedImage("An image to be described needs finite pixels and at least 8 on every side.")
    border = [max(1, round(side * BORDER_SHARE)) for side in images.shape[1:]]
    return np.hstack([grey_statistics(images, air=AIR, border=border), np.array([_texture(image) for image in images])])


def _texture(image: Numbers) -> list[float]:
    gradient = np.sqrt(sum(part**2 for part in np.gradient(image)))
    tissue = image >= AIR
    steps = np.abs(np.diff(image, axis=-1))[tissue[..., 1:]]
    grain = float(np.median(steps)) if steps.size else 0.0
    return [float(gradient.mean()), grain, _spectral_slope(image), _mirror_likeness(image), *_places(image, tissue)]


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


def _places(image: Numbers, tissue: NDArray[np.bool_]) -> list[float]:
    total = float(image.sum())
    centres, spreads, extents = [], [], []
    for axis, side in enumerate(image.shape):
        others = tuple(other for other in range(image.ndim) if other != axis)
        place = (np.arange(side) + 0.5) / side
        mass = np.clip(image.sum(axis=others), 0, None) if total > TINY else np.ones(side)
        mass = mass / mass.sum()
        centre = float(mass @ place)
        centres.append(centre)
        spreads.append(float(np.sqrt(mass @ (place - centre) ** 2)))
        extents.append(float(tissue.any(axis=others).mean()))
    return [*centres, *spreads, *extents]

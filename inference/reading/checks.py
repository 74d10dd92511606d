"""Whether the pixels of a stack are an image at all, asked before any network sees them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from inference.archive import Floats
from inference.reading.image import Image

MOST_PLANES_LOOKED_AT = 24
"""Planes, evenly spread over the stack, that the slower checks look at."""
MOST_FLAT_PLANES = 0.5
"""Largest share of planes of one value each."""
MOST_SATURATED = 0.5
"""Largest share of pixels at the brightest value: a saturated detector's."""
MOST_AT_THE_ENDS = 0.98
"""Largest share of pixels at the darkest or the brightest value, where each has its part: a clipped image's."""
LEAST_AT_EACH_END = 0.01
MOST_PADDING = 0.9
"""Largest share of padding pixels."""
LEAST_CORRELATION = 0.2
"""Least correlation of neighbouring pixels: noise has none, the noisiest anatomy more than this."""
LEAST_SIDE = 16
"""Fewest rows and columns that a correlation is measured on."""
AIR_HU, LEAST_AIR = -200.0, 0.001
"""Hounsfield units below which there is air or lung, and the least share of it in any CT of a body in air."""
TISSUE_HU, LEAST_TISSUE = (-200.0, 300.0), 0.02
"""Hounsfield units of soft tissue and fat, and the least share of it."""

Pixels = NDArray[np.float32]


def pixel_objections(image: Image, *, hounsfield: bool = False) -> tuple[str, ...]:
    """Return every reason why the values of a stack are no image of a body; empty where there is none.

    Padding is left out. The sentences name what was measured.

    Args:
        image: the stack.
        hounsfield: whether the network expects Hounsfield units.
    """
    padded = 0.0 if image.padded is None else float(image.padded.mean())
    if padded > MOST_PADDING:
        return (f"{padded:.0%} of the pixels are padding (Pixel Padding Value): there is hardly any image.",)
    if not bool(np.isfinite(image.values).all()):
        return ("The image has values that are not finite numbers.",)
    planes = [plane for plane in _planes(image) if plane.size]
    pixels = np.concatenate(planes) if planes else np.zeros(0, dtype=np.float32)
    low, high = image.range_of_values
    if low == high:
        return (f"Every pixel has the value {low:g}: the image is flat.",)
    reasons = [*_flat_planes(image), *_saturated(image, pixels), *_few_values(image, pixels), *_noise(image)]
    if hounsfield:
        reasons += _not_hounsfield(pixels)
    return tuple(reasons)


def _planes(image: Image) -> Iterator[Pixels]:
    """Yield the pixels of some planes without padding, flat; of colour the mean of red, green and blue."""
    for index in _looked_at(image):
        plane = _grey(image.values[index])
        yield plane.ravel() if image.padded is None else plane[~image.padded[index]]


def _looked_at(image: Image) -> NDArray[np.intp]:
    count = len(image.frames)
    return np.unique(np.linspace(0, count - 1, min(count, MOST_PLANES_LOOKED_AT)).round().astype(np.intp))


def _grey(values: Floats) -> Pixels:
    return values if values.ndim == 2 else np.asarray(values.mean(axis=-1), dtype=np.float32)


def _flat_planes(image: Image) -> Iterator[str]:
    flat = 0
    for index, plane in enumerate(image.values):
        kept = plane if image.padded is None else plane[~image.padded[index]]
        flat += not kept.size or bool(kept.min() == kept.max())
    if flat > MOST_FLAT_PLANES * len(image.frames):
        yield f"{flat} of {len(image.frames)} planes are flat: every pixel of a plane has the same value."


def _saturated(image: Image, pixels: Pixels) -> Iterator[str]:
    """Look at the bright end, which is the lowest value of MONOCHROME1: what is dark may well be alike, as air is."""
    ends = float(pixels.max()), float(pixels.min())
    bright, dark = reversed(ends) if image.inverted and all(image.inverted) else ends
    at_bright, at_dark = float((pixels == bright).mean()), float((pixels == dark).mean())
    if at_bright > MOST_SATURATED:
        yield f"{at_bright:.0%} of the pixels have the brightest value, {bright:g}: the image is saturated."
    elif at_bright + at_dark > MOST_AT_THE_ENDS and min(at_bright, at_dark) > LEAST_AT_EACH_END:
        yield f"{at_bright + at_dark:.0%} of the pixels have the darkest or the brightest value: the image is clipped."


def _few_values(image: Image, pixels: Pixels) -> Iterator[str]:
    values = np.unique(pixels).size
    if values < image.bits:
        yield f"The image has {values} different values where {image.bits} bits are stored: it holds no shades of grey."


def _noise(image: Image) -> Iterator[str]:
    correlations = []
    for index in _looked_at(image):
        plane = _grey(image.values[index]).astype(np.float64)
        if min(plane.shape) >= LEAST_SIDE and plane.min() < plane.max():
            correlations.append(_correlation(plane, None if image.padded is None else ~image.padded[index]))
    if correlations and float(np.median(correlations)) < LEAST_CORRELATION:
        yield (
            f"Neighbouring pixels are hardly alike (correlation {np.median(correlations):.2f}): the image is noise "
            "without anatomy."
        )


def _correlation(plane: NDArray[np.float64], kept: NDArray[np.bool_] | None) -> float:
    """Return the larger of the correlations of neighbours along rows and along columns, padding left out."""
    pairs = ((plane[:, 1:], plane[:, :-1]), (plane[1:], plane[:-1]))
    both = ((slice(None), slice(1, None)), (slice(None), slice(None, -1))), ((slice(1, None),), (slice(None, -1),))
    found = []
    for (first, second), (later, earlier) in zip(pairs, both, strict=True):
        chosen = np.ones(first.shape, dtype=np.bool_) if kept is None else kept[later] & kept[earlier]
        first, second = first[chosen], second[chosen]
        if first.size and first.std() > 0 and second.std() > 0:
            found.append(float(np.corrcoef(first, second)[0, 1]))
    return max(found, default=1.0)


def _not_hounsfield(pixels: Pixels) -> Iterator[str]:
    air = float((pixels < AIR_HU).mean())
    tissue = float(((pixels >= TISSUE_HU[0]) & (pixels <= TISSUE_HU[1])).mean())
    if air < LEAST_AIR or tissue < LEAST_TISSUE:
        yield (
            f"The values are not Hounsfield units: they lie from {pixels.min():g} to {pixels.max():g}, {air:.1%} of "
            f"them are air (below {AIR_HU:g}) and {tissue:.1%} soft tissue. Rescale Slope or Intercept may be absent."
        )

"""The grey levels of an image by its own values: what audit compares does not depend on a window somebody chose."""

import numpy as np
from numpy.typing import NDArray

from inference.archive import Floats
from inference.reading.image import Image
from reports.explained import LUMINANCE

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
"""Of a stack's values, padding left out: here the levels begin and end, so that one wild pixel moves nothing."""
MOST_SAMPLED = 1 << 22
"""Values that the percentiles are measured on: of a larger stack every n-th."""


def level_range(image: Image) -> tuple[float, float]:
    """Return the modality values at which a stack's levels begin and end; equal for a flat stack."""
    values = grey_values(image, slice(None))
    known = values.ravel() if image.padded is None else values[~image.padded]
    known = known[:: max(1, known.size // MOST_SAMPLED)]
    if not known.size:
        return 0.0, 0.0
    low, high = np.percentile(known, (LOW_PERCENTILE, HIGH_PERCENTILE))
    return float(low), float(high)


def grey_values(image: Image, planes: slice) -> Floats:
    """Return modality values of some planes, padding replaced, (planes, rows, columns); the luminance of colour."""
    values = image.filled()[planes]
    return np.asarray(values @ LUMINANCE, dtype=np.float32) if image.colour else values


def grey_levels(image: Image, planes: slice = slice(None)) -> NDArray[np.float32]:
    """Return some planes scaled by the range of the whole stack, 0 to 1, (planes, rows, columns); bright is high.

    MONOCHROME1 is inverted. A flat stack is 0 throughout.
    """
    low, high = level_range(image)
    values = grey_values(image, planes)
    levels = np.clip((values - low) / (high - low), 0.0, 1.0) if high > low else np.zeros_like(values)
    inverted = np.array(image.inverted or (False,) * len(image.frames))[planes]
    return np.asarray(np.where(inverted[:, None, None], 1.0 - levels, levels), dtype=np.float32)

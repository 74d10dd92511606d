"""A mask drawn on source pixels, brought to the grid of a bundle's networks."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import affine_transform

from inference.prepare import ModelInput
from inference.reading.outlines import Mask


def mask_on_input(model_input: ModelInput, mask: Mask, position: int = 0) -> Mask:
    """Bring a mask of the source through the geometry of its image to the network's grid, nearest pixel.

    Args:
        model_input: the image it belongs to, prepared.
        mask: (rows, columns) of the plane as stored, or (planes, rows, columns) of a volume.
        position: of the plane in the input; 0 for a volume.

    Returns:
        (*spatial) bool; false where the network sees nothing of the source.
    """
    shape = tuple(model_input.tensor.shape[2:])
    matrix = model_input.to_source[position]
    if model_input.is_volume:
        mask = _at_places(mask, model_input.places)
    resampled = affine_transform(
        mask.astype(np.uint8), matrix[:-1, :-1], matrix[:-1, -1], output_shape=shape, order=0, mode="constant"
    )
    return np.asarray(resampled > 0)


def _at_places(mask: Mask, places: Sequence[float]) -> Mask:
    """Put the planes of a mask where they lie in the volume, in whole steps; nothing is drawn on absent planes."""
    spread = np.zeros((round(places[-1]) + 1, *mask.shape[1:]), np.bool_)
    spread[np.rint(places).astype(int)] = mask
    return spread

"""A picture that was written against the same one on a screen, whatever its size there."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

CELL = 32
"""Side of the cells that are compared by their mean colour: smaller than a word, larger than what scaling blurs."""
CLOSE = 12
"""Of 255: a cell so near is the same."""
SAME = 0.9
"""Of all cells: the viewer's own words cover the others."""


def alike(shown: NDArray[np.uint8], stored: NDArray[np.uint8]) -> bool:
    """Whether two pictures of one size, (rows, columns, 3), are the same but for scaling and a viewer's own words."""
    away = np.abs(_cells(shown) - _cells(stored)).max(axis=-1)
    return bool((away < CLOSE).mean() > SAME)


def within(canvas: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut the picture of a shape out of a canvas, in whose middle it lies as large as it fits; give it that shape."""
    scale = min(canvas.shape[0] / shape[0], canvas.shape[1] / shape[1])
    high, wide = round(shape[0] * scale), round(shape[1] * scale)
    top, left = (canvas.shape[0] - high) // 2, (canvas.shape[1] - wide) // 2
    cut = Picture.fromarray(canvas[top : top + high, left : left + wide])
    return np.asarray(cut.resize(shape[::-1], Picture.Resampling.BILINEAR))


def _cells(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    rows, columns = (side // CELL for side in picture.shape[:2])
    cut = picture[: rows * CELL, : columns * CELL].astype(float)
    return np.asarray(cut.reshape(rows, CELL, columns, CELL, 3).mean(axis=(1, 3)))

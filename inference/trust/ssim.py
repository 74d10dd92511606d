"""Structural similarity (Wang et al. 2004) of many pairs of maps: legacy, for comparison with Arun et al. 2021.

Never read without its null: independent maps of low resolution reach 0.3 to 0.6, two small squares on black 0.99. And
never without its data range: Arun's published figures were taken on maps from 0 to 1 with scikit-image's old default
for floats, ``LEGACY_DATA_RANGE``; ``DATA_RANGE`` is the true one.
"""

import numpy as np
from numpy.typing import NDArray

from inference.errors import Refused

Maps = NDArray[np.floating]
Buffer = NDArray[np.floating]

DATA_RANGE = 1.0
"""Of maps scaled from 0 to 1."""
LEGACY_DATA_RANGE = 2.0
"""What Arun et al. 2021 used for the same maps: their numbers compare with this one only."""
WINDOW = 7
K1, K2 = 0.01, 0.03
ROWS_AT_ONCE = 64
"""Rows of one strip: what is filtered stays in the processor's cache."""


def ssim(first: Maps, second: Maps, *, data_range: float) -> NDArray[np.float64]:
    """Give the mean structural similarity of each pair: uniform window 7, sample covariance, K 0.01 and 0.03.

    Equal to scikit-image's ``structural_similarity(a, b, data_range=data_range)`` of each pair, in the precision of the
    input; four box filters instead of five, by sums shared between neighbours, strip by strip.

    Args:
        first: (N, H, W) or (N, D, H, W), float32 or float64.
        second: the same shape.
        data_range: span of the values: 1 for maps from 0 to 1, 2 for Arun's legacy figures.

    Returns:
        (N,), at most 1.

    Raises:
        Refused: the shapes differ, or an axis is shorter than the window.
    """
    if first.shape != second.shape or min(first.shape[1:], default=0) < WINDOW:
        raise Refused(f"SSIM needs equal shapes of at least {WINDOW} a side, not {first.shape} and {second.shape}.")
    kind = np.float32 if first.dtype == second.dtype == np.float32 else np.float64
    rows = first.shape[1] - WINDOW + 1
    sums = np.zeros(len(first))
    for pair, (one, two) in enumerate(
        zip(first.astype(kind, copy=False), second.astype(kind, copy=False), strict=True)
    ):
        for start in range(0, rows, ROWS_AT_ONCE):
            strip = slice(start, min(start + ROWS_AT_ONCE, rows) + WINDOW - 1)
            sums[pair] += _similarity(one[strip], two[strip], data_range).sum(dtype=np.float64)
    return np.asarray(sums / (rows * np.prod([side - WINDOW + 1 for side in first.shape[2:]])))


def _similarity(one: Buffer, two: Buffer, data_range: float) -> Buffer:
    """Give the similarity at every whole window of one strip. Sums stand for means: both constants are scaled up."""
    cells = WINDOW**one.ndim
    stack = np.empty((4, *one.shape), dtype=one.dtype)
    stack[0], stack[1] = one, two
    np.multiply(one, two, out=stack[2])
    np.multiply(one, one, out=stack[3])
    stack[3] += two * two
    for axis in range(1, stack.ndim):
        stack = _box_sums(stack, axis)
    of_one, of_two, of_products, of_squares = stack
    luminance = of_one * of_two
    of_one *= of_one
    of_two *= of_two
    of_one += of_two
    of_products *= cells
    of_products -= luminance
    of_products *= 2
    of_products += (K2 * data_range) ** 2 * cells * (cells - 1)
    of_squares *= cells
    of_squares -= of_one
    of_squares += (K2 * data_range) ** 2 * cells * (cells - 1)
    luminance *= 2
    luminance += (K1 * data_range) ** 2 * cells**2
    of_one += (K1 * data_range) ** 2 * cells**2
    luminance *= of_products
    of_one *= of_squares
    return np.divide(luminance, of_one, out=luminance)


def _box_sums(stack: Buffer, axis: int) -> Buffer:
    """Sum seven neighbours along an axis as 4 + 2 + 1."""

    def part(values: Buffer, start: int) -> Buffer:
        picked = [slice(None)] * values.ndim
        picked[axis] = slice(start, start + length)
        return values[tuple(picked)]

    length = stack.shape[axis] - 1
    twos = part(stack, 0) + part(stack, 1)
    length -= 2
    fours = part(twos, 0) + part(twos, 2)
    length -= 3
    sums = part(fours, 0) + part(twos, 4)
    sums += part(stack, 6)
    return sums

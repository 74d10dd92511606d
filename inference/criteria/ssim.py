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


def ssim(first: Maps, second: Maps, *, data_range: float) -> NDArray[np.float64]:
    """Return the mean structural similarity of each pair: uniform window 7, sample covariance, K 0.01 and 0.03.

    Equal to scikit-image's ``structural_similarity(a, b, data_range=data_range)`` of each pair, in the precision of the
    input; four box filters instead of five, by sums shared between neighbours, in buffers that fit the cache.

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
    whole = tuple(slice(0, side - WINDOW + 1) for side in first.shape[1:])
    room = np.empty((3, 4, int(np.prod(first.shape[1:]))), dtype=kind)
    pairs = zip(first.astype(kind, copy=False), second.astype(kind, copy=False), strict=True)
    return np.array(
        [_similarity(image, other, data_range, room)[whole].mean(dtype=np.float64) for image, other in pairs]
    )


def _similarity(first: Buffer, second: Buffer, data_range: float, room: Buffer) -> Buffer:
    """Return the similarity of the window that starts at each pixel, within the room of (3, 4, pixels) it is given.

    Sums stand for means throughout: both constants are scaled up. The image is one long row: neighbours along an axis
    lie a stride apart, and windows that run over an edge hold nonsense, which the caller leaves out.
    """
    cells = WINDOW**first.ndim
    stack, twos, sums = room
    stack[0], stack[1] = first.reshape(-1), second.reshape(-1)
    np.multiply(stack[0], stack[1], out=stack[2])
    np.multiply(stack[0], stack[0], out=stack[3])
    stack[3] += np.multiply(stack[1], stack[1], out=twos[0])
    for axis in range(first.ndim):
        _box_sums(stack, twos, sums, int(np.prod(first.shape[axis + 1 :])))
        stack, sums = sums, stack
    of_one, of_two, of_products, of_squares = stack
    luminance = np.multiply(of_one, of_two, out=twos[0])
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
    return np.divide(luminance, of_one, out=luminance).reshape(first.shape)


def _box_sums(stack: Buffer, twos: Buffer, sums: Buffer, stride: int) -> None:
    """Sum seven neighbours a stride apart as 4 + 2 + 1, into ``sums``; the last six strides are left 0."""
    length = stack.shape[1]
    pairs, all_seven = length - stride, length - 6 * stride
    np.add(stack[:, :pairs], stack[:, stride:], out=twos[:, :pairs])
    np.add(twos[:, :all_seven], twos[:, 2 * stride : all_seven + 2 * stride], out=sums[:, :all_seven])
    sums[:, :all_seven] += twos[:, 4 * stride : all_seven + 4 * stride]
    sums[:, :all_seven] += stack[:, 6 * stride :]
    sums[:, all_seven:] = 0

"""Remove And Debias (Rong et al. 2022, arXiv 2202.00449): removed pixels are imputed from what is left, with noise.

Each removed pixel is set to the weighted mean of its eight neighbours, 1/6 beside and 1/12 across, all removed pixels
solved for together: what a mask's shape gives away is imputed away. A blurred random map does well too (Rong's bias,
arXiv 2304.13836): it belongs beside every figure. Planes only, as in the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inference.criteria.fidelity import Predict, ranks
from inference.errors import Refused

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NOISE = 0.01
TOLERANCE = 2e-6
"""Of the residual, in spans of the kept pixels."""
MOST_STEPS = 4000


@dataclass(frozen=True, slots=True, eq=False)
class Road:
    """Predictions of the target after removal, (N, shares) each, at the shares removed.

    Attributes:
        shares: (S,) of the pixels removed.
        most_first: (N, S), most relevant pixels removed first (MoRF); a faithful map makes it fall fast.
        least_first: (N, S), least relevant pixels removed first (LeRF); a faithful map keeps it high.
    """

    shares: tuple[float, ...]
    most_first: NDArray[np.float64]
    least_first: NDArray[np.float64]

    @property
    def combined(self) -> NDArray[np.float64]:
        """(LeRF - MoRF) / 2 averaged over shares, (N,): pytorch-grad-cam's ROADCombined; higher is better."""
        return np.asarray((self.least_first - self.most_first).mean(axis=1) / 2)


def road(
    images: torch.Tensor,
    maps: NDArray[np.floating],
    predict: Predict,
    targets: Sequence[int],
    *,
    seed: int,
    shares: Sequence[float] = SHARES,
    noise: float = NOISE,
) -> Road:
    """Remove growing shares of each image by its map, both ways, impute, and predict.

    Args:
        images: (N, channels, H, W).
        maps: (N, H, W), higher is more relevant; ties are broken by a seeded lot.
        predict: (B, channels, H, W) to probabilities (B, classes); asked once an image, with all its imputations.
        targets: class explained on each image.
        seed: of the lot and of the noise.
        shares: of the pixels removed.
        noise: standard deviation added to imputed pixels, in the images' units.

    Raises:
        Refused: the images are not planes, or the maps are of another grid.
    """
    if images.ndim != 4 or images.shape[2:] != maps.shape[1:]:
        raise Refused(f"ROAD needs planes with maps of their grid, not {tuple(images.shape)} and {maps.shape}.")
    order = ranks(maps, seed=seed)
    pixels = maps[0].size
    counts = np.array([int(pixels * share) for share in shares])[:, None, None]
    draw = np.random.default_rng(seed)
    rows = []
    for image, place, target in zip(images, order, targets, strict=True):
        removed = np.concatenate([place < counts, place >= pixels - counts])
        values = image.detach().cpu().numpy()
        imputed = np.stack([imputation(values, mask) for mask in removed])
        imputed += noise * draw.standard_normal(imputed.shape) * removed[:, None]
        batch = torch.from_numpy(imputed).to(images)
        rows.append(predict(batch).detach().cpu().numpy().astype(np.float64)[:, target])
    scores = np.stack(rows)
    return Road(tuple(shares), scores[:, : len(shares)], scores[:, len(shares) :])


def imputation(image: NDArray[np.floating], removed: Mask) -> NDArray[np.float32]:
    """Solve for the removed pixels, without noise, by conjugate gradients on the grid around them.

    The system is symmetric and positive definite, and its stencil is a binomial filter less its centre: one step costs
    a few passes over the image, where a sparse factorisation fills in.

    Args:
        image: (channels, H, W).
        removed: (H, W) bool; neighbours beyond the edge count for nothing.

    Returns:
        (channels, H, W) with the removed pixels replaced; a wholly removed image becomes its channels' mean, where the
        peers' solvers meet a singular matrix.
    """
    values = image.astype(np.float32)
    if removed.all():
        values[:] = values.mean(axis=(1, 2), keepdims=True)
    elif removed.any():
        rows, columns = (_around(np.flatnonzero(removed.any(axis=axis)), removed.shape[1 - axis]) for axis in (1, 0))
        weights = _neighbours(np.ones(removed.shape, dtype=np.float32))[rows, columns]
        for channel in values:
            channel[rows, columns] = _solved(channel[rows, columns], removed[rows, columns], weights)
    return values


def _around(places: NDArray[np.intp], length: int) -> slice:
    """From the first to the last place, with one neighbour on either side where there is one."""
    return slice(max(0, int(places[0]) - 1), min(length, int(places[-1]) + 2))


def _solved(values: Plane, removed: Mask, weights: Plane) -> Plane:
    """Conjugate gradients, scaled by the diagonal, on values that are 0 on average and outside the removed pixels."""
    known = values[~removed]
    offset, span = known.mean(), float(np.ptp(known))
    if span == 0.0:
        return np.full_like(values, offset)
    inside = removed.astype(np.float32)
    kept = np.where(removed, np.float32(0.0), values - offset)
    solution = np.zeros_like(kept)
    residual = inside * _neighbours(kept)
    scaled = residual / weights
    direction = scaled.copy()
    energy = float(np.vdot(residual, scaled))
    enough = (TOLERANCE * span) ** 2 * float(inside.sum()) ** 0.5
    for _ in range(MOST_STEPS):
        if energy <= enough:
            break
        applied = weights * direction
        applied -= _neighbours(direction)
        applied *= inside
        step = np.float32(energy / float(np.vdot(direction, applied)))
        solution += step * direction
        applied *= step
        residual -= applied
        np.divide(residual, weights, out=scaled)
        before, energy = energy, float(np.vdot(residual, scaled))
        direction *= np.float32(energy / before)
        direction += scaled
    return np.where(removed, solution, kept) + offset


def _neighbours(values: Plane) -> Plane:
    """Weighted sum of the eight neighbours, none beyond the edge: (1 2 1) along both axes, less the centre, over 12."""
    tall = values + values
    tall[1:] += values[:-1]
    tall[:-1] += values[1:]
    wide = tall + tall
    wide[:, 1:] += tall[:, :-1]
    wide[:, :-1] += tall[:, 1:]
    np.multiply(values, 4.0, out=tall)
    wide -= tall
    wide *= np.float32(1 / 12)
    return wide

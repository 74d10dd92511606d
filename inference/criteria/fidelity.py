"""Fidelity by pixel removal: how the prediction falls as pixels are removed, most or least important first.

Brocki et al. 2022 (arXiv 2209.15398; MiF and LiF, the fidelity F and Marchadour's form of it for one case), deletion
and insertion (Petsiuk et al. 2018). What replaces removed pixels is off the images' manifold and may speak for a class
by itself: a figure is read for its fill, beside those of the controls, and next to ROAD.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from inference.errors import Refused

Predict = Callable[[Tensor], Tensor]
"""Images (B, channels, *spatial) to probabilities (B, classes)."""

STEP = 0.025
"""Share of the pixels removed from one point of a curve to the next: 2.5 %."""
BATCH = 10
"""Images predicted at a time."""
SIGMAS_PIXELS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


@dataclass(frozen=True, slots=True, eq=False)
class Removal:
    """Probability of the target as pixels go, from none to all; ``right`` says whether it was still the prediction.

    Attributes:
        shares: (K,) removed, 0 to 1.
        most_first: (N, K) probability, most important pixels first (MiF).
        least_first: (N, K) probability, least important first (LiF).
        right_most_first: (N, K) bool.
        right_least_first: (N, K) bool.
        classes: how many the model tells apart.
    """

    shares: NDArray[np.float64]
    most_first: NDArray[np.float64]
    least_first: NDArray[np.float64]
    right_most_first: NDArray[np.bool_]
    right_least_first: NDArray[np.bool_]
    classes: int

    @property
    def deletion(self) -> NDArray[np.float64]:
        """Area under MiF, (N,): Petsiuk's deletion with this fill; lower is better."""
        return self._area(self.most_first)

    @property
    def insertion(self) -> NDArray[np.float64]:
        """Area under LiF, (N,): Petsiuk's insertion into this fill, read from the other end; higher is better."""
        return self._area(self.least_first)

    @property
    def case_fidelity(self) -> NDArray[np.float64]:
        """Per case, without ground truth, (N,), 0 to 1; higher is better (Marchadour; Brocki 2022's thesis form).

        1 - (|1 - AUC LiF| + |1/C - AUC MiF|) / (2 - 1/C): the constants 0.5 and 1.5 of the two-class form, for C
        classes. Meant for a fill that leaves the model undecided, as ``undecided_blur`` looks for.
        """
        chance = 1.0 / self.classes
        apart = np.abs(1.0 - self.insertion) + np.abs(chance - self.deletion)
        return np.asarray(1.0 - apart / (2.0 - chance))

    def fidelity(self, targets: Sequence[int]) -> float:
        """Brocki's F: area between the accuracy curves, LiF less MiF, each averaged over the classes of the targets."""
        gained = self._area(self.right_least_first.astype(float)) - self._area(self.right_most_first.astype(float))
        labels = np.asarray(targets)
        return float(np.mean([gained[labels == label].mean() for label in np.unique(labels)]))

    @property
    def probability_fidelity(self) -> NDArray[np.float64]:
        """Area between the probability curves, LiF less MiF, (N,): F for one case, with an interval over patients."""
        return self.insertion - self.deletion

    def _area(self, heights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.trapezoid(heights, self.shares, axis=1))


def removal(
    images: Tensor,
    maps: NDArray[np.floating],
    predict: Predict,
    targets: Sequence[int],
    fills: Tensor,
    *,
    seed: int,
    step: float = STEP,
    batch: int = BATCH,
) -> Removal:
    """Remove pixels by rank, both ways, and predict at every step.

    Args:
        images: (N, channels, *spatial).
        maps: (N, *spatial), higher is more important; ties are broken by a seeded lot, so that constant regions do not
            go all at once.
        predict: (B, channels, *spatial) to probabilities (B, classes).
        targets: (N,) class explained on each image.
        fills: as ``images``: what a removed pixel becomes; of ``fixed_fill`` and its like.
        seed: of the lot.
        step: share removed between points.
        batch: images predicted at a time.

    Raises:
        Refused: the maps or the fills are not of the images' grid.
    """
    if images.shape[2:] != maps.shape[1:] or fills.shape != images.shape or len(images) != len(maps):
        raise Refused(f"Images {tuple(images.shape)}, maps {maps.shape} and fills {tuple(fills.shape)} do not fit.")
    shares = np.linspace(0.0, 1.0, round(1.0 / step) + 1)
    order = ranks(maps, seed=seed)
    pixels = maps[0].size
    counts = np.round(shares * pixels).astype(np.int64).reshape(-1, *[1] * (maps.ndim - 1))
    rows = []
    for image, fill, place in zip(images, fills, order, strict=True):
        gone = torch.from_numpy(np.concatenate([place < counts, place >= pixels - counts])).to(images.device)
        parts = [torch.where(gone[at : at + batch, None], fill, image) for at in range(0, len(gone), batch)]
        rows.append(np.concatenate([predict(part).detach().cpu().numpy() for part in parts]).astype(np.float64))
    outputs = np.stack(rows)
    classes = np.asarray(targets)
    probability = np.take_along_axis(outputs, classes[:, None, None], axis=2)[..., 0]
    right = outputs.argmax(axis=2) == classes[:, None]
    half = len(shares)
    return Removal(
        shares, probability[:, :half], probability[:, half:], right[:, :half], right[:, half:], outputs.shape[2]
    )


def ranks(maps: NDArray[np.floating], *, seed: int) -> NDArray[np.int64]:
    """Return the place of each pixel, 0 for the highest value, ties by a seeded lot: (N, *spatial) -> (N, *spatial)."""
    flat = maps.reshape(len(maps), -1)
    lot = np.random.default_rng(seed).permuted(np.tile(np.arange(flat.shape[1]), (len(flat), 1)), axis=1)
    drawn = np.argsort(-np.take_along_axis(flat, lot, axis=1), axis=1, kind="stable")
    places = np.empty_like(lot)
    np.put_along_axis(places, np.take_along_axis(lot, drawn, axis=1), np.arange(flat.shape[1])[None], axis=1)
    return places.reshape(maps.shape)


def fixed_fill(images: Tensor, value: float) -> Tensor:
    """Fill with one value, in the images' units: 0, 0.5 or 1 of the thesis form, black, white."""
    return torch.full_like(images, value)


def mean_fill(images: Tensor) -> Tensor:
    """Fill each channel of each image with its own mean."""
    return images.mean(dim=tuple(range(2, images.ndim)), keepdim=True).expand_as(images)


def label_fill(images: Tensor, targets: Sequence[int], values: Sequence[float]) -> Tensor:
    """Fill with a value that depends on the target, Brocki's own: it must speak for the *other* class.

    Means something only where a value does so, as air and contrast agent did in their task.

    Args:
        images: (N, channels, *spatial).
        targets: (N,).
        values: of each class, by its index.
    """
    chosen = torch.tensor([values[target] for target in targets], dtype=images.dtype, device=images.device)
    return chosen.reshape(-1, *[1] * (images.ndim - 1)).expand_as(images)


def blur_fill(images: Tensor, sigma_pixels: float) -> Tensor:
    """Fill with the image itself, blurred by a Gaussian."""
    still = (0.0, 0.0)
    blurred = gaussian_filter(images.detach().cpu().numpy(), (*still, *[sigma_pixels] * (images.ndim - 2)))
    return torch.from_numpy(blurred).to(images)


def undecided_blur(
    images: Tensor, predict: Predict, targets: Sequence[int], *, sigmas_pixels: Sequence[float] = SIGMAS_PIXELS
) -> Tensor:
    """Fill each image with that blur of it that leaves the target's probability nearest to chance, 1/C (Marchadour).

    Args:
        images: (N, channels, *spatial).
        predict: to probabilities.
        targets: (N,).
        sigmas_pixels: widths to choose from.
    """
    candidates = torch.stack([blur_fill(images, sigma) for sigma in sigmas_pixels])
    classes = torch.as_tensor(np.asarray(targets))[:, None]
    answers = torch.stack([predict(each).detach().cpu().gather(1, classes)[:, 0] for each in candidates])
    chance = 1.0 / predict(images[:1]).shape[1]
    best = (answers - chance).abs().argmin(dim=0).to(images.device)
    return candidates[best, torch.arange(len(images), device=images.device)]

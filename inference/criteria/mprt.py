"""Model parameter randomisation tests sMPRT and eMPRT (Hedström 2023, 2024), and the RandomLogit test (Sixt 2020).

sMPRT: the map, averaged over noisy inputs, is rank-correlated with itself as stages are re-initialised from the input
up; lower is better. eMPRT: how much more disordered the map becomes under random weights, without any comparison of
maps; higher is better. RandomLogit: similarity to the map of another class. Definitions as in
Quantus 0.6.0. None of them ranks methods (Binder et al. 2023): maps without any information score best.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.criteria.agreement import spearman_pairs
from inference.errors import Refused
from inference.saliency.controls.random_weights import cascade_states, randomised

Maps = NDArray[np.floating]
ExplainInputs = Callable[[nn.Module, Tensor], NDArray[np.float32]]
"""A network and images (N, channels, *spatial) to maps (N, *spatial), signed, of the classes fixed by the caller."""

SAMPLES = 50
NOISE = 0.1
"""Standard deviation of the noise, in spans (max - min) of each image."""
BINS = 100
FEWEST_BINS, MOST_BINS = 10, 200


@dataclass(frozen=True, slots=True, eq=False)
class SmoothMprt:
    """Spearman of the smoothed absolute maps with their originals after each step, the input's stage drawn first.

    Attributes:
        states: names of the stages in the order in which they were re-initialised.
        spearman: (states, N).
    """

    states: tuple[str, ...]
    spearman: NDArray[np.float64]

    @property
    def average(self) -> NDArray[np.float64]:
        """Mean over the states, (N,): the score of Hedström et al.; lower is better."""
        return np.asarray(self.spearman.mean(axis=0))

    @property
    def last(self) -> NDArray[np.float64]:
        """With all weights re-initialised, (N,); lower is better."""
        return self.spearman[-1]


def smoothed(
    explain: ExplainInputs, model: nn.Module, inputs: Tensor, *, seed: int, samples: int = SAMPLES, noise: float = NOISE
) -> NDArray[np.float64]:
    """Average the maps over noisy copies of the inputs; the last copy is the input itself, as in Quantus.

    Args:
        explain: gives the maps.
        model: the network.
        inputs: (N, channels, *spatial).
        seed: of the noise, drawn on the CPU.
        samples: copies, at least 1; 1 is the map itself.
        noise: standard deviation in spans (max - min) of each image.

    Returns:
        (N, *spatial).
    """
    axes = tuple(range(1, inputs.ndim))
    spread = noise * (inputs.amax(dim=axes, keepdim=True) - inputs.amin(dim=axes, keepdim=True))
    generator = torch.Generator().manual_seed(seed)
    total = explain(model, inputs).astype(np.float64)
    for _ in range(samples - 1):
        drawn = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype).to(inputs.device)
        total += explain(model, inputs + spread * drawn)
    return total / samples


def smooth_mprt(
    model: nn.Module,
    explain: ExplainInputs,
    inputs: Tensor,
    *,
    seed: int,
    samples: int = SAMPLES,
    noise: float = NOISE,
    states: Iterable[tuple[str, nn.Module]] | None = None,
) -> SmoothMprt:
    """Run sMPRT: smoothed maps, absolute values, Spearman, from the input up.

    Every state sees the same noise, so that only the weights differ; Quantus draws noise afresh at every state, and
    its correlations are lower by what that noise leaves in the average. Without noise both are equal.

    Args:
        model: the trained network; it stays as it is.
        explain: gives the maps.
        inputs: (N, channels, *spatial).
        seed: of the weights and of the noise.
        samples: noisy copies.
        noise: standard deviation in spans of each image.
        states: networks to use in place of the bottom-up cascade over the network's own stages.
    """
    original = np.abs(smoothed(explain, model, inputs, seed=seed, samples=samples, noise=noise))
    names, correlations = [], []
    for name, state in states or cascade_states(model, order="bottom_up", seed=seed):
        maps = np.abs(smoothed(explain, state, inputs, seed=seed, samples=samples, noise=noise))
        names.append(name)
        correlations.append(spearman_pairs(original, maps))
    return SmoothMprt(tuple(names), np.stack(correlations))


def efficient_mprt(
    model: nn.Module, explain: ExplainInputs, inputs: Tensor, *, seed: int, bins: int = BINS
) -> NDArray[np.float64]:
    """Run eMPRT: the relative rise of the map's entropy when every weight is re-initialised; higher is better.

    Args:
        model: the trained network; it stays as it is.
        explain: gives the maps.
        inputs: (N, channels, *spatial).
        seed: of the weights.
        bins: of the histogram.

    Returns:
        (N,); NaN where the original map is constant.
    """
    return entropy_rise(explain(model, inputs), explain(randomised(model, seed=seed), inputs), bins=bins)


def entropy_rise(original: Maps, disturbed: Maps, *, bins: int = BINS) -> NDArray[np.float64]:
    """(H_disturbed - H_original) / H_original of the signed maps, (N, *spatial) twice -> (N,)."""
    before, after = histogram_entropy(original, bins=bins), histogram_entropy(disturbed, bins=bins)
    return np.divide(after - before, before, out=np.full(len(before), np.nan), where=before > 0)


def histogram_entropy(maps: Maps, *, bins: int = BINS) -> NDArray[np.float64]:
    """Entropy, in nats, of each map's histogram of equal bins from its minimum to its maximum; a constant map: 0.

    Args:
        maps: (N, *spatial).
        bins: of the histogram.

    Returns:
        (N,), 0 to ln(bins).
    """
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    low, high = flat.min(axis=1, keepdims=True), flat.max(axis=1, keepdims=True)
    places = (flat - low) / np.where(high > low, high - low, 1.0) * bins
    cells = np.minimum(places.astype(np.int64), bins - 1) + np.arange(len(flat))[:, None] * bins
    shares = np.bincount(cells.ravel(), minlength=len(flat) * bins).reshape(-1, bins) / flat.shape[1]
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1))


def freedman_diaconis_bins(maps: Maps) -> int:
    """Choose the number of bins by Freedman and Diaconis 1981, from 10 to 200, for the pooled values of the maps.

    The width is 2 IQR / n^(1/3) with n the pixels of a map; Quantus takes the number of its axes for n.
    """
    quarter, three_quarters = np.quantile(maps, [0.25, 0.75])
    width = 2.0 * float(three_quarters - quarter) / maps[0].size ** (1 / 3)
    bins = float(np.ptp(maps)) / width if width > 0 else MOST_BINS
    return int(np.clip(bins, FEWEST_BINS, MOST_BINS))


def class_contrast(maps: Maps, others: Maps) -> NDArray[np.float64]:
    """1 - max(0, Spearman) between the maps of the explained class and of another, on the same inputs.

    0: the map is the same whatever it is asked about. Spearman is Quantus's RandomLogit similarity here, where its
    default is SSIM, whose data range it takes from each pair.

    Args:
        maps: (N, *spatial) of the explained class.
        others: (N, *spatial) of the other class.

    Returns:
        (N,), 0 to 1; higher is better.
    """
    return 1.0 - np.maximum(spearman_pairs(maps, others), 0.0)


def other_classes(targets: NDArray[np.integer], class_count: int, *, seed: int) -> NDArray[np.int64]:
    """Draw for each row a class other than its own, uniformly: (N,) -> (N,).

    Raises:
        Refused: there is no other class.
    """
    if class_count < 2:
        raise Refused("A contrast between classes needs at least two.")
    steps = np.random.default_rng(seed).integers(1, class_count, size=len(targets))
    return np.asarray((targets + steps) % class_count, dtype=np.int64)

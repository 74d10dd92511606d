"""Cascading weight randomisation (Adebayo et al. 2018): the model parameter randomisation test of saliency maps.

It is the second criterion of Arun et al. 2021. Stages are re-initialised cumulatively from the head down, and each
map is compared with the trained network's. Top-down order keeps the scale of the early layers' activations, and so
part of their maps (Binder et al. 2023, arXiv 2211.12486): it is kept for comparison with published figures, and
decides together with the bottom-up tests of ``mprt``, never as a ranking of methods.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from inference.criteria.agreement import spearman_pairs
from inference.criteria.pairs import NullPairs
from inference.criteria.ssim import LEGACY_DATA_RANGE, ssim
from inference.saliency.controls.random_weights import cascade_states
from inference.saliency.engine.profiles import legacy_normalised
from inference.statistics.bootstrap import Interval, difference_of_means, mean_by_group

Explain = Callable[[nn.Module], NDArray[np.float32]]
"""Gives a network's saliency maps of the reference images: (N, *spatial), signed, same images and classes each time."""


@dataclass(frozen=True, slots=True, eq=False)
class Cascade:
    """Agreement of each image's map with its own after each step, and of different patients' maps with each other.

    Attributes:
        states: names of the stages in the order in which they were re-initialised, the head first.
        ssim: (states, N) of the legacy picture of the maps.
        spearman: (states, N) of the signed maps.
        null_ssim: (pairs,) between maps of different patients by the trained network.
        null_spearman: (pairs,) likewise.
        data_range: of the SSIM.
        seed: of the drawing.
    """

    states: tuple[str, ...]
    ssim: NDArray[np.float64]
    spearman: NDArray[np.float64]
    null_ssim: NDArray[np.float64]
    null_spearman: NDArray[np.float64]
    data_range: float
    seed: int


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Arun's decision rule, and whether its margin is statistically clear.

    Attributes:
        final: mean agreement with the fully randomised network, by patient.
        null: mean agreement of different patients' maps, the null distribution's mean.
        margin: final less null; below 0 passes.
        passes: the published rule, ``final.value < null.value``.
        clear: the margin's interval excludes 0. Margins of 0.002 decided published verdicts: a verdict that is not
            clear is reported as undecided.
    """

    final: Interval
    null: Interval
    margin: Interval
    passes: bool
    clear: bool


def cascade(
    model: nn.Module,
    explain: Explain,
    pairs: NullPairs,
    *,
    seed: int,
    data_range: float = LEGACY_DATA_RANGE,
) -> Cascade:
    """Run the top-down cascade over the network's own stages and measure the maps at every state.

    Args:
        model: the trained network; it stays as it is.
        explain: gives the maps of the reference images by any state of the network.
        pairs: rows of those maps that make the null.
        seed: of the drawing.
        data_range: of the SSIM; the default is the one of the published figures.
    """
    original = explain(model)
    picture = legacy_normalised(original)
    states, similarities, correlations = [], [], []
    for name, state in cascade_states(model, order="top_down", seed=seed):
        maps = explain(state)
        states.append(name)
        similarities.append(ssim(picture, legacy_normalised(maps), data_range=data_range))
        correlations.append(spearman_pairs(original, maps))
    return Cascade(
        states=tuple(states),
        ssim=np.stack(similarities),
        spearman=np.stack(correlations),
        null_ssim=ssim(picture[pairs.first], picture[pairs.second], data_range=data_range),
        null_spearman=spearman_pairs(original[pairs.first], original[pairs.second]),
        data_range=data_range,
        seed=seed,
    )


def sensitivity(final: ArrayLike, null: ArrayLike, patients: ArrayLike | None = None, *, seed: int) -> Sensitivity:
    """Apply Arun's rule: a method passes iff its maps under random weights agree less than different patients' maps do.

    Args:
        final: (N,) agreement of each image's map with its own by the fully randomised network, ``cascade.ssim[-1]``.
        null: (P,) agreement of different patients' maps, ``cascade.null_ssim``.
        patients: (N,) of ``final``; None: every image is a patient of its own.
        seed: of the resampling.
    """
    values = np.asarray(final, dtype=np.float64)
    after = mean_by_group(values, patients, seed=seed)
    without = mean_by_group(null, seed=seed)
    margin = difference_of_means(values, null, patients, seed=seed)
    return Sensitivity(after, without, margin, after.value < without.value, margin.excludes(0.0))

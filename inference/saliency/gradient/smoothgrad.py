"""Smilkov et al.: SmoothGrad (2017), arXiv 1706.03825; its square and variance: arXiv 1806.10758 and 1810.03307.

Noise comes in pairs, each draw and its negative: what is odd in the noise, above all the linear part of the gradient's
change, cancels within a pair, and fewer passes give the same mean.
"""

from collections.abc import Iterator
from enum import Enum

import torch

from inference.saliency.engine.draws import blocks, regrouped
from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task

NOISE = {
    "samples": Parameter(25, "noisy copies of the input", minimum=1),
    "noise": Parameter(
        0.15, "standard deviation of the noise, as a share of the sample's largest minus smallest value", minimum=0
    ),
}

_HELD = 6
"""Tensors of the size of a batch that are in memory at once."""


class NoiseMoment(Enum):
    """Which moment of the noisy gradients is shown."""

    MEAN = "smoothgrad"
    SQUARE = "smoothgrad_squared"
    VARIANCE = "vargrad"


class SmoothGrad:
    """A moment of the gradients at noisy copies of the input, channel by channel.

    The noise is Gaussian, drawn anew from the seed for each sample, so that a map does not depend on its batch.
    "SmoothGrad" of Arun et al. 2021 and of PAIR's and MONAI's defaults is ``smoothgrad_squared``.
    """

    def __init__(self, moment: NoiseMoment, description: str) -> None:
        self._moment = moment
        self.info = MethodInfo(
            name=moment.value,
            paper={
                NoiseMoment.MEAN: "Smilkov et al. 2017, arXiv 1706.03825",
                NoiseMoment.SQUARE: "Hooker et al. 2019, arXiv 1806.10758",
                NoiseMoment.VARIANCE: "Adebayo et al. 2018, arXiv 1810.03307",
            }[moment],
            description=description,
            needs_layer=False,
            explanation=ExplanationType.SALIENCY,
            details=NOISE,
        )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the moment, (N, C, *spatial)."""
        task.passes.announce(len(task.inputs) * task.whole("samples"))
        return torch.stack(
            [self._moments(task, sample, target) for sample, target in zip(task.inputs, task.targets, strict=True)]
        )

    def _moments(self, task: Task, sample: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total, squares = torch.zeros_like(sample), torch.zeros_like(sample)
        for points in noisy(sample, task):
            gradients = task.passes.gradients(points, target.expand(len(points)))[0]
            total += gradients.sum(dim=0)
            squares += gradients.square().sum(dim=0)
        mean, square = total / task.whole("samples"), squares / task.whole("samples")
        variance = square - mean.square()
        return {NoiseMoment.MEAN: mean, NoiseMoment.SQUARE: square, NoiseMoment.VARIANCE: variance}[self._moment]


def noisy(sample: torch.Tensor, task: Task, *, held: int = _HELD) -> Iterator[torch.Tensor]:
    """Yield noisy copies of one sample in batches, (batch, C, *spatial), in antithetic pairs; an odd last one alone.

    Args:
        sample: (C, *spatial).
        task: its samples, noise and seed.
        held: tensors of the size of a batch that the caller has in memory at once.
    """
    deviation = task.number("noise") * float(sample.max() - sample.min())
    for noise in regrouped(_noise(sample.shape, task), task.passes.at_once(sample, held)):
        yield sample + deviation * noise.to(sample)


def _noise(shape: torch.Size, task: Task) -> Iterator[torch.Tensor]:
    """Draw standard normal noise on the CPU in fixed blocks of pairs, each (block, C, *spatial)."""
    generator = torch.Generator().manual_seed(task.seed)
    for count in blocks(task.whole("samples")):
        half = torch.randn(((count + 1) // 2, *shape), generator=generator)
        yield torch.stack([half, -half], dim=1).flatten(0, 1)[:count]

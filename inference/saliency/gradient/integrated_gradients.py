"""Sundararajan, Taly, Yan: Axiomatic attribution for deep networks (ICML 2017), arXiv 1703.01365; and means of it.

The integral along the straight way is a trapezoid sum: nested, so that a coarser sum's points are among a finer one's,
and with both ends in it, so that the exact integral of the whole (the rise of the logit from baseline to image) comes
with the passes. With ``complete`` that known rise is used as a control variate: each pixel's sum is corrected by its
regression, over the points of the way, on the slope of the logit. Measured beside captum in
``tests/benchmarks/saliency.py``.
"""

import torch

from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task
from inference.saliency.gradient.baselines import BASELINE, BLUR_SIGMA, baselines, references_of
from inference.saliency.gradient.smoothgrad import NOISE, noisy

COMPLETE = Parameter(True, "correct the sum by the logit's known rise, so that the map adds up to it")
_LEAST_SPREAD = 1e-4
"""Slopes whose standard deviation is a smaller share of the steepest differ by rounding alone: nothing is corrected."""
_HELD = 8
"""Tensors of the size of the points that are in memory at once."""


class IntegratedGradients:
    """Gradients along the straight way from a baseline, times the way, with its sign.

    Completeness: a map sums to the logit of the input minus that of the baseline (of ``black_and_white``, the mean of
    the maps from both, minus the mean of both).
    """

    info = MethodInfo(
        name="integrated_gradients",
        paper="Sundararajan et al. 2017, arXiv 1703.01365",
        description="what each pixel adds to the logit on the way from a baseline to the image",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={
            "steps": Parameter(24, "intervals of the trapezoid sum; one gradient more than that", minimum=1),
            "baseline": BASELINE,
            "blur_sigma": BLUR_SIGMA,
            "complete": COMPLETE,
        },
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the integral, (N, C, *spatial)."""
        starts = baselines(task)
        task.passes.announce(len(starts) * len(task.inputs) * (task.whole("steps") + 1))
        maps = [
            torch.cat([integrals(task, *row) for row in zip(start, task.inputs[:, None], task.targets, strict=True)])
            for start in starts
        ]
        return torch.stack(maps).mean(dim=0)


class SmoothIntegratedGradients:
    """The mean of the squared integrated gradients of noisy copies of the input, channel by channel.

    Arun et al. 2021 and PAIR's default (``magnitude``): 25 copies. The last point of each copy's way is the copy
    itself, where SmoothGrad looks too.
    """

    info = MethodInfo(
        name="smooth_integrated_gradients",
        paper="Smilkov et al. 2017, arXiv 1706.03825",
        description="what each pixel adds to the logit, squared, steadied by noise",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={
            **NOISE,
            "steps": Parameter(4, "intervals of the trapezoid sum of each copy", minimum=1),
            "baseline": BASELINE,
            "blur_sigma": BLUR_SIGMA,
            "complete": COMPLETE,
        },
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the mean square, (N, C, *spatial)."""
        starts = baselines(task)
        task.passes.announce(len(starts) * len(task.inputs) * task.whole("samples") * (task.whole("steps") + 1))
        maps = [
            torch.stack([self._mean_square(task, *row) for row in zip(start, task.inputs, task.targets, strict=True)])
            for start in starts
        ]
        return torch.stack(maps).mean(dim=0)

    def _mean_square(self, task: Task, start: torch.Tensor, sample: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(sample)
        for copies in noisy(sample, task, held=2 * _HELD):
            total += integrals(task, start, copies, target).square().sum(dim=0)
        return total / task.whole("samples")


class ExpectedGradients:
    """Integrated gradients averaged over images of other subjects as baselines, one random point of each way.

    References take turns in a random order; the points are spread evenly over the way (one in each of ``samples``
    equal parts), which leaves the expectation as it is and its error smaller.
    """

    info = MethodInfo(
        name="expected_gradients",
        paper="Erion et al. 2021, arXiv 1906.10670",
        description="what each pixel adds to the logit compared with other subjects' images",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={"samples": Parameter(50, "points, each on the way from one reference", minimum=1)},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the expectation, (N, C, *spatial).

        Raises:
            Unsuitable: no references were given, or of another shape.
        """
        references = references_of(task, "The method of expected gradients")
        task.passes.announce(len(task.inputs) * task.whole("samples"))
        return torch.stack(
            [self._expected(task, references, *row) for row in zip(task.inputs, task.targets, strict=True)]
        )

    def _expected(
        self, task: Task, references: torch.Tensor, sample: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        count = task.whole("samples")
        generator = torch.Generator().manual_seed(task.seed)
        turns = -(-count // len(references))
        chosen = torch.cat([torch.randperm(len(references), generator=generator) for _ in range(turns)])[:count]
        alphas = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        alphas = alphas[torch.randperm(count, generator=generator)]
        total = torch.zeros_like(sample)
        most = task.passes.at_once(sample, _HELD)
        for part, shares in zip(torch.split(chosen, most), torch.split(alphas, most), strict=True):
            begin = references[part.to(references.device)]
            points = begin + shares.to(sample).reshape(-1, *[1] * sample.ndim) * (sample - begin)
            gradients, _ = task.passes.gradients(points, target.expand(len(points)))
            total += (gradients * (sample - begin)).sum(dim=0)
        return total / count


def integrals(task: Task, begin: torch.Tensor, ends: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Integrate the gradient from one point to several others, times the ways between, (ends, C, *spatial).

    Of the task it takes ``steps``, the intervals of the trapezoid sum, and ``complete``.
    """
    steps = task.whole("steps")
    ways = ends - begin
    weights = torch.full((steps + 1,), 1.0 / steps, device=ways.device)
    weights[[0, -1]] /= 2
    mean, slope_times = torch.zeros_like(ways), torch.zeros_like(ways)
    all_slopes: list[torch.Tensor] = []
    all_logits: list[torch.Tensor] = []
    every = torch.arange(1, steps + 1, device=ways.device)
    for part in (every.new_zeros(1), *torch.split(every, max(1, task.passes.at_once(ways[0], _HELD) // len(ends)))):
        gradients, logits = _along(task, begin, ends, target, part / steps)
        slopes = (gradients * ways).flatten(2).sum(dim=2)
        mean += torch.tensordot(weights[part], gradients, dims=1)
        weighted = (weights[part, None] * slopes).reshape(*slopes.shape, *[1] * begin.ndim)
        slope_times += (weighted * gradients).sum(dim=0)
        all_slopes.append(slopes.double())
        all_logits.append(logits.double())
    if task.parameters["complete"]:
        mean = mean + _missing(weights.double(), torch.cat(all_slopes), torch.cat(all_logits), mean, slope_times)
    return mean * ways


def _along(
    task: Task, begin: torch.Tensor, ends: torch.Tensor, target: torch.Tensor, alphas: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gradients, (alphas, ends, C, *spatial), and logits, (alphas, ends), at shares of the ways.

    The begin is the same point for every way and passed once; the end is the image itself to the bit, since other
    methods pass it too.
    """
    shares = alphas.reshape(-1, *[1] * ends.ndim)
    points = torch.where(shares == 1, ends, begin + shares * (ends - begin))
    distinct = points[:, :1] if float(alphas[-1]) == 0 else points
    flat = distinct.flatten(0, 1)
    gradients, logits = task.passes.gradients(flat, target.expand(len(flat)))
    gradients = gradients.reshape(distinct.shape).expand_as(points)
    return gradients, logits.reshape(distinct.shape[:2]).expand(points.shape[:2])


def _missing(
    weights: torch.Tensor, slopes: torch.Tensor, logits: torch.Tensor, mean: torch.Tensor, slope_times: torch.Tensor
) -> torch.Tensor:
    """Return what the rise of the logit adds to the mean gradient: regression on the slope, (ends, C, *spatial)."""
    mean_slope = weights @ slopes
    variance = weights @ (slopes - mean_slope).square()
    least = (_LEAST_SPREAD * slopes.abs().amax(dim=0)).square()
    rise = logits[-1] - logits[0]
    factor = torch.where(variance > least, (rise - mean_slope) / variance, 0.0)
    shape = (-1, *[1] * (mean.ndim - 1))
    return factor.to(mean).reshape(shape) * (slope_times - mean_slope.to(mean).reshape(shape) * mean)

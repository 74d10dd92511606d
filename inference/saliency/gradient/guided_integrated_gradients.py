"""Kapishnikov et al.: Guided Integrated Gradients (CVPR 2021), arXiv 2106.09788, algorithm 1."""

from dataclasses import dataclass
from functools import cached_property

import torch

from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task
from inference.saliency.gradient.baselines import BASELINE, BLUR_SIGMA, baselines

_CLOSE = 1e-9


class GuidedIntegratedGradients:
    """Integrated gradients along a way that first moves the values by which the logit changes least.

    Steps follow one another, so that a batch holds one point of each sample.
    """

    info = MethodInfo(
        name="guided_integrated_gradients",
        paper="Kapishnikov et al. 2021, arXiv 2106.09788",
        description="what each pixel adds to the logit on a way from a baseline that avoids steep ground",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={
            "steps": Parameter(200, "steps of the way", minimum=1),
            "fraction": Parameter(0.25, "share of values moved at a step, the flattest first", minimum=0, maximum=1),
            "max_distance": Parameter(
                0.02, "how far a value may leave the straight way, as a share of it (0: IG, 1: unbounded)",
                minimum=0, maximum=1,
            ),
            "baseline": BASELINE,
            "blur_sigma": BLUR_SIGMA,
        },
    )  # fmt: skip

    def explain(self, task: Task) -> torch.Tensor:
        """Return the integral, (N, C, *spatial); of two baselines the mean."""
        starts = baselines(task)
        task.passes.announce(len(starts) * task.whole("steps") * len(task.inputs))
        return torch.stack([self._integrate(task, start) for start in starts]).mean(dim=0).float()

    def _integrate(self, task: Task, start: torch.Tensor) -> torch.Tensor:
        ways = [
            _Way(begin.double().flatten(), end.double().flatten(), task.number("fraction"), task.number("max_distance"))
            for begin, end in zip(start, task.inputs, strict=True)
        ]
        points = [way.begin.clone() for way in ways]
        sums = [torch.zeros_like(point) for point in points]
        steps = task.whole("steps")
        for step in range(1, steps + 1):
            here = torch.stack(points).reshape(task.inputs.shape).to(task.inputs)
            gradients, _ = task.passes.gradients(here, task.targets)
            for index, way in enumerate(ways):
                gradient = gradients[index].double().flatten()
                moved = way.advanced(points[index], gradient, step / steps)
                sums[index] += (moved - points[index]) * gradient
                points[index] = moved
        return torch.stack(sums).reshape(task.inputs.shape)


@dataclass(frozen=True)
class _Way:
    """From one baseline to one image, (values,) each."""

    begin: torch.Tensor
    end: torch.Tensor
    fraction: float
    max_distance: float

    @cached_property
    def whole(self) -> torch.Tensor:
        """The difference of end and begin."""
        return self.end - self.begin

    @cached_property
    def total(self) -> float:
        """Its L1 norm."""
        return float(self.whole.abs().sum())

    def advanced(self, point: torch.Tensor, gradient: torch.Tensor, share: float) -> torch.Tensor:
        """Move the values of least gradient until the L1 distance to the end is ``1 - share`` of the whole."""
        whole, total = self.whole, self.total
        target = total * (1 - share)
        low, high = max(share - self.max_distance, 0.0), min(share + self.max_distance, 1.0)
        nearest, farthest = self.begin + whole * low, self.begin + whole * high
        size = gradient.abs()
        point = point.clone()
        while total > 0:
            along = torch.where(whole != 0, (point - self.begin) / whole, high)
            point = torch.where(along < low, nearest, point)
            left = float((point - self.end).abs().sum())
            if abs(left - target) <= _CLOSE * max(abs(left), abs(target), 1.0):
                break
            size = torch.where(point == farthest, torch.inf, size)
            chosen = (size <= self._quantile(size)) & (size != torch.inf)
            reachable = float(((point - farthest).abs() * chosen).sum())
            gamma = (left - target) / reachable if reachable > 0 else torch.inf
            if gamma > 1:
                point = torch.where(chosen, farthest, point)
            else:
                point = torch.where(chosen, farthest * gamma + point * (1 - gamma), point)
                break
        return point

    def _quantile(self, size: torch.Tensor) -> torch.Tensor:
        return size.kthvalue(int(self.fraction * (len(size) - 1)) + 1).values

"""Xu, Venugopalan, Sundararajan: Attribution in scale and space (CVPR 2020), arXiv 2004.03383."""

import numpy as np
import torch

from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task

_TRUNCATE = 4.0
"""A Gaussian ends at so many standard deviations, as in scipy."""
_HELD = 12
"""Tensors of the size of the points that are in memory at once; those in float64 count twice."""


class BlurIntegratedGradients:
    """The gradients along the way from the image to its blur, times what each increase of the blur takes away.

    The integral over the blur's standard deviation is PAIR's sum over ``steps`` equal steps (each taken at its left
    end, where the first counts nothing). With ``thin`` only every step up to the eighth is passed, then ever fewer:
    each doubling of the blur gets four points, and the summand is linear in between. What is left out lies where the
    image hardly changes any more.
    """

    info = MethodInfo(
        name="blur_integrated_gradients",
        paper="Xu et al. 2020, arXiv 2004.03383",
        description="what each pixel adds to the logit as the image is brought into focus",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={
            "steps": Parameter(100, "equal steps of the blur's standard deviation", minimum=2),
            "max_sigma": Parameter(50.0, "standard deviation of the strongest blur, in pixels of the input", minimum=0),
            "grad_step": Parameter(0.01, "difference by which the blur is differentiated, in pixels", minimum=1e-6),
            "thin": Parameter(True, "pass fewer points where the blur is strong"),
        },
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the integral, (N, C, *spatial)."""
        nodes, weights = _nodes(task.whole("steps"), thin=bool(task.parameters["thin"]))
        task.passes.announce(len(nodes) * len(task.inputs))
        step = task.number("max_sigma") / task.whole("steps")
        total = torch.zeros_like(task.inputs)
        most = task.passes.at_once(task.inputs[0], _HELD)
        for first in range(0, len(nodes), most):
            chosen = range(first, min(first + most, len(nodes)))
            for index, sample in enumerate(task.inputs):
                sigmas = [nodes[i] * step for i in chosen]
                exact = sample.cpu().double()
                points = torch.stack([blurred(exact, sigma) for sigma in sigmas])
                further = torch.stack([blurred(exact, sigma + task.number("grad_step")) for sigma in sigmas])
                change = ((further - points) / task.number("grad_step")).to(sample)
                gradients, _ = task.passes.gradients(points.to(sample), task.targets[index].expand(len(points)))
                shares = torch.tensor([weights[i] * step for i in chosen]).to(sample)
                total[index] -= torch.tensordot(shares, gradients * change, dims=1)
        return total


def blurred(sample: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur each channel of (C, *spatial) by a Gaussian, zero outside the image, as scipy's ``mode="constant"``."""
    result = sample
    for axis in range(1, sample.ndim):
        matrix = _band(sample.shape[axis], sigma).to(sample)
        result = torch.movedim(torch.tensordot(result, matrix, dims=([axis], [1])), -1, axis)
    return result


def _band(size: int, sigma: float) -> torch.Tensor:
    """Return the matrix that blurs a line, (size, size)."""
    radius = int(_TRUNCATE * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2) if sigma > 0 else np.ones(1)
    kernel /= kernel.sum()
    apart = np.subtract.outer(np.arange(size), np.arange(size)) + radius
    inside = (apart >= 0) & (apart <= 2 * radius)
    return torch.from_numpy(np.where(inside, kernel[np.clip(apart, 0, 2 * radius)], 0.0))


def _nodes(steps: int, *, thin: bool) -> tuple[list[int], list[float]]:
    """Return the steps that are passed, from the first with a blur on, and what each stands for, in steps."""
    nodes, stride = [1], 1
    while nodes[-1] < steps - 1:
        stride = max(1, 1 << max(0, nodes[-1].bit_length() - 3)) if thin else 1
        nodes.append(min(nodes[-1] + stride, steps - 1))
    weights = np.zeros(len(nodes))
    where = np.interp(np.arange(1, max(steps, 2)), nodes, np.arange(len(nodes)))
    below = np.floor(where).astype(int)
    np.add.at(weights, below, 1 - (where - below))
    np.add.at(weights, np.minimum(below + 1, len(nodes) - 1), where - below)
    return nodes, weights.tolist()

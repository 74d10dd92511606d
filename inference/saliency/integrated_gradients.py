"""Sundararajan, Taly, Yan: Axiomatic attribution for deep networks (ICML 2017), arXiv 1703.01365."""

from functools import partial

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from inference.devices import run_batched
from inference.saliency.protocol import MethodInfo, Parameter, Task, input_gradient


class IntegratedGradients:
    """Gradients along the straight way from a baseline, times the way; summed over channels, with its sign.

    The integral is a Gauss-Legendre quadrature. Completeness: a map sums to the logit of the input minus that of the
    baseline (of ``black_and_white``: minus the mean of both).

    Baselines are made from each sample, since preprocessing decides what black is: ``black`` and ``white`` are its
    smallest and largest value, ``mean`` its mean in each channel, ``blur`` a Gaussian blur of it, and
    ``black_and_white`` the mean of the maps from black and from white.
    """

    info = MethodInfo(
        name="integrated_gradients",
        paper="Sundararajan et al. 2017, arXiv 1703.01365",
        description="what each pixel adds to the logit on the way from a baseline to the image",
        needs_layer=False,
        details={
            "steps": Parameter(50, "points of the Gauss-Legendre quadrature", minimum=1),
            "baseline": Parameter(
                "black", "where the way begins", choices=("black", "white", "mean", "blur", "black_and_white")
            ),
            "blur_sigma": Parameter(10.0, "standard deviation of the blur baseline, in pixels of the input", minimum=0),
        },
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Give the integral, (N, *spatial)."""
        chosen = str(task.parameters["baseline"])
        names = ("black", "white") if chosen == "black_and_white" else (chosen,)
        maps = [self._integrate(task, _baseline(task.inputs, name, task)) for name in names]
        return torch.stack(maps).mean(dim=0)

    def _integrate(self, task: Task, start: torch.Tensor) -> torch.Tensor:
        nodes, weights = np.polynomial.legendre.leggauss(int(task.parameters["steps"]))
        alphas = torch.as_tensor((nodes + 1.0) / 2.0, dtype=torch.float32, device=start.device)
        shares = torch.as_tensor(weights / 2.0, dtype=torch.float32, device=start.device)
        maps = []
        for sample, begin, target in zip(task.inputs, start, task.targets, strict=True):
            way = sample - begin
            points = begin + alphas.reshape(-1, *[1] * sample.ndim) * way
            gradients = run_batched(partial(input_gradient, task.model), points, target.expand(len(points)))
            maps.append((torch.tensordot(shares, gradients, dims=1) * way).sum(dim=0))
        return torch.stack(maps)


def _baseline(inputs: torch.Tensor, name: str, task: Task) -> torch.Tensor:
    spatial = tuple(range(2, inputs.ndim))
    if name == "mean":
        return inputs.mean(dim=spatial, keepdim=True).expand_as(inputs)
    if name == "blur":
        sigma = [0.0, 0.0, *[float(task.parameters["blur_sigma"])] * len(spatial)]
        return torch.from_numpy(gaussian_filter(inputs.cpu().numpy(), sigma)).to(inputs)
    flat = inputs.flatten(1)
    extreme = flat.amin(dim=1) if name == "black" else flat.amax(dim=1)
    return extreme.reshape(-1, *[1] * (inputs.ndim - 1)).expand_as(inputs)

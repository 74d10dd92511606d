"""Simonyan, Vedaldi, Zisserman: Deep inside convolutional networks (2014), arXiv 1312.6034, section 3."""

from functools import partial

import torch

from inference.devices import run_batched
from inference.saliency.protocol import MethodInfo, Task, input_gradient


class Gradient:
    """The gradient of the logit by the input, summed over channels, with its sign."""

    info = MethodInfo(
        name="gradient",
        paper="Simonyan et al. 2014, arXiv 1312.6034",
        description="how much the logit rises when a pixel gets brighter",
        needs_layer=False,
        details={},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Give the gradient, (N, *spatial)."""
        return run_batched(partial(input_gradient, task.model), task.inputs, task.targets).sum(dim=1)

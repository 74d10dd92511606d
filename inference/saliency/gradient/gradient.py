"""Simonyan, Vedaldi, Zisserman: Deep inside convolutional networks (2014), arXiv 1312.6034, section 3."""

import torch

from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Task


class Gradient:
    """The gradient of the logit by the input, with its sign."""

    info = MethodInfo(
        name="gradient",
        paper="Simonyan et al. 2014, arXiv 1312.6034",
        description="how much the logit rises when a pixel gets brighter",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the gradient, (N, C, *spatial)."""
        return task.passes.gradients(task.inputs, task.targets)[0]

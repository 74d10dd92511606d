"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) smoothed by a Gaussian, so that its peak is the middle of a hill.

The cells of the last convolution are coarse: the highest point of a map brought to the image's grid lies at the centre
of one cell, beside a finding as often as in it. A Gaussian of the width of about half a cell lets neighbours vote.
"""

from dataclasses import replace

import torch

from inference.saliency.cam.gradcam import RELU, GradCam
from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task
from inference.saliency.gradient.blur_integrated_gradients import blurred

SPREAD_SHARE = Parameter(
    0.03125, "SD of the Gaussian, as a share of the input's shortest side: 4 of 128 pixels", minimum=0, maximum=0.5
)


class SmoothedGradCam:
    """Grad-CAM on the grid of the input, smoothed by a Gaussian, and cut at zero afterwards where ``relu`` says so.

    What lies outside the image does not count: each point is the weighted mean of the points that exist, so that
    nothing fades towards the edge.
    """

    info = MethodInfo(
        name="smoothed_gradcam",
        paper="Selvaraju et al. 2017, arXiv 1610.02391; smoothed here",
        description="where the features of the last convolution speak for the class, neighbouring cells together",
        needs_layer=True,
        explanation=ExplanationType.GRADIENT_WEIGHTED,
        details={"relu": RELU, "spread_share": SPREAD_SHARE},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the smoothed class activation map on the grid of the input, (N, 1, *spatial)."""
        maps = GradCam().explain(replace(task, parameters={"relu": False}))[:, 0]
        sigma_pixels = task.number("spread_share") * min(maps.shape[1:])
        there = blurred(torch.ones_like(maps[:1]), sigma_pixels)
        smooth = (blurred(maps, sigma_pixels) / there)[:, None]
        return smooth.relu() if task.parameters["relu"] else smooth

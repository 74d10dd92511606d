"""Selvaraju et al.: Grad-CAM (ICCV 2017), arXiv 1610.02391, equations 1 and 2."""

from functools import partial

import torch
from torch.nn import functional as F

from inference.devices import run_batched
from inference.saliency.layers import activations_and_gradients, choose_layer
from inference.saliency.protocol import MethodInfo, Parameter, Task


class GradCam:
    """The features of one layer, each weighted by the mean gradient of the logit by it, summed and upsampled.

    Upsampling is bilinear (trilinear in 3D) between cell centres (``align_corners=False``).
    """

    info = MethodInfo(
        name="gradcam",
        paper="Selvaraju et al. 2017, arXiv 1610.02391",
        description="where the features of the last convolution speak for the class",
        needs_layer=True,
        details={"relu": Parameter(True, "keep only what speaks for the class (equation 2)")},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Give the class activation map on the grid of the input, (N, *spatial)."""
        layer = choose_layer(task.model, task.inputs, task.layer)
        grids = run_batched(partial(_cam, task.model, layer), task.inputs, task.targets)
        if task.parameters["relu"]:
            grids = grids.relu()
        mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[grids.ndim - 1]
        return F.interpolate(grids[:, None], size=task.inputs.shape[2:], mode=mode, align_corners=False)[:, 0]


def _cam(model: torch.nn.Module, layer: str, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    features, gradient = activations_and_gradients(model, inputs, targets, layer=layer)
    weights = gradient.mean(dim=tuple(range(2, gradient.ndim)), keepdim=True)
    return (weights * features).sum(dim=1)

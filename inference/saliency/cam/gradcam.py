"""Selvaraju et al.: Grad-CAM (2017), arXiv 1610.02391; Chattopadhay et al.: Grad-CAM++ (2018), arXiv 1710.11063."""

import torch
from torch.nn import functional as F

from inference.saliency.engine.layers import choose_layer
from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task
from inference.saliency.gradient.guided_backprop import ruled_gradient
from inference.saliency.gradient.relu_rules import guided

RELU = Parameter(True, "keep only what speaks for the class (equation 2)")


class GradCam:
    """The features of one layer, each weighted by the mean gradient of the logit by it, summed and upsampled.

    Upsampling is bilinear (trilinear in 3D) between cell centres (``align_corners=False``).
    """

    info = MethodInfo(
        name="gradcam",
        paper="Selvaraju et al. 2017, arXiv 1610.02391",
        description="where the features of the last convolution speak for the class",
        needs_layer=True,
        explanation=ExplanationType.GRADIENT_WEIGHTED,
        details={"relu": RELU},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the class activation map on the grid of the input, (N, 1, *spatial)."""
        layer = choose_layer(task.model, task.inputs, task.layer)
        features, gradient = task.passes.features(task.inputs, task.targets, layer)
        weights = gradient.mean(dim=tuple(range(2, gradient.ndim)), keepdim=True)
        return upsampled((weights * features).sum(dim=1, keepdim=True), task)


class GradCamPlusPlus:
    """Grad-CAM whose weights count each cell by how much of the class it explains (equations 14 and 19).

    The class score is the exponential of the logit, as in the paper, so that its derivatives are powers of the
    logit's gradient. ``epsilon`` is 0 in the paper; grad-cam adds 1e-6 to a denominator of the size of the squared
    gradient, by which the map comes to depend on the scale of the logits.
    """

    info = MethodInfo(
        name="gradcam_plus_plus",
        paper="Chattopadhay et al. 2018, arXiv 1710.11063",
        description="where the features of the last convolution speak for the class, small regions counted fully",
        needs_layer=True,
        explanation=ExplanationType.GRADIENT_WEIGHTED,
        details={"relu": RELU, "epsilon": Parameter(0.0, "added to the denominator of equation 19", minimum=0)},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the class activation map on the grid of the input, (N, 1, *spatial)."""
        layer = choose_layer(task.model, task.inputs, task.layer)
        features, gradient = task.passes.features(task.inputs, task.targets, layer)
        cells = tuple(range(2, gradient.ndim))
        everywhere = features.sum(dim=cells, keepdim=True)
        below = 2 * gradient.square() + everywhere * gradient.pow(3) + task.number("epsilon")
        shares = torch.where(below != 0, gradient.square() / torch.where(below != 0, below, 1), 0)
        weights = (shares * gradient.relu()).sum(dim=cells, keepdim=True)
        return upsampled((weights * features).sum(dim=1, keepdim=True), task)


class GuidedGradCam:
    """Guided backpropagation times Grad-CAM, point by point (section 3.2 of Grad-CAM)."""

    info = MethodInfo(
        name="guided_gradcam",
        paper="Selvaraju et al. 2017, arXiv 1610.02391",
        description="fine structure, within where the features of the last convolution speak for the class",
        needs_layer=True,
        explanation=ExplanationType.GRADIENT_WEIGHTED,
        details={"relu": RELU},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the product, (N, C, *spatial)."""
        return ruled_gradient(task, guided) * GradCam().explain(task)


def upsampled(grids: torch.Tensor, task: Task) -> torch.Tensor:
    """Bring cells, (N, K, *grid), to the grid of the input, (N, K, *spatial); negatives cut where ``relu`` says so."""
    return on_input_grid(grids.relu() if task.parameters.get("relu") else grids, task)


def on_input_grid(grids: torch.Tensor, task: Task) -> torch.Tensor:
    """Bring cells, (N, K, *grid), to the grid of the input, (N, K, *spatial), linearly between cell centres."""
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[grids.ndim - 2]
    return F.interpolate(grids, size=task.inputs.shape[2:], mode=mode, align_corners=False)

"""Bigolin Lanfredi et al.: Comparing radiologists' gaze and saliency maps (2021), arXiv 2112.11716, section 2.2."""

import torch

from inference.saliency.cam.gradcam import upsampled
from inference.saliency.engine.layers import choose_layer
from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task


class ClassMixture:
    """The Grad-CAM of every class, cut at zero and summed: where the network looks, whatever it says.

    Classes count alike (``uniform``), by their sigmoid (``weighted``), or only those with a logit of at least zero
    (``thresholded``; where there is none the first class stands in, as in the authors' code).
    """

    info = MethodInfo(
        name="class_mixture",
        paper="Bigolin Lanfredi et al. 2021, arXiv 2112.11716",
        description="where the features of the last convolution speak for any class",
        needs_layer=True,
        explanation=ExplanationType.GRADIENT_WEIGHTED,
        details={
            "mixing": Parameter("uniform", "how classes count", choices=("uniform", "weighted", "thresholded")),
            "relu": Parameter(True, "cut each class's map at zero before the sum"),
        },
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the mixture on the grid of the input, (N, 1, *spatial); the target plays no part."""
        layer = choose_layer(task.model, task.inputs, task.layer)
        logits = task.passes.logits(task.inputs)
        count, classes = logits.shape
        features, gradient = task.passes.features(
            task.inputs.repeat_interleave(classes, dim=0), torch.arange(classes).repeat(count).to(task.targets), layer
        )
        weights = gradient.mean(dim=tuple(range(2, gradient.ndim)), keepdim=True)
        maps = upsampled((weights * features).sum(dim=1, keepdim=True) / features.shape[1], task)
        maps = maps.reshape(count, classes, *maps.shape[2:])
        shares = _shares(logits, str(task.parameters["mixing"]))
        return (shares.reshape(count, classes, *[1] * (maps.ndim - 2)) * maps).sum(dim=1, keepdim=True)


def _shares(logits: torch.Tensor, mixing: str) -> torch.Tensor:
    if mixing == "uniform":
        return torch.ones_like(logits)
    if mixing == "weighted":
        return logits.sigmoid()
    called = (logits >= 0).to(logits)
    called[called.sum(dim=1) == 0, 0] = 1
    return called

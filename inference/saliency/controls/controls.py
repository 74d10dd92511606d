"""Control maps made without knowledge of the finding (random, centre, edge ...), with the interface of the methods.

A method that does not beat them gives no evidence of localisation (Arun et al. 2021, arXiv 2008.02766; Brima and
Atemkeng 2024).
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from skimage.filters import sobel
from torch.nn import functional as F

from inference.errors import Unsuitable
from inference.saliency.cam.gradcam import RELU, GradCam
from inference.saliency.controls.random_weights import randomised
from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task

Draw = Callable[[Task], torch.Tensor]


class Control:
    """A map made without the network's answer."""

    def __init__(self, name: str, description: str, draw: Draw, details: dict[str, Parameter] | None = None) -> None:
        self._draw = draw
        self.info = MethodInfo(
            name=name,
            paper="control of Arun et al. 2021, arXiv 2008.02766",
            description=description,
            needs_layer=name == "untrained",
            explanation=ExplanationType.SALIENCY,
            details=details or {},
            control=True,
        )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the map, (N, 1, *spatial)."""
        return self._draw(task)


def _random(task: Task) -> torch.Tensor:
    generator = torch.Generator().manual_seed(task.seed)
    return torch.rand(_one_channel(task)[1:], generator=generator).expand(_one_channel(task)).to(task.inputs)


def _centre(task: Task) -> torch.Tensor:
    width = task.number("width")
    axes = [torch.linspace(-1, 1, size) for size in task.inputs.shape[2:]]
    squared = sum(axis.square() for axis in torch.meshgrid(*axes, indexing="ij"))
    bell = torch.exp(-torch.as_tensor(squared) / (2 * width * width))
    return bell.expand(_one_channel(task)).to(task.inputs)


def _edge(task: Task) -> torch.Tensor:
    means = task.inputs.mean(dim=1).cpu().double().numpy()
    return torch.from_numpy(np.stack([sobel(image) for image in means]))[:, None].to(task.inputs)


def _blank(task: Task) -> torch.Tensor:
    return torch.zeros(_one_channel(task), device=task.inputs.device)


def _average_mask(task: Task) -> torch.Tensor:
    if task.prior is None or task.prior.ndim != task.inputs.ndim - 2:
        raise Unsuitable(
            "The control average_mask needs the mean of lesion masks.", cure="Give it as prior=, (*spatial)."
        )
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[task.prior.ndim]
    fitted = F.interpolate(task.prior[None, None], size=task.inputs.shape[2:], mode=mode, align_corners=False)
    return fitted.expand(_one_channel(task)).clone()


def _untrained(task: Task) -> torch.Tensor:
    twin = randomised(task.model, seed=task.seed)
    return GradCam().explain(replace(task, model=twin, passes=task.passes.through(twin)))


def _one_channel(task: Task) -> tuple[int, ...]:
    return (len(task.inputs), 1, *task.inputs.shape[2:])


CONTROLS = (
    Control("random", "uniform noise", _random),
    Control(
        "centre",
        "a bell in the middle of the image",
        _centre,
        {"width": Parameter(0.5 / math.sqrt(2), "standard deviation, in half sides of the image", minimum=0.01)},
    ),
    Control("edge", "edges of the image (Sobel)", _edge),
    Control("blank", "nothing: the same value everywhere", _blank),
    Control("average_mask", "where lesions lie on average (fitted on masks)", _average_mask),
    Control("untrained", "Grad-CAM of the same network with random weights", _untrained, {"relu": RELU}),
)

"""Where the way to an image begins: black, white, mean or blurred, made from each sample; or other subjects' images."""

import torch
from scipy.ndimage import gaussian_filter

from inference.errors import Unsuitable
from inference.saliency.engine.protocol import Parameter, Task

BASELINES = ("black", "white", "black_and_white", "mean", "blur")

BASELINE = Parameter("black", "where the way begins", choices=BASELINES)
BLUR_SIGMA = Parameter(10.0, "standard deviation of the blur baseline, in pixels of the input", minimum=0)


def baselines(task: Task) -> tuple[torch.Tensor, ...]:
    """Return the baselines a task asks for, each (N, C, *spatial): two for ``black_and_white``, else one.

    ``black`` and ``white`` are a sample's smallest and largest value, since after standardisation zero is no black;
    ``mean`` is its mean in each channel, ``blur`` a Gaussian blur of it.
    """
    chosen = str(task.parameters["baseline"])
    names = ("black", "white") if chosen == "black_and_white" else (chosen,)
    return tuple(_baseline(task.inputs, name, task) for name in names)


def references_of(task: Task, method: str) -> torch.Tensor:
    """Return the images of other subjects, (M, C, *spatial).

    Raises:
        Unsuitable: none were given, or of another shape.
    """
    if task.references is None or task.references.shape[1:] != task.inputs.shape[1:]:
        raise Unsuitable(
            f"{method} needs images of other subjects, of the shape of the input.",
            cure="Give them as references=, or ship them with the bundle ([null] inputs).",
        )
    return task.references.to(task.inputs.device)  # only for methods that ask for them


def _baseline(inputs: torch.Tensor, name: str, task: Task) -> torch.Tensor:
    spatial = tuple(range(2, inputs.ndim))
    if name == "mean":
        return inputs.mean(dim=spatial, keepdim=True).expand_as(inputs)
    if name == "blur":
        sigma = [0.0, 0.0, *[task.number("blur_sigma")] * len(spatial)]
        return torch.from_numpy(gaussian_filter(inputs.cpu().numpy(), sigma)).to(inputs)
    flat = inputs.flatten(1)
    extreme = flat.amin(dim=1) if name == "black" else flat.amax(dim=1)
    return extreme.reshape(-1, *[1] * (inputs.ndim - 1)).expand_as(inputs)

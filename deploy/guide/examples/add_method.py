"""Write a saliency method, and see at once whether it points better than maps that know nothing of the finding.

    python add_method.py BUNDLE

Prints, for the new method, for `gradient` and for two controls, on how many planes of a phantom with a lesion the peak
of the map lies in it. To keep a method, move its class into a file below `inference/saliency/` (gradient, cam or
perturbation) and add one line to the table in `inference/saliency/registry.py`: every command, criterion and page then
knows it by its name.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from inference.bundle.discovery import load_named
from inference.phantom.phantom import make_phantom
from inference.prepare import prepare
from inference.reading.study import read_study
from inference.saliency import explain
from inference.saliency.engine.passes import Passes
from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Task
from reports.objects.phantom_study import write_study

SEED = 0


class InputTimesGradient:
    """Each pixel times the gradient of the logit by it: its part in the logit if the network were linear."""

    info = MethodInfo(
        name="input_times_gradient",
        paper="Shrikumar et al. 2016, arXiv 1605.01713",
        description="what each pixel would contribute if the network were linear",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={},
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the product, (N, C, *spatial)."""
        return task.inputs * task.passes.gradients(task.inputs, task.targets)[0]


def main(bundle_name: str) -> None:
    """Compare the peaks of the maps with the lesion of a phantom."""
    bundle, phantom = load_named(bundle_name), make_phantom(11)
    with TemporaryDirectory() as folder:
        (image,) = read_study(write_study(phantom, Path(folder))).images
    model_input, planes = prepare(bundle, image), list(phantom.lesion_slices)
    network, inputs = bundle.primary().module, torch.as_tensor(model_input.tensor[planes])
    class_index = next(index for index, entry in enumerate(bundle.manifest.classes) if entry.finding)
    targets = torch.full((len(planes),), class_index)
    task = Task(network, inputs, targets, layer=None, seed=SEED, parameters={}, passes=Passes(network))
    maps = {InputTimesGradient.info.name: InputTimesGradient().explain(task).sum(dim=1)}
    for name in ("gradient", "random", "centre"):
        maps[name] = explain(network, inputs, targets, name, seed=SEED)
    for name, values in maps.items():
        on_planes = [model_input.to_frame(one.numpy(), plane) for one, plane in zip(values, planes, strict=True)]
        hits = [
            phantom.masks[plane][np.unravel_index(on_plane.argmax(), on_plane.shape)]
            for plane, on_plane in zip(planes, on_planes, strict=True)
        ]
        print(f"{name}: peak in the lesion on {sum(hits)} of {len(planes)} planes")


if __name__ == "__main__":
    main(sys.argv[1])

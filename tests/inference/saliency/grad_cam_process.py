"""Runs grad-cam where nothing else is disturbed: ``python -m tests.inference.saliency.grad_cam_process FOLDER``.

grad-cam imports torchvision for helpers that are not used here, and torchvision would bring another torch. Empty
modules of that name stand in for it; they would break torchmetrics, so this is a process of its own.
"""

import json
import sys
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.inference.saliency.cases import architecture


def stand_in_for_torchvision() -> None:
    """Put empty modules where grad-cam looks for torchvision."""
    names = {
        "torchvision": (),
        "torchvision.ops": (),
        "torchvision.transforms": ("Compose", "Normalize", "ToTensor"),
        "torchvision.transforms.functional": ("resize",),
    }
    for name, members in names.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        module.__path__ = []
        for member in members:
            setattr(module, member, None)
        sys.modules[name] = module


def upsample_as_in_the_paper() -> None:
    """Let the cells of Score-CAM's masks lie as in the paper's code and ours, not on the edge of the image."""
    nn.UpsamplingBilinear2d = partial(nn.Upsample, mode="bilinear", align_corners=False)  # type: ignore[misc]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    stand_in_for_torchvision()
    upsample_as_in_the_paper()
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    asked = json.loads((folder / "question.json").read_text())
    tensors = load_file(folder / "question.safetensors")
    model = architecture(asked["network"])
    model.load_state_dict(
        {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
    )
    targets = [ClassifierOutputTarget(int(target)) for target in tensors["targets"]]
    answer = {}
    for kind in asked["kinds"]:
        with getattr(pytorch_grad_cam, kind)(model.eval(), [model.get_submodule(asked["layer"])]) as method:
            answer[kind] = torch.from_numpy(method(tensors["inputs"], targets))
    save_file(answer, folder / "answer.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

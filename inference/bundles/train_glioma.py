"""Train ``glioma_flair`` and its unguided twin.

``python -m inference.bundles.train_glioma --data DIR --out DIR [--unguided] [--only model,alternate] [--quick]``

DIR holds ``labels.csv``, ``images`` and ``masks``; only rows of split ``train`` are read. Every network is trained from
its own seed on the same slices: real patients and phantoms. Weights are stored as float16 safetensors.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from inference.bundles.flair_data import Slices, join, make_phantoms, read_patients
from inference.bundles.guidance import Recipe, train_classifier, train_localiser
from inference.configs import Config

SIZE = 128
PREPROCESSING = {
    "_target_": "monai.transforms.Compose",
    "transforms": [
        {
            "_target_": "monai.transforms.ScaleIntensityRangePercentiles",
            "lower": 0,
            "upper": 99.5,
            "b_min": 0.0,
            "b_max": 1.0,
            "clip": True,
            "channel_wise": False,
        },
        {"_target_": "monai.transforms.Resize", "spatial_size": SIZE, "size_mode": "longest", "mode": "area"},
        {"_target_": "monai.transforms.SpatialPad", "spatial_size": [SIZE, SIZE]},
    ],
}
NETWORKS = {
    "network_def": {
        "_target_": "monai.networks.nets.DenseNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 2,
        "init_features": 32,
        "growth_rate": 24,
        "block_config": [2, 6],
        "bn_size": 2,
    },
    "alternate_def": {
        "_target_": "monai.networks.nets.ResNet",
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": [4, 16, 48, 96],
        "spatial_dims": 2,
        "n_input_channels": 1,
        "conv1_t_size": 3,
        "conv1_t_stride": 1,
        "no_max_pool": True,
        "num_classes": 2,
    },
    "localiser_def": {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "channels": [12, 24, 48, 96],
        "strides": [2, 2, 2],
        "num_res_units": 1,
    },
}
LAYERS = {"network_def": "class_layers.relu", "alternate_def": "layer4"}
"""Where the class activation map is taken and guided: the features that are averaged, 16 x 16 cells in both."""
PARTS = {
    "model": ("network_def", 1),
    "replicate_1": ("network_def", 2),
    "replicate_2": ("network_def", 3),
    "alternate": ("alternate_def", 4),
    "localiser": ("localiser_def", 5),
}
"""Name of the weights: architecture and seed."""
GUIDANCE = 0.15
EPOCHS = {"network_def": 24, "alternate_def": 14, "localiser_def": 12}
PHANTOM_SEEDS = range(100_000, 100_024)
NULL_SEEDS = [seed for seed in range(900_000, 900_024) if seed % 6 in (1, 2, 3)]
"""Twelve phantoms that have a lesion."""


def configuration(*, localiser: bool) -> dict[str, Any]:
    """Give what ``configs/inference.json`` says."""
    networks = {name: net for name, net in NETWORKS.items() if localiser or name != "localiser_def"}
    return {**networks, "preprocessing": PREPROCESSING}


def train_part(name: str, config: Config, data: Slices, *, guided: bool, quick: bool) -> nn.Module:
    """Train one network of the bundle from its seed, then refine it.

    The refinement runs a sixth as long at a fifth of the learning rate; where there is guidance, it counts mask cells
    by how much of them is lesion. The unguided twin has the same schedule.
    """
    definition, seed = PARTS[name]
    torch.manual_seed(seed)
    model = config.network(definition)
    epochs = 1 if quick else EPOCHS[definition]
    recipe = Recipe(seed=seed, guidance=GUIDANCE if guided else 0.0, epochs=epochs)
    if name == "localiser":
        return train_localiser(model, data, recipe, say(name))
    trained = train_classifier(model, LAYERS[definition], data, recipe, say(name))
    return refine(trained, name, data, guided=guided, epochs=max(epochs // 6, 1))


def refine(model: nn.Module, name: str, data: Slices, *, guided: bool, epochs: int) -> nn.Module:
    """Go on at a low learning rate, and draw the map's peak from the rim of the lesion to its inside."""
    definition, seed = PARTS[name]
    guidance = GUIDANCE if guided else 0.0
    recipe = Recipe(seed=seed + 100, guidance=guidance, epochs=epochs, learning_rate=4e-4, by_coverage=True)
    return train_classifier(model, LAYERS[definition], data, recipe, say(f"{name} refined"))


def say(name: str) -> Callable[[str], None]:
    """Give what prints progress of one network."""
    return lambda text: print(f"{name}: {text}", flush=True)  # noqa: T201


def null_images(config: Config) -> torch.Tensor:
    """Give the largest lesion slice of each null phantom, (12, 1, S, S): other subjects of the same class."""
    chosen = []
    for seed in NULL_SEEDS:
        slices = make_phantoms([seed], config.transform("preprocessing"))
        chosen.append(slices.inputs[int(slices.masks.sum(dim=(1, 2, 3)).argmax())])
    return torch.stack(chosen)


def store(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write float tensors as float16, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    halved = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    save_file({key: value.contiguous() for key, value in halved.items()}, part)
    part.chmod(0o644)
    part.replace(path)


def main() -> None:
    """Train what is asked for and write it into the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv")
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--unguided", action="store_true", help="the plain twin: the same recipe without guidance")
    parser.add_argument("--only", default="", help=f"comma-separated, of {', '.join(PARTS)}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one epoch: for trying the script, not for use")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    began = time.monotonic()
    text = json.dumps(configuration(localiser=not asked.unguided), indent=2) + "\n"
    (asked.out / "configs").mkdir(parents=True, exist_ok=True)
    (asked.out / "configs" / "inference.json").write_text(text, encoding="utf-8")
    config = Config(text.encode(), "configs/inference.json")
    preprocess = config.transform("preprocessing")
    data = join([read_patients(asked.data, ["train"], preprocess), make_phantoms(PHANTOM_SEEDS, preprocess)])
    print(f"{len(data.labels)} slices of {len(np.unique(data.groups))} subjects", flush=True)  # noqa: T201
    names = [name for name in asked.only.split(",") if name] or [
        n for n in PARTS if not (asked.unguided and n == "localiser")
    ]
    store({"images": null_images(config)}, asked.out / "null.safetensors")
    for name in names:
        model = train_part(name, config, data, guided=not asked.unguided, quick=asked.quick)
        store(model.state_dict(), asked.out / "models" / f"{name}.safetensors")
    print(f"{time.monotonic() - began:.0f} s in all", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

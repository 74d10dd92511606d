"""What training scripts of bundles have in common: the plan of a bundle, its schedule, and how weights are stored."""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from inference.bundle.configs import Config
from inference.devices import choose_device
from inference.training.guidance import Recipe, pointing_share, train_classifier, train_localiser
from inference.training.slices import Slices

SIZE = 128
"""Side of the input of every network, pixels."""
LAYERS = {
    "DenseNet": "class_layers.relu",
    "ResNet": "layer4",
    "GatedClassifier": "stages.3",
    "PyramidClassifier": "features",
}
"""Where the class activation map of an architecture is taken and guided: the features that are averaged."""
LEAST_POINTING = 0.8
"""Share of training slices on which a guided network must point into the mask, or it is trained again."""
PARTS = {
    "model": ("network_def", 1),
    "replicate_1": ("network_def", 2),
    "replicate_2": ("network_def", 3),
    "alternate": ("alternate_def", 4),
    "localiser": ("localiser_def", 5),
}
"""Name of the weights: architecture and seed."""


def preprocessing(*, each_plane: bool) -> dict[str, Any]:
    """Scale by the 99.5th percentile, bring the longer side to 128 pixels, pad evenly with zeros.

    Args:
        each_plane: whether each plane is scaled by itself, or the series as a whole.
    """
    return {
        "_target_": "monai.transforms.Compose",
        "transforms": [
            {
                "_target_": "monai.transforms.ScaleIntensityRangePercentiles",
                "lower": 0,
                "upper": 99.5,
                "b_min": 0.0,
                "b_max": 1.0,
                "clip": True,
                "channel_wise": each_plane,
            },
            {"_target_": "monai.transforms.Resize", "spatial_size": SIZE, "size_mode": "longest", "mode": "area"},
            {"_target_": "monai.transforms.SpatialPad", "spatial_size": [SIZE, SIZE]},
        ],
    }


def densenet(classes: int, **changes: Any) -> dict[str, Any]:
    """Define a small DenseNet; its last features, ``class_layers.relu``, have 16 x 16 cells."""
    return {
        "_target_": "monai.networks.nets.DenseNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": classes,
        "init_features": 32,
        "growth_rate": 24,
        "block_config": [2, 6],
        "bn_size": 2,
        **changes,
    }


def resnet(classes: int, **changes: Any) -> dict[str, Any]:
    """Define a small ResNet; its last features, ``layer4``, have 16 x 16 cells."""
    return {
        "_target_": "monai.networks.nets.ResNet",
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": [4, 16, 48, 96],
        "spatial_dims": 2,
        "n_input_channels": 1,
        "conv1_t_size": 3,
        "conv1_t_stride": 1,
        "no_max_pool": True,
        "num_classes": classes,
        **changes,
    }


PYRAMID = "pyramid"


def pyramid(classes: int, **changes: Any) -> dict[str, Any]:
    """Define a small classifier on a feature pyramid; its last features, ``features``, have 32 x 32 cells."""
    return {
        "_target_": "inference.pyramid_classifier.PyramidClassifier",
        "spatial_dims": 2,
        "in_channels": 1,
        "num_classes": classes,
        "width": 96,
        **changes,
    }


def unet(**changes: Any) -> dict[str, Any]:
    """Define a small U-Net that gives one logit for each pixel of the input."""
    return {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "channels": [12, 24, 48, 96],
        "strides": [2, 2, 2],
        "num_res_units": 1,
        **changes,
    }


def segresnet(**changes: Any) -> dict[str, Any]:
    """Define a residual segmentation network of five levels, another kind than a U-Net: one logit for each pixel."""
    return {
        "_target_": "monai.networks.nets.SegResNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "init_filters": 8,
        "blocks_down": [1, 2, 2, 2, 2],
        "blocks_up": [1, 1, 1, 1],
        "upsample_mode": "nontrainable",
        **changes,
    }


def witness() -> dict[str, Any]:
    """Define the localiser of the shipped bundles: a U-Net of five levels, that is not weaker than what it judges."""
    return unet(channels=[16, 32, 64, 128, 256], strides=[2, 2, 2, 2])


def gated(classes: int) -> dict[str, Any]:
    """Define a small classifier with two attention gates, of 32 x 32 and 64 x 64 cells; ``stages.3`` has 16 x 16."""
    return {
        "_target_": "inference.attention_gate.GatedClassifier",
        "spatial_dims": 2,
        "in_channels": 1,
        "num_classes": classes,
    }


@dataclass(frozen=True)
class Plan:
    """The networks of a bundle and how they are trained."""

    preprocessing: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]
    """Definitions by name, as in ``configs/inference.json``."""
    epochs: Mapping[str, int]
    """By architecture."""
    guidance: float
    """Weight of the guidance loss."""
    cells: float = 0.0
    by_coverage: bool = False
    mixed_precision: bool = False
    """These three: see ``Recipe``."""
    unguided_parts: tuple[str, ...] = ("model", "replicate_1", "replicate_2", "alternate")
    """What is trained where guidance is left out."""

    def write(self, folder: Path, *, localiser: bool) -> Config:
        """Write ``configs/inference.json`` of a bundle and give it parsed."""
        networks = {name: net for name, net in self.networks.items() if localiser or name != "localiser_def"}
        text = json.dumps({**networks, "preprocessing": self.preprocessing}, indent=2) + "\n"
        (folder / "configs").mkdir(parents=True, exist_ok=True)
        (folder / "configs" / "inference.json").write_text(text, encoding="utf-8")
        return Config(text.encode(), "configs/inference.json")


def bundle_plan(
    preprocessing: Mapping[str, Any], *, network: Mapping[str, Any], alternate: Mapping[str, Any], **further: Any
) -> Plan:
    """Return the plan by which the shipped bundles are trained: guided networks, and a U-Net as the localiser."""
    return Plan(
        preprocessing=preprocessing,
        networks={"network_def": network, "alternate_def": alternate, "localiser_def": witness()},
        epochs={"network_def": 30, "alternate_def": 30, "localiser_def": 24},
        guidance=0.2,
        cells=1.0,
        by_coverage=True,
        mixed_precision=True,
        **further,
    )


def train_part(
    plan: Plan, name: str, config: Config, data: Slices, *, device: torch.device, guided: bool, quick: bool
) -> nn.Module:
    """Train one network of the bundle from its seed, then refine it.

    The refinement runs a sixth as long at a fifth of the learning rate; where there is guidance, it counts mask cells
    by how much of them is lesion. An unguided network has the same schedule. Guidance fails now and then: a network
    that does not point into the masks it was trained with is trained again, from the next seed.
    """
    definition, seed = PARTS[name]
    recipe = Recipe(
        seed=seed,
        guidance=plan.guidance if guided else 0.0,
        cells=plan.cells if guided else 0.0,
        epochs=1 if quick else plan.epochs[definition],
        by_coverage=plan.by_coverage,
        mixed_precision=plan.mixed_precision,
    )
    while True:
        torch.manual_seed(recipe.seed)
        model = config.network(definition).to(device)
        if name == "localiser":
            return train_localiser(model, data, recipe, say(name))
        layer = LAYERS[type(model).__name__]
        trained = train_classifier(model, layer, data, recipe, say(name))
        epochs = max(recipe.epochs // 6, 1)
        finer = replace(recipe, seed=recipe.seed + 100, epochs=epochs, learning_rate=4e-4, by_coverage=True)
        refined = train_classifier(trained, layer, data, finer, say(f"{name} refined"))
        if quick or not guided:
            return refined
        pointing = pointing_share(refined, layer, data)
        say(name)(
            f"seed {recipe.seed}: the peak lies in the mask on {pointing:.2f} of the training slices with a lesion"
        )
        if pointing >= LEAST_POINTING:
            return refined
        recipe = replace(recipe, seed=recipe.seed + len(PARTS))


def say(name: str) -> Callable[[str], None]:
    """Return what prints progress of one network."""
    return lambda text: print(f"{name}: {text}", flush=True)  # noqa: T201


def store(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write float tensors as float16, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    halved = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    save_file({key: value.cpu().contiguous() for key, value in halved.items()}, part)
    part.chmod(0o644)
    part.replace(path)


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Return the command line that every training script has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="one epoch: for trying the script, not for use")
    return parser


def ask(doc: str | None) -> argparse.Namespace:
    """Read the command line of a script that trains a guided bundle or its unguided twin."""
    parser = arguments(doc)
    parser.add_argument("--unguided", action="store_true", help="the same recipe without guidance")
    parser.add_argument("--only", default="", help=f"comma-separated, of {', '.join(PARTS)}")
    return parser.parse_args()


def train_bundle(plan: Plan, asked: argparse.Namespace, config: Config, data: Slices) -> None:
    """Train what is asked for and write its weights into the bundle."""
    torch.set_num_threads(asked.threads)
    began = time.monotonic()
    print(f"{len(data.labels)} slices of {len(np.unique(data.groups))} subjects", flush=True)  # noqa: T201
    default = plan.unguided_parts if asked.unguided else tuple(PARTS)
    for name in [name for name in asked.only.split(",") if name] or default:
        model = train_part(
            plan, name, config, data,
            device=choose_device(asked.device), guided=not asked.unguided, quick=asked.quick,
        )  # fmt: skip
        store(model.state_dict(), asked.out / "models" / f"{name}.safetensors")
    print(f"{time.monotonic() - began:.0f} s in all", flush=True)  # noqa: T201

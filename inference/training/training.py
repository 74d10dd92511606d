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
from inference.training.architectures import LAYERS, witness
from inference.training.guidance import Recipe, pointing_share, train_classifier, train_localiser
from inference.training.slices import Slices

SIZE = 128
"""Side of the input of every network, pixels."""
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
    """Train one network of the bundle from its seed; a classifier as ``train_guided`` says."""
    definition, seed = PARTS[name]
    recipe = Recipe(
        seed=seed,
        guidance=plan.guidance if guided else 0.0,
        cells=plan.cells if guided else 0.0,
        epochs=1 if quick else plan.epochs[definition],
        by_coverage=plan.by_coverage,
        mixed_precision=plan.mixed_precision,
    )

    def build() -> nn.Module:
        return config.network(definition).to(device)

    if name == "localiser":
        torch.manual_seed(seed)
        return train_localiser(build(), data, recipe, say(name))
    return train_guided(build, data, recipe, say(name), least_pointing=0.0 if quick else LEAST_POINTING)


def train_guided(
    build: Callable[[], nn.Module],
    data: Slices,
    recipe: Recipe,
    tell: Callable[[str], None],
    *,
    least_pointing: float = LEAST_POINTING,
) -> nn.Module:
    """Train a classifier, then refine it.

    The refinement runs a sixth as long at a fifth of the learning rate; where there is guidance, it counts mask cells
    by how much of them is lesion. An unguided network has the same schedule. Guidance fails now and then: a network
    that does not point into the masks it was trained with is trained again, from the next seed.

    Args:
        build: gives the network with weights drawn from the seed that was set.
        data: slices to train on.
        recipe: how; without guidance and cell loss nothing is trained again.
        tell: is told of each epoch.
        least_pointing: share of the training slices with a lesion on which the peak must lie in the mask.
    """
    while True:
        torch.manual_seed(recipe.seed)
        model = build()
        layer = LAYERS[type(model).__name__]
        trained = train_classifier(model, layer, data, recipe, tell)
        epochs = max(recipe.epochs // 6, 1)
        finer = replace(recipe, seed=recipe.seed + 100, epochs=epochs, learning_rate=4e-4, by_coverage=True)
        refined = train_classifier(trained, layer, data, finer, tell)
        if not least_pointing or not (recipe.guidance or recipe.cells):
            return refined
        pointing = pointing_share(refined, layer, data)
        tell(f"seed {recipe.seed}: the peak lies in the mask on {pointing:.2f} of the training slices with a lesion")
        if pointing >= least_pointing:
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

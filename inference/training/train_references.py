"""Train localisation references: networks that were told where the lesion is, beside which maps are judged.

``python -m inference.training.train_references --data DIR --set glioma_flair --kind unet [--epochs 8] [--out FILE]``

A reference is trained twice, from two seeds, on the slices of split ``train``, and measured on split ``commissioning``:
how well it localises, and how alike the two trainings are (localisation and repeatability, Arun et al. 2021, Radiology:
Artificial Intelligence 3(6) e200267). Its weights are not kept. Intervals: 95 %, bootstrap over patients or groups.
What is written is what ``heatproof commission --references FILE`` reads.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from inference.bundle.configs import Config
from inference.commissioning.judging import figure_of
from inference.criteria.agreement import otsu_overlap_pairs, spearman_pairs
from inference.criteria.localisation import average_precision, hit
from inference.criteria.ssim import DATA_RANGE, ssim
from inference.devices import choose_device
from inference.passport.entries import LocalisationReference, Repeats, Training
from inference.passport.passport import reference_text
from inference.training.architectures import unet
from inference.training.brain_data import read_tumours
from inference.training.detector import Detector, detection_maps, detector_loss
from inference.training.flair_data import read_patients
from inference.training.guidance import Recipe, train, train_localiser
from inference.training.slices import Slices
from inference.training.training import preprocessing, say

Maps = NDArray[np.float32]
SEEDS = (11, 12)
SPLIT = "commissioning"
"""What the references are measured on."""
SETS = {"glioma_flair": (read_patients, False), "brain_tumour_t1ce": (read_tumours, True)}
"""How a set is read, and whether each plane is scaled by itself."""


def train_unet(config: Config, data: Slices, recipe: Recipe, device: torch.device) -> nn.Module:
    """Train the U-Net on the masks."""
    torch.manual_seed(recipe.seed)
    return train_localiser(config.network("localiser_def").to(device), data, recipe, say(f"U-Net, seed {recipe.seed}"))


def train_retinanet(_config: Config, data: Slices, recipe: Recipe, device: torch.device) -> nn.Module:
    """Train the detector on the boxes round the masks."""
    torch.manual_seed(recipe.seed)
    detector = Detector().to(device)
    return train(
        detector,
        data,
        recipe,
        lambda inputs, masks, _labels: detector_loss(detector, inputs, masks),
        say(f"RetinaNet, seed {recipe.seed}"),
    )


def unet_maps(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Return the probability of each pixel, (N, 1, S, S) to (N, S, S)."""
    with torch.inference_mode():
        return model(inputs).sigmoid()[:, 0].clone()


Fit = Callable[[Config, Slices, Recipe, torch.device], nn.Module]
KINDS: dict[str, tuple[Fit, Callable[[Any, torch.Tensor], Any]]] = {
    "unet": (train_unet, unet_maps),
    "retinanet": (train_retinanet, detection_maps),
}


def reference_figures(maps: Sequence[Maps], data: Slices, **provenance: Any) -> LocalisationReference:
    """Say how well the maps of each training localise, and how alike those of the first two are.

    Args:
        maps: for each training, (N, S, S) from 0 to 1.
        data: the slices they were made of, each with a lesion.
        **provenance: set, kind, epochs and split of the reference.
    """
    masks = data.masks[:, 0].numpy() > 0.5
    first, second = maps[:2]
    return LocalisationReference(
        **provenance,
        slices=len(masks),
        groups=len(np.unique(data.groups)),
        trainings=tuple(
            Training(
                seed=seed,
                average_precision=figure_of(list(average_precision(each, masks)), data.groups),
                hit=figure_of(list(hit(each, masks)), data.groups),
            )
            for seed, each in zip(SEEDS, maps, strict=True)
        ),
        repeatability=Repeats(
            spearman=figure_of(list(spearman_pairs(first, second)), data.groups),
            ssim=figure_of(list(ssim(first, second, data_range=DATA_RANGE)), data.groups),
            iou_above_otsu=figure_of(list(otsu_overlap_pairs(first, second)), data.groups),
        ),
    )


def measure(data: Path, name: str, kind: str, epochs: int, device: torch.device) -> LocalisationReference:
    """Train a reference twice and give its figures."""
    read, each_plane = SETS[name]
    config_text = json.dumps({"localiser_def": unet(), "preprocessing": preprocessing(each_plane=each_plane)})
    config = Config(config_text.encode(), "configs/inference.json")
    training, site = (read(data, [part], config.transform("preprocessing")) for part in ("train", SPLIT))
    site = site.pick(site.masks.flatten(1).amax(dim=1).numpy() > 0.5)
    fit, explain = KINDS[kind]
    maps: list[Maps] = []
    for seed in SEEDS:
        model = fit(config, training, Recipe(seed=seed, guidance=0.0, epochs=epochs), device).cpu()
        maps.append(torch.cat([explain(model, part) for part in torch.split(site.inputs, 16)]).numpy())
    return reference_figures(maps, site, set=name, kind=kind, epochs=epochs, split=SPLIT)


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv")
    parser.add_argument("--set", choices=tuple(SETS), required=True, help="the bundle whose data these are")
    parser.add_argument("--kind", choices=tuple(KINDS), default="unet")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, help="file for the figures")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    began = time.monotonic()
    reference = measure(asked.data, asked.set, asked.kind, asked.epochs, choose_device(asked.device))
    text = reference_text(reference)
    if asked.out is not None:
        asked.out.write_text(text, encoding="utf-8")
    print(f"{text}{time.monotonic() - began:.0f} s in all", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

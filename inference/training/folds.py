"""Compare trainings and smoothings by folds over patients or groups of split ``train``, before any other split is read.

``python -m inference.training.folds --data DIR --set brain_tumour_t1ce --network pyramid --fold 0 --out FILE``
``python -m inference.training.folds ... --members FILE,NETWORK=FILE``: judge stored weights together, training nothing

Groups are dealt into folds by seed. A network is trained on all folds but one and judged on that one: how often it is
right, and, where it is, how often the peak of its class activation map lies in the lesion, by the SD of a Gaussian that
smooths the map before its peak is taken. Members answer by their mean probability and show the mean of their maps, as
a bundle's do. ``--network unet`` judges localisers in the same way. Intervals: 95 %,
bootstrap over patients or groups. Results are added to FILE, a JSON list; what is in it already is not trained again.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from inference.bundle.configs import Config
from inference.companions.guidance import maps_and_logits
from inference.training.architectures import LAYERS, PYRAMID, densenet, pyramid, resnet, segresnet, unet
from inference.training.brain_data import CLASSES, read_tumours
from inference.training.flair_data import read_patients
from inference.training.guidance import Recipe, train_localiser
from inference.training.measuring import Bools, Floats, mean, peak_hits, share, with_interval
from inference.training.slices import Slices
from inference.training.training import preprocessing, say, train_guided

FOLDS = 3
SMOOTHINGS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
"""SD of the Gaussian, pixels of the 128 x 128 input."""
SETS = {
    "glioma_flair": (read_patients, False, 2, densenet(2)),
    "brain_tumour_t1ce": (
        read_tumours,
        True,
        len(CLASSES),
        resnet(len(CLASSES), layers=[1, 1, 2, 2], block_inplanes=[4, 16, 48, 128]),
    ),
}
"""How a set is read, whether each plane is scaled by itself, the classes, and the network it had so far."""
LOCALISERS = {
    "unet": unet(),
    "unet_wide": unet(channels=[24, 48, 96, 192]),
    "unet_deep": unet(channels=[16, 32, 64, 128, 256], strides=[2, 2, 2, 2]),
    "segresnet": segresnet(),
}


def fold_of(groups: np.ndarray[Any, np.dtype[np.str_]], seed: int = 20261128) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Deal groups into folds, (N,) names to (N,) numbers of folds."""
    names = np.unique(groups)
    dealt = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    return np.asarray(dealt[np.searchsorted(names, groups)], np.int64)


def classifier_figures(models: Sequence[nn.Module], data: Slices, unit: str) -> dict[str, Any]:
    """Say how often classifiers are right together, and how often their map peaks in the lesion where they are."""
    logits: list[torch.Tensor] = []
    hits: dict[float, list[Floats]] = {width: [] for width in SMOOTHINGS}
    for index in torch.split(torch.arange(len(data.labels)), 32):
        with torch.inference_mode():
            each = [maps_and_logits(model, LAYERS[type(model).__name__], data.inputs[index]) for model in models]
        maps = torch.stack([of_model for of_model, _ in each]).mean(dim=0)
        answer = torch.stack([of_model.softmax(dim=1) for _, of_model in each]).mean(dim=0)
        logits.append(answer)
        own = maps[torch.arange(len(index)), answer.argmax(dim=1)]
        large = nn.functional.interpolate(own[:, None], size=data.inputs.shape[2:], mode="bilinear")[:, 0].numpy()
        for width in SMOOTHINGS:
            smooth = torch.from_numpy(gaussian_filter(large, (0, width, width)) if width else large)
            hits[width].append(peak_hits(smooth, data.source_masks[index.numpy()]))
    said = torch.cat(logits).argmax(dim=1).numpy()
    right: Bools = said == data.labels.numpy()
    pointed: Bools = right & np.any(data.source_masks, axis=(1, 2))
    by_width = {
        f"peak_in_lesion_smoothed_{width:g}": with_interval(
            share(pointed, np.concatenate(hits[width])), data.groups, unit
        )
        for width in SMOOTHINGS
    }
    return {"accuracy": with_interval(lambda index: mean(right[index].astype(float)), data.groups, unit), **by_width}


def localiser_fold_figures(models: Sequence[nn.Module], data: Slices, unit: str) -> dict[str, Any]:
    """Say how often the highest mean probability of localisers lies in the lesion where there is one, and Dice."""
    with torch.inference_mode():
        of_parts = [
            torch.stack([model(part).sigmoid()[:, 0] for model in models]).mean(dim=0)
            for part in torch.split(data.inputs, 16)
        ]
    probability = torch.cat(of_parts)
    positive: Bools = np.any(data.source_masks, axis=(1, 2))
    marked, truth = (probability > 0.5).flatten(1).double(), (data.masks[:, 0] > 0.5).flatten(1).double()
    dice = (2 * (marked * truth).sum(1) / (marked.sum(1) + truth.sum(1)).clamp(min=1)).numpy()
    figures = {"dice": with_interval(share(positive, dice), data.groups, unit)}
    for width in SMOOTHINGS[:4]:
        smooth = gaussian_filter(probability.numpy(), (0, width, width)) if width else probability.numpy()
        hits = peak_hits(torch.from_numpy(smooth), data.source_masks)
        figures[f"peak_in_lesion_smoothed_{width:g}"] = with_interval(share(positive, hits), data.groups, unit)
    return figures


def judge_fold(asked: argparse.Namespace) -> dict[str, Any]:
    """Train one network on all folds but one and give its figures on that one."""
    read, each_plane, classes, usual = SETS[asked.set]
    unit = "patients" if asked.set == "glioma_flair" else "groups"
    networks = {"usual": usual, PYRAMID: pyramid(classes), **LOCALISERS}
    text = json.dumps({"network_def": networks[asked.network], "preprocessing": preprocessing(each_plane=each_plane)})
    config = Config(text.encode(), "configs/inference.json")
    data = read(asked.data, ["train"], config.transform("preprocessing"))
    held = fold_of(data.groups) == asked.fold
    if asked.members:
        figures_of = localiser_fold_figures if asked.network in LOCALISERS else classifier_figures
        return figures_of([_stored(member, asked.network, networks) for member in asked.members], data.pick(held), unit)
    recipe = Recipe(seed=asked.seed, guidance=0.2, cells=1.0, epochs=asked.epochs, by_coverage=True)
    if asked.network in LOCALISERS:
        torch.manual_seed(asked.seed)
        model = config.network("network_def")
        trained = train_localiser(model, data.pick(~held), recipe, say(asked.network))
        figures = localiser_fold_figures([trained], data.pick(held), unit)
    else:
        trained = train_guided(lambda: config.network("network_def"), data.pick(~held), recipe, say(asked.network))
        figures = classifier_figures([trained], data.pick(held), unit)
    if asked.weights is not None:
        torch.save(trained.state_dict(), asked.weights)
    return figures


def _stored(member: str, usual: str, networks: Mapping[str, Mapping[str, Any]]) -> nn.Module:
    """Read one member, FILE or NETWORK=FILE."""
    name, _, file = member.rpartition("=")
    definition = json.dumps({"network_def": networks[name or usual]})
    network = Config(definition.encode(), "configs/inference.json").network("network_def")
    network.load_state_dict(torch.load(Path(file), weights_only=True))
    return network.eval()


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv")
    parser.add_argument("--set", choices=tuple(SETS), required=True, help="the bundle whose data these are")
    parser.add_argument("--network", choices=("usual", PYRAMID, *LOCALISERS), required=True)
    parser.add_argument("--fold", type=int, choices=range(FOLDS), required=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="file for the figures")
    parser.add_argument("--weights", type=Path, help="file for the trained weights")
    parser.add_argument(
        "--members", type=lambda text: text.split(","), default=[], help="weights to judge: FILE or NETWORK=FILE, ..."
    )
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    done = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else []
    key = {name: getattr(asked, name) for name in ("set", "network", "fold", "epochs", "seed")}
    key["members"] = [member.rpartition("=")[0] or asked.network for member in asked.members] or 1
    if any(key.items() <= entry.items() for entry in done):
        return
    began = time.monotonic()
    entry = {**key, "folds": FOLDS, **judge_fold(asked), "seconds": round(time.monotonic() - began)}
    done = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else []
    asked.out.write_text(json.dumps([*done, entry], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

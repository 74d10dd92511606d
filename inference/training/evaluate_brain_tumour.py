"""Measure ``brain_tumour_t1ce``; every figure of its model card comes from here.

``python -m inference.training.evaluate_brain_tumour --data DIR --bundle DIR [--unguided FILE]
[--splits commissioning] [--localiser]``

Prints the figures, writes ``figures.json`` and the tables of the model card into the bundle, which must be sealed again
afterwards. Intervals: 95 %, percentile bootstrap over groups of near copies. ``--unguided``: weights of the primary's
architecture trained without guidance, for comparison; without them its former figures stay, by the method they name.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude
from torch import nn

from inference.bundle.bundle import Bundle, load_bundle
from inference.bundle.configs import Config
from inference.bundle.weights import read_weights
from inference.training import measuring
from inference.training.brain_data import CLASSES, read_tumours
from inference.training.brain_tumour_card import tables
from inference.training.measuring import (
    Judged,
    classifiers,
    figures_of,
    judge,
    localiser_figures,
    localiser_of,
    peak_figures,
    share,
    with_localiser,
)
from inference.training.model_card import publish
from inference.training.shortcuts import PLANES, shortcut_guesses
from inference.training.slices import Slices

UNIT = "groups"
UNGUIDED = "unguided"
SMOOTH = 4.0
"""Width of the blobs of brightness and of edges, pixels of the source image."""
with_interval = partial(measuring.with_interval, unit=UNIT)


def classifier_figures(judged: Judged, data: Slices) -> dict[str, Any]:
    """Accuracy and how often the peak of the predicted class' map lies in the lesion: over all, by class, by plane."""
    label = data.labels.numpy()
    right = judged.probability.argmax(axis=1) == label
    every = np.ones(len(label), bool)
    parts = {name: label == index for index, name in enumerate(CLASSES)}
    parts |= {plane: data.planes == plane for plane in PLANES}
    figures: dict[str, Any] = {
        "accuracy": with_interval(share(every, right), data.groups),
        "peak_in_lesion": with_interval(share(every, judged.hit), data.groups),
        "peak_in_lesion_where_right": with_interval(share(right, judged.hit), data.groups),
    }
    for name, part in parts.items():
        figures[name] = {
            "slices": int(part.sum()),
            "accuracy": with_interval(share(part, right), data.groups),
            "peak_in_lesion": with_interval(share(part, judged.hit), data.groups),
        }
    for index, name in enumerate(CLASSES):
        figures[name]["accuracy_by_plane"] = {
            plane: with_interval(share((label == index) & (data.planes == plane), right), data.groups)
            for plane in PLANES
        }
    return figures


def control_maps(train: Slices, data: Slices) -> dict[str, torch.Tensor]:
    """Return maps that need no network, (N, rows, columns) each."""
    pixels = data.sources.astype(np.float32)
    rows, columns = pixels.shape[1:]
    row, column = np.ogrid[:rows, :columns]
    centre = -np.hypot(row - (rows - 1) / 2, column - (columns - 1) / 2).astype(np.float32)
    usual = {plane: train.source_masks[train.planes == plane].mean(axis=0, dtype=np.float32) for plane in PLANES}
    edges = [gaussian_filter(gaussian_gradient_magnitude(image, 1.0), SMOOTH) for image in pixels]
    maps: dict[str, NDArray[np.float32]] = {
        "brightness": np.stack([gaussian_filter(image, SMOOTH) for image in pixels]),
        "centre": np.broadcast_to(centre, pixels.shape).copy(),
        "edge": np.stack(edges),
        "random": np.random.default_rng(0).random(pixels.shape, dtype=np.float32),
        "average_mask": np.stack([usual[plane] for plane in data.planes.tolist()]),
    }
    return {name: torch.from_numpy(of) for name, of in maps.items()}


def shortcut_figures(train: Slices, data: Slices) -> dict[str, Any]:
    """Return the accuracy of every shortcut, over all and by plane."""
    label = data.labels.numpy()
    figures: dict[str, Any] = {}
    for name, guess in shortcut_guesses(train, data).items():
        right = guess == label
        figures[name] = {"accuracy": with_interval(share(np.ones(len(label), bool), right), data.groups)}
        for plane in PLANES:
            figures[name][plane] = with_interval(share(data.planes == plane, right), data.groups)
    return figures


def unguided_network(bundle: Bundle, weights: Path) -> nn.Module:
    """Return the primary's architecture with other weights."""
    content = (bundle.folder / "configs" / "inference.json").read_bytes()
    network = Config(content, "configs/inference.json").network(bundle.manifest.primary.network)
    network.load_state_dict(read_weights(weights.read_bytes(), weights.name))
    return network.eval()


def measure(bundle: Bundle, data: Path, splits: Sequence[str], unguided: Path | None) -> dict[str, Any]:
    """Return every figure of the bundle."""
    site, train = (read_tumours(data, names, bundle.preprocessing) for names in (splits, ["train"]))
    networks, method = {name: network.module for name, network in classifiers(bundle).items()}, bundle.manifest.method
    layers = {name: str(network.layer) for name, network in classifiers(bundle).items()}
    if unguided is not None:
        networks[UNGUIDED], layers[UNGUIDED] = unguided_network(bundle, unguided), layers["primary"]
    measured: dict[str, dict[str, Any]] = {}
    for name, network in networks.items():
        judged = judge(network, layers[name], site, method=method)
        measured[name] = {"method": method, **classifier_figures(judged, site)}
    if unguided is None and UNGUIDED in (known := figures_of(bundle.folder)["networks"]):
        measured[UNGUIDED] = known[UNGUIDED]
    figures: dict[str, Any] = {
        "splits": list(splits),
        "slices": len(site.labels),
        UNIT: len(np.unique(site.groups)),
        "training_slices": len(train.labels),
        "networks": measured,
    }
    localiser = bundle.localiser()
    if localiser is not None:
        figures["localiser"] = localiser_figures(localiser.module, site, UNIT)
    figures["controls"] = peak_figures(control_maps(train, site), site, UNIT)
    figures["shortcuts"] = shortcut_figures(train, site)
    return figures


def main() -> None:
    """Measure, print, and write ``figures.json`` and the model card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv")
    parser.add_argument("--bundle", type=Path, required=True, help="a sealed bundle")
    parser.add_argument("--unguided", type=Path, help="weights of the primary's architecture, trained without guidance")
    parser.add_argument("--splits", default="commissioning")
    parser.add_argument("--localiser", action="store_true", help="measure the localiser alone; other figures stay")
    asked = parser.parse_args()
    bundle, splits = load_bundle(asked.bundle), asked.splits.split(",")
    if asked.localiser:
        site = read_tumours(asked.data, splits, bundle.preprocessing)
        figures = with_localiser(asked.bundle, localiser_of(bundle), site, UNIT)
    else:
        figures = measure(bundle, asked.data, splits, asked.unguided)
    publish(asked.bundle, figures, tables(figures))


if __name__ == "__main__":
    main()

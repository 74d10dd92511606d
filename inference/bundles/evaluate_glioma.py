"""Measure a glioma bundle on patients of a site it has never seen; every figure of its model card comes from here.

``python -m inference.bundles.evaluate_glioma --data DIR --bundle DIR [--splits calibration,commissioning]``

Prints the figures, writes ``figures.json`` and the table of the model card into the bundle, which must be sealed again
afterwards. Intervals: 95 %, percentile bootstrap over patients.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from inference.bundle import Bundle, load_bundle
from inference.bundles.flair_data import Slices, make_phantoms, read_patients
from inference.bundles.model_card import write_figures
from inference.saliency import explain

RESAMPLES = 2000
PHANTOM_SEEDS = range(1, 19)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """What one network says of every slice."""

    probability: Floats
    """(N,) of class glioma."""
    hit: Floats
    """(N,) 1 where the peak of its Grad-CAM, on the source grid, lies in the mask."""


def judge(network: nn.Module, layer: str, data: Slices) -> Judged:
    """Run a classifier and explain class 1 of every slice by Grad-CAM, as the node does."""
    probability, hits = [], []
    for index in torch.split(torch.arange(len(data.labels)), 16):
        with torch.inference_mode():
            probability.append(network(data.inputs[index]).softmax(dim=1)[:, 1])
        maps = explain(network, data.inputs[index], 1, "gradcam", layer=layer)
        hits.append(peak_hits(maps, data.source_masks[index.numpy()]))
    return Judged(torch.cat(probability).double().numpy(), np.concatenate(hits))


def peak_hits(maps: torch.Tensor, masks: NDArray[np.bool_]) -> Floats:
    """Tell for each map (N, h, w) whether its highest value, on the grid of the masks, lies in the mask."""
    large = F.interpolate(maps[:, None].float(), size=masks.shape[1:], mode="bilinear", align_corners=False)
    peak = large.flatten(1).argmax(dim=1).numpy()
    inside: Floats = masks.reshape(len(masks), -1)[np.arange(len(masks)), peak].astype(np.float64)
    return inside


def with_interval(figure: Callable[[NDArray[np.int64]], float], groups: NDArray[np.str_]) -> dict[str, Any]:
    """Give a figure and its 95 % percentile interval over patients drawn with replacement.

    Args:
        figure: takes indices of slices; NaN where a draw has none to judge.
        groups: (N,) patient of each slice.
    """
    rng = np.random.default_rng(20261122)
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    draws = [
        figure(np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    value = figure(np.arange(len(groups)))
    return {
        "value": round(value, 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "patients": len(members),
    }


def classifier_figures(judged: Judged, data: Slices, threshold: float) -> dict[str, Any]:
    """AUC, sensitivity, specificity, and how often the map's peak lies in the lesion."""
    label = data.labels.numpy()
    positive = judged.probability >= threshold

    def share(of: NDArray[np.bool_], what: Floats) -> Callable[[NDArray[np.int64]], float]:
        return lambda index: _mean(what[index][of[index]])

    figures = {
        "auc_per_slice": lambda index: _auc(label[index], judged.probability[index]),
        "sensitivity": share(label == 1, positive.astype(np.float64)),
        "specificity": share(label == 0, (~positive).astype(np.float64)),
        "peak_in_lesion_true_positives": share(positive & (label == 1), judged.hit),
        "peak_in_lesion_all_called_positive": share(positive, judged.hit),
    }
    return {name: with_interval(figure, data.groups) for name, figure in figures.items()}


def control_figures(data: Slices, train: Slices) -> dict[str, Any]:
    """What needs no network: the brightest blob, a random map, and a classifier of global statistics."""
    positive = data.labels.numpy() == 1
    rng = np.random.default_rng(0)
    controls = {
        "brightness": np.stack([gaussian_filter(image.astype(np.float32), 4.0) for image in data.sources]),
        "random": rng.random(data.sources.shape, dtype=np.float32),
    }
    figures: dict[str, Any] = {}
    for name, maps in controls.items():
        hit = peak_hits(torch.from_numpy(maps), data.source_masks)
        figures[f"peak_in_lesion_{name}"] = with_interval(lambda i, h=hit: _mean(h[i][positive[i]]), data.groups)  # type: ignore[misc]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(_statistics(train), train.labels.numpy())
    guess = model.predict_proba(_statistics(data))[:, 1]
    label = data.labels.numpy()
    figures["auc_global_statistics"] = with_interval(lambda i: _auc(label[i], guess[i]), data.groups)
    return figures


def localiser_figures(network: nn.Module, data: Slices) -> dict[str, Any]:
    """How well the independent witness finds the lesion on positive slices."""
    with torch.inference_mode():
        probability = torch.cat([network(part).sigmoid()[:, 0] for part in torch.split(data.inputs, 16)])
    hit = peak_hits(probability, data.source_masks)
    found, truth = (probability > 0.5).flatten(1).double(), (data.masks[:, 0] > 0.5).flatten(1).double()
    dice = (2 * (found * truth).sum(1) / (found.sum(1) + truth.sum(1)).clamp(min=1)).numpy()
    positive = data.labels.numpy() == 1
    return {
        "peak_in_lesion": with_interval(lambda i: _mean(hit[i][positive[i]]), data.groups),
        "dice": with_interval(lambda i: _mean(dice[i][positive[i]]), data.groups),
    }


def measure(bundle: Bundle, data: Path, splits: Sequence[str]) -> dict[str, Any]:
    """Give every figure of the bundle."""
    site = read_patients(data, splits, bundle.preprocessing)
    train = read_patients(data, ["train"], bundle.preprocessing)
    phantoms = make_phantoms(PHANTOM_SEEDS, bundle.preprocessing)
    threshold = next(one.threshold for one in bundle.manifest.classes if one.finding)
    named = {"primary": bundle.primary()}
    named |= {f"replicate_{n}": network for n, network in enumerate(bundle.replicates(), start=1)}
    named |= {f"alternate_{n}": network for n, network in enumerate(bundle.alternates(), start=1)}
    figures: dict[str, Any] = {"splits": list(splits), "slices": len(site.labels), "threshold": threshold}
    for name, network in named.items():
        judged = judge(network.module, str(network.layer), site)
        figures[name] = classifier_figures(judged, site, threshold)
    primary = named["primary"]
    figures["primary_on_phantoms"] = classifier_figures(
        judge(primary.module, str(primary.layer), phantoms), phantoms, threshold
    )
    localiser = bundle.localiser()
    if localiser is not None:
        figures["localiser"] = localiser_figures(localiser.module, site)
    figures["controls"] = control_figures(site, train)
    return figures


def _statistics(data: Slices) -> Floats:
    """Mean, standard deviation and maximum of the image, and its place in the series: nothing of the lesion."""
    flat = data.sources.reshape(len(data.sources), -1).astype(np.float64)
    return np.column_stack([flat.mean(axis=1), flat.std(axis=1), flat.max(axis=1), data.positions])


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _auc(label: NDArray[np.int64], score: Floats) -> float:
    return float(roc_auc_score(label, score)) if len(np.unique(label)) == 2 else float("nan")


def main() -> None:
    """Measure, print, and write ``figures.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv")
    parser.add_argument("--bundle", type=Path, required=True, help="a sealed bundle")
    parser.add_argument("--splits", default="calibration,commissioning")
    asked = parser.parse_args()
    figures = measure(load_bundle(asked.bundle), asked.data, asked.splits.split(","))
    text = json.dumps(figures, indent=2) + "\n"
    (asked.bundle / "figures.json").write_text(text, encoding="utf-8")
    write_figures(asked.bundle / "README.md", figures)
    print(text)  # noqa: T201


if __name__ == "__main__":
    main()

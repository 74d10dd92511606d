"""Measure a glioma bundle on patients of a site it has never seen; every figure of its model card comes from here.

``python -m inference.training.evaluate_glioma --data DIR --bundle DIR [--splits calibration,commissioning]
[--localiser]``

Prints the figures, writes ``figures.json`` and the table of the model card into the bundle, which must be sealed again
afterwards. Intervals: 95 %, percentile bootstrap over patients.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inference.bundle.bundle import Bundle, load_bundle
from inference.training.flair_data import make_phantoms, read_patients
from inference.training.measuring import (
    Floats,
    Judged,
    classifiers,
    judge,
    localiser_figures,
    localiser_of,
    peak_figures,
    share,
    with_interval,
    with_localiser,
)
from inference.training.model_card import publish, table
from inference.training.slices import Slices

PHANTOM_SEEDS = range(1, 19)


def classifier_figures(judged: Judged, data: Slices, threshold: float) -> dict[str, Any]:
    """AUC, sensitivity, specificity, and how often the map's peak lies in the lesion."""
    label = data.labels.numpy()
    probability = judged.probability[:, 1]
    positive = probability >= threshold
    figures = {
        "auc_per_slice": lambda index: _auc(label[index], probability[index]),
        "sensitivity": share(label == 1, positive),
        "specificity": share(label == 0, ~positive),
        "peak_in_lesion_true_positives": share(positive & (label == 1), judged.hit),
        "peak_in_lesion_all_called_positive": share(positive, judged.hit),
    }
    return {name: with_interval(figure, data.groups) for name, figure in figures.items()}


def control_figures(data: Slices, train: Slices) -> dict[str, Any]:
    """What needs no network: the brightest blob, a random map, and a classifier of global statistics."""
    rng = np.random.default_rng(0)
    brightness = np.stack([gaussian_filter(image.astype(np.float32), 4.0) for image in data.sources])
    maps = {"brightness": brightness, "random": rng.random(data.sources.shape, dtype=np.float32)}
    figures = peak_figures({name: torch.from_numpy(of) for name, of in maps.items()}, data)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(_statistics(train), train.labels.numpy())
    guess = model.predict_proba(_statistics(data))[:, 1]
    label = data.labels.numpy()
    figures["auc_global_statistics"] = with_interval(lambda i: _auc(label[i], guess[i]), data.groups)
    return figures


def measure(bundle: Bundle, data: Path, splits: Sequence[str]) -> dict[str, Any]:
    """Return every figure of the bundle."""
    site = read_patients(data, splits, bundle.preprocessing)
    train = read_patients(data, ["train"], bundle.preprocessing)
    phantoms = make_phantoms(PHANTOM_SEEDS, bundle.preprocessing)
    threshold = next(entry.threshold for entry in bundle.manifest.classes if entry.finding)
    named, method = classifiers(bundle), bundle.manifest.method
    figures: dict[str, Any] = {"splits": list(splits), "slices": len(site.labels), "threshold": threshold}
    for name, network in named.items():
        judged = judge(network.module, str(network.layer), site, 1, method=method)
        figures[name] = classifier_figures(judged, site, threshold)
    primary = named["primary"]
    figures["primary_on_phantoms"] = classifier_figures(
        judge(primary.module, str(primary.layer), phantoms, 1, method=method), phantoms, threshold
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


def _auc(label: NDArray[np.int64], score: Floats) -> float:
    return float(roc_auc_score(label, score)) if len(np.unique(label)) == 2 else float("nan")


def main() -> None:
    """Measure, print, and write ``figures.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv")
    parser.add_argument("--bundle", type=Path, required=True, help="a sealed bundle")
    parser.add_argument("--splits", default="calibration,commissioning")
    parser.add_argument("--localiser", action="store_true", help="measure the localiser alone; other figures stay")
    asked = parser.parse_args()
    bundle, splits = load_bundle(asked.bundle), asked.splits.split(",")
    if asked.localiser:
        site = read_patients(asked.data, splits, bundle.preprocessing)
        figures = with_localiser(asked.bundle, localiser_of(bundle), site)
    else:
        figures = measure(bundle, asked.data, splits)
    publish(asked.bundle, figures, table(figures))


if __name__ == "__main__":
    main()

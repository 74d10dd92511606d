"""Classifiers that see nothing of how a lesion looks: what they reach, no accuracy beside them speaks of lesions."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inference.training.slices import Slices

Features = NDArray[np.float64]
Guesses = NDArray[np.int64]
PLANES = ("axial", "coronal", "sagittal")
BORDER = 4
BACKGROUND = 10
"""Grey levels below this are air."""
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
THUMBNAIL = 32


def shortcut_guesses(train: Slices, data: Slices) -> Mapping[str, Guesses]:
    """Let every shortcut guess the class of each slice, (N,), after it has seen the training slices.

    ``majority``: the commonest class. ``statistics_logistic``, ``statistics_forest``: 14 global statistics of the grey
    values and the plane. ``lesion_box``: centre and size of the true lesion's box and the plane, no grey value at all.
    ``nearest_thumbnail``: the class of the nearest training slice at 32 x 32 pixels, mirrored or not.
    """
    truth = train.labels.numpy()
    seen, asked = global_statistics(train), global_statistics(data)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(seen, truth)
    forest = RandomForestClassifier(n_estimators=400, random_state=0).fit(seen, truth)
    boxes = RandomForestClassifier(n_estimators=400, random_state=0).fit(lesion_boxes(train), truth)
    return {
        "majority": np.full(len(data.labels), np.bincount(truth).argmax()),
        "statistics_logistic": logistic.predict(asked),
        "statistics_forest": forest.predict(asked),
        "lesion_box": boxes.predict(lesion_boxes(data)),
        "nearest_thumbnail": truth[_nearest(train, data)],
    }


def global_statistics(data: Slices) -> Features:
    """Return mean, SD, maximum, share of air, mean and SD of the border, 8 quantiles and the plane, (N, 17)."""
    images = data.sources.astype(np.float64)
    flat = images.reshape(len(images), -1)
    rim = np.ones(images.shape[1:], np.bool_)
    rim[BORDER:-BORDER, BORDER:-BORDER] = False
    edge = flat[:, rim.ravel()]
    whole = [flat.mean(axis=1), flat.std(axis=1), flat.max(axis=1), (flat < BACKGROUND).mean(axis=1)]
    border = [edge.mean(axis=1), edge.std(axis=1)]
    return np.column_stack([*whole, *border, np.quantile(flat, QUANTILES, axis=1).T, _planes(data)])


def lesion_boxes(data: Slices) -> Features:
    """Return centre (row, column) and size of the box round each true lesion in pixels, and the plane, (N, 7)."""
    edges = []
    for mask in data.source_masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        edges.append((rows[0], rows[-1], columns[0], columns[-1]))
    top, bottom, left, right = np.array(edges, dtype=np.float64).T
    return np.column_stack([(top + bottom) / 2, (left + right) / 2, bottom - top + 1, right - left + 1, _planes(data)])


def _planes(data: Slices) -> Features:
    return np.column_stack([data.planes == plane for plane in PLANES]).astype(np.float64)


def _nearest(train: Slices, data: Slices) -> NDArray[np.int64]:
    known, asked = _thumbnails(train), _thumbnails(data)
    plain = torch.cdist(asked.flatten(1), known.flatten(1))
    mirrored = torch.cdist(asked.flip(2).flatten(1), known.flatten(1))
    nearest: NDArray[np.int64] = torch.minimum(plain, mirrored).argmin(dim=1).numpy()
    return nearest


def _thumbnails(data: Slices) -> torch.Tensor:
    sources = torch.from_numpy(data.sources)[:, None].float()
    return F.interpolate(sources, size=(THUMBNAIL, THUMBNAIL), mode="area")[:, 0]

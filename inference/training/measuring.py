"""What the figures of every model card are made of: peaks, intervals by bootstrap, and runs of a classifier."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from inference.bundle.bundle import Bundle, Network
from inference.errors import BundleRefused
from inference.saliency import explain
from inference.training.slices import Slices

RESAMPLES = 2000
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]
Figure = Callable[[Indices], float]


@dataclass(frozen=True)
class Judged:
    """What one network says of every slice."""

    probability: Floats
    """(N, classes)."""
    hit: Floats
    """(N,) 1 where the peak of its map, on the source grid, lies in the mask."""


def judge(
    network: nn.Module, layer: str, data: Slices, target: int | None = None, *, method: str = "gradcam"
) -> Judged:
    """Run a classifier and explain every slice, as the node does.

    Args:
        network: a classifier in evaluation mode.
        layer: dotted name of the layer of its class activation maps.
        data: N slices.
        target: the class that is explained; each slice's most probable class where left out.
        method: name of the saliency method.
    """
    probability, hits = [], []
    for index in torch.split(torch.arange(len(data.labels)), 16):
        with torch.inference_mode():
            probability.append(network(data.inputs[index]).softmax(dim=1))
        explained = probability[-1].argmax(dim=1) if target is None else torch.full_like(index, target)
        maps = explain(network, data.inputs[index], explained.clone(), method, layer=layer)
        hits.append(peak_hits(maps, data.source_masks[index.numpy()]))
    return Judged(torch.cat(probability).double().numpy(), np.concatenate(hits))


def peak_hits(maps: torch.Tensor, masks: Bools) -> Floats:
    """Tell for each map (N, h, w) whether its highest value, on the grid of the masks, lies in the mask."""
    large = F.interpolate(maps[:, None].float(), size=masks.shape[1:], mode="bilinear", align_corners=False)
    peak = large.flatten(1).argmax(dim=1).numpy()
    inside: Floats = masks.reshape(len(masks), -1)[np.arange(len(masks)), peak].astype(np.float64)
    return inside


def with_interval(figure: Figure, groups: NDArray[np.str_], unit: str = "patients") -> dict[str, Any]:
    """Return a figure and its 95 % percentile interval over patients (or other groups) drawn with replacement.

    Args:
        figure: takes indices of slices; NaN where a draw has none to judge.
        groups: (N,) patient of each slice.
        unit: what the groups are, as the key of their number.
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
        unit: len(members),
    }


def classifiers(bundle: Bundle) -> dict[str, Network]:
    """Return every classifier of a bundle by name."""
    named = {"primary": bundle.primary()}
    named |= {f"replicate_{n}": network for n, network in enumerate(bundle.replicates(), start=1)}
    return named | {f"alternate_{n}": network for n, network in enumerate(bundle.alternates(), start=1)}


def share(of: Bools, what: NDArray[Any]) -> Figure:
    """Return the figure that is the mean of ``what`` (N,) over the slices marked in ``of`` (N,)."""
    values = what.astype(np.float64)
    return lambda index: mean(values[index][of[index]])


def peak_figures(maps: Mapping[str, torch.Tensor], data: Slices, unit: str = "patients") -> dict[str, Any]:
    """Say how often the peak of maps that need no network, (N, h, w) by name, lies in the lesion of slices with one."""
    positive: Bools = np.any(data.source_masks, axis=(1, 2))
    return {
        f"peak_in_lesion_{name}": with_interval(share(positive, peak_hits(of, data.source_masks)), data.groups, unit)
        for name, of in maps.items()
    }


def localiser_figures(network: nn.Module, data: Slices, unit: str = "patients") -> dict[str, Any]:
    """How well the independent witness finds the lesion on slices that have one."""
    with torch.inference_mode():
        probability = torch.cat([network(part).sigmoid()[:, 0] for part in torch.split(data.inputs, 16)])
    hit = peak_hits(probability, data.source_masks)
    marked, truth = (probability > 0.5).flatten(1).double(), (data.masks[:, 0] > 0.5).flatten(1).double()
    dice = (2 * (marked * truth).sum(1) / (marked.sum(1) + truth.sum(1)).clamp(min=1)).numpy()
    positive: Bools = np.any(data.source_masks, axis=(1, 2))
    return {
        "peak_in_lesion": with_interval(share(positive, hit), data.groups, unit),
        "dice": with_interval(share(positive, dice), data.groups, unit),
    }


def localiser_of(bundle: Bundle) -> nn.Module:
    """Return the localiser of a bundle.

    Raises:
        BundleRefused: it has none.
    """
    localiser = bundle.localiser()
    if localiser is None:
        raise BundleRefused(f"{bundle.manifest.name} has no localiser.")
    return localiser.module


def with_localiser(folder: Path, network: nn.Module, data: Slices, unit: str = "patients") -> dict[str, Any]:
    """Return the figures a bundle has, with those of its localiser measured anew."""
    return {**figures_of(folder), "localiser": localiser_figures(network, data, unit)}


def figures_of(folder: Path) -> dict[str, Any]:
    """Return the figures a bundle has."""
    known: dict[str, Any] = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return known


def mean(values: Floats) -> float:
    """Return the mean; NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")

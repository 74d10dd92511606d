"""Zeiler, Fergus: Visualizing and understanding convolutional networks (ECCV 2014), arXiv 1311.2901, section 4.2."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task
from inference.saliency.gradient.baselines import BASELINE, BLUR_SIGMA, baselines

Positions = NDArray[np.int64]
Falls = NDArray[np.float64]


class Occlusion:
    """How far the logit falls when a window is covered; each pixel shows the mean over the windows that hold it.

    A window that the baseline leaves as it is costs nothing and counts zero. With ``share`` below 1 the others are
    passed from coarse to fine: every second position of each axis first, then, round after round, those farthest from
    any that was passed, and among them where the surroundings differ most, up to that share of all; what is left is
    interpolated.
    """

    info = MethodInfo(
        name="occlusion",
        paper="Zeiler, Fergus 2014, arXiv 1311.2901",
        description="how far the logit falls when a place is covered",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={
            "window": Parameter(16, "side of the window, in pixels of the input", minimum=1),
            "stride": Parameter(8, "distance of neighbouring windows, in pixels", minimum=1),
            "baseline": BASELINE,
            "blur_sigma": BLUR_SIGMA,
            "share": Parameter(0.33, "share of the windows that is passed; 1: all", minimum=0, maximum=1),
        },
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the mean fall, (N, 1, *spatial); of two baselines the mean."""
        whole = task.passes.logits(task.inputs).gather(1, task.targets[:, None])[:, 0]
        maps = [
            torch.stack(
                [_covered(task, sample, cover, target, float(logit)) for sample, cover, target, logit in
                 zip(task.inputs, start, task.targets, whole, strict=True)]
            )
            for start in baselines(task)
        ]  # fmt: skip
        return torch.stack(maps).mean(dim=0)[:, None]


def _covered(task: Task, sample: torch.Tensor, cover: torch.Tensor, target: torch.Tensor, logit: float) -> torch.Tensor:
    """Return the map of one sample, (*spatial)."""
    window, stride = task.whole("window"), task.whole("stride")
    counts = [max(1, math.ceil((size - window) / stride) + 1) for size in sample.shape[1:]]
    grid = np.argwhere(np.ones(counts, dtype=bool))
    slices = [tuple(slice(int(i) * stride, int(i) * stride + window) for i in position) for position in grid]
    falls = np.full(len(grid), np.nan)
    changed = (sample != cover).any(dim=0).cpu().numpy()
    falls[[not changed[place].any() for place in slices]] = 0.0

    def passed(chosen: Positions) -> None:
        most = task.passes.at_once(sample, _HELD)
        for first in range(0, len(chosen), most):
            part = chosen[first : first + most]
            hidden = np.zeros((len(part), 1, *sample.shape[1:]), dtype=bool)
            for plane, index in zip(hidden, part, strict=True):
                plane[(0, *slices[index])] = True
            points = torch.where(torch.from_numpy(hidden).to(sample.device), cover, sample)
            falls[part] = logit - task.passes.logits(points)[:, target].double().cpu().numpy()

    _coarse_to_fine(grid, falls, int(task.number("share") * len(grid)), passed)
    return _spread(falls, slices, sample)


def _coarse_to_fine(grid: Positions, falls: Falls, most: int, passed: Callable[[Positions], None]) -> None:
    """Fill in what is not known of the falls: pass at most so many positions, interpolate the rest."""
    unknown = np.flatnonzero(np.isnan(falls))
    if len(unknown) <= most:
        passed(unknown)
        return
    coarse = unknown[(grid[unknown] % 2 == 0).all(axis=1)]
    passed(coarse[:: max(1, math.ceil(len(coarse) / max(1, most)))])
    left = most - min(len(coarse), most)
    for rounds_left in range(_ROUNDS, 0, -1):
        unknown = np.flatnonzero(np.isnan(falls))
        chosen = min(len(unknown), math.ceil(left / rounds_left))
        if chosen > 0:
            passed(np.sort(_by_need(grid, falls, unknown)[:chosen]))
            left -= chosen
    known, unknown = np.flatnonzero(~np.isnan(falls)), np.flatnonzero(np.isnan(falls))
    if len(unknown):
        smooth = RBFInterpolator(grid[known].astype(float), falls[known], neighbors=_NEIGHBOURS, kernel="linear")
        falls[unknown] = smooth(grid[unknown].astype(float))


def _by_need(grid: Positions, falls: Falls, unknown: Positions) -> Positions:
    """Sort unknown positions: farthest from a known one first, then where the known falls around differ most."""
    known = np.flatnonzero(~np.isnan(falls))
    distances, nearest = cKDTree(grid[known]).query(grid[unknown], k=min(len(known), 2 ** grid.shape[1] + 1))
    spread = falls[known][np.reshape(nearest, (len(unknown), -1))].std(axis=1)
    return unknown[np.lexsort((-spread, -np.reshape(distances, (len(unknown), -1))[:, 0]))]


def _spread(falls: Falls, slices: list[tuple[slice, ...]], sample: torch.Tensor) -> torch.Tensor:
    """Return for each pixel the mean over the windows that hold it, (*spatial)."""
    total, count = np.zeros(sample.shape[1:]), np.zeros(sample.shape[1:])
    for fall, place in zip(falls, slices, strict=True):
        total[place] += fall
        count[place] += 1
    return torch.from_numpy(total / np.maximum(count, 1)).to(sample)


_HELD = 4
"""Tensors of the size of a batch that are in memory at once."""

_ROUNDS = 6
_NEIGHBOURS = 16

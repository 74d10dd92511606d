"""Petsiuk, Das, Saenko: RISE, randomized input sampling for explanation (BMVC 2018), arXiv 1806.07421."""

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from inference.saliency.engine.draws import blocks, regrouped
from inference.saliency.engine.protocol import ExplanationType, MethodInfo, Parameter, Task

_HELD = 6
"""Tensors of the size of a batch that are in memory at once."""


class Rise:
    """How the logit goes with each pixel being seen through random smooth masks.

    A map is the covariance of the logit with the mask divided by the mask's variance: the paper's weighted mean of
    masks (equation 5), less the part that is the same everywhere, which with few masks is all one sees. Masks come in
    pairs with their complements.
    """

    info = MethodInfo(
        name="rise",
        paper="Petsiuk et al. 2018, arXiv 1806.07421",
        description="how much the logit rises when a place is seen, over random masks",
        needs_layer=False,
        explanation=ExplanationType.SALIENCY,
        details={
            "masks": Parameter(1000, "random masks, one forward pass each", minimum=2),
            "cells": Parameter(7, "cells of a mask along each axis before it is smoothed and shifted", minimum=2),
            "seen": Parameter(0.5, "share of cells that let the image through", minimum=0.01, maximum=0.99),
        },
    )

    def explain(self, task: Task) -> torch.Tensor:
        """Return the covariance, (N, 1, *spatial)."""
        task.passes.announce(task.whole("masks") * len(task.inputs))
        return torch.stack([_covariance(task, *row) for row in zip(task.inputs, task.targets, strict=True)])[:, None]


def _covariance(task: Task, sample: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    products, total, squares = (torch.zeros(sample.shape[1:], device=sample.device) for _ in range(3))
    logits_total, offset = torch.zeros((), dtype=torch.float64, device=sample.device), None
    for drawn in regrouped(_pairs(sample.shape[1:], task), task.passes.at_once(sample, _HELD)):
        masks = drawn.to(sample)
        logits = task.passes.logits(sample * masks[:, None])[:, target]
        offset = logits.mean() if offset is None else offset  # keeps the sums small: float32 is exact enough then
        logits = logits - offset
        products += torch.tensordot(logits, masks, dims=1)
        total += masks.sum(dim=0)
        squares += masks.square().sum(dim=0)
        logits_total += logits.sum()
    number = task.whole("masks")
    mean = total / number
    variance = (squares / number - mean.square()).clamp(min=1e-6)
    return (products / number - mean * (logits_total / number).float()) / variance


def _pairs(spatial: torch.Size, task: Task) -> Iterator[torch.Tensor]:
    """Draw masks with their complements, in fixed blocks, each (block, *spatial)."""
    generator = torch.Generator().manual_seed(task.seed)
    for count in blocks(task.whole("masks")):
        masks = _masks(spatial, (count + 1) // 2, task, generator)
        yield torch.stack([masks, 1 - masks], dim=1).flatten(0, 1)[:count]


def _masks(spatial: torch.Size, count: int, task: Task, generator: torch.Generator) -> torch.Tensor:
    """Draw masks, (count, *spatial): cells on or off, enlarged linearly, shifted by up to a cell (section 3.2)."""
    cells = task.whole("cells")
    grid = (torch.rand((count, 1, *[cells + 1] * len(spatial)), generator=generator) < task.number("seen")).float()
    side = [-(-size // cells) for size in spatial]
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(spatial)]
    large = F.interpolate(grid, size=[(cells + 1) * step for step in side], mode=mode, align_corners=False)[:, 0]
    drawn = []
    for mask in large:
        shift = [int(torch.randint(step, (1,), generator=generator)) for step in side]
        drawn.append(mask[tuple(slice(first, first + size) for first, size in zip(shift, spatial, strict=True))])
    return torch.stack(drawn)

"""What each kind of companion minimises: the class, the class with its map in the mask, or the mask."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss
from torch import nn

from inference.bundle.manifest import Manifest
from inference.companions.data import Batch
from inference.companions.guidance import cell_loss, guidance_loss, maps_and_logits

BatchLoss = Callable[[nn.Module, Batch], torch.Tensor]
GUIDANCE, CELLS = 0.2, 1.0
"""Weights of the guidance and the cell loss beside the loss of the class, as in the shipped bundles."""


def class_loss(logits: torch.Tensor, labels: torch.Tensor, manifest: Manifest) -> torch.Tensor:
    """Return the loss of the class, by the bundle's activation.

    softmax: cross entropy; sigmoid: binary cross entropy of every class; ordinal: of every grade above the lowest, of
    which a network gives one output each, with or without one more for the lowest.
    """
    if manifest.activation == "softmax":
        return F.cross_entropy(logits, labels)
    classes = len(manifest.classes)
    if manifest.activation == "sigmoid":
        return F.binary_cross_entropy_with_logits(logits, F.one_hot(labels, classes).float())
    reached = labels[:, None] >= torch.arange(1, classes, device=labels.device)
    return F.binary_cross_entropy_with_logits(logits[:, -(classes - 1) :], reached.float())


def probabilities(logits: torch.Tensor, manifest: Manifest) -> torch.Tensor:
    """Return the probability of every class, (N, classes); of an ordinal network, of that grade alone."""
    if manifest.activation == "softmax":
        return logits.softmax(dim=1)
    if manifest.activation == "sigmoid":
        return logits.sigmoid()
    reached = logits[:, -(len(manifest.classes) - 1) :].sigmoid().cummin(dim=1).values
    edge = torch.ones_like(reached[:, :1])
    return torch.cat([edge, reached], dim=1) - torch.cat([reached, torch.zeros_like(edge)], dim=1)


def classifying(manifest: Manifest) -> BatchLoss:
    """Return the loss of a plain classifier."""

    def loss(network: nn.Module, batch: Batch) -> torch.Tensor:
        output = network(batch.inputs)
        logits = output[0] if isinstance(output, (list, tuple)) else output
        return class_loss(logits.float(), batch.labels, manifest)

    return loss


def guiding(manifest: Manifest, layer: str) -> BatchLoss:
    """Return the loss of a classifier whose class activation map is drawn into the mask, where that is known."""

    def loss(network: nn.Module, batch: Batch) -> torch.Tensor:
        maps, logits = maps_and_logits(network, layer, batch.inputs)
        total = class_loss(logits, batch.labels, manifest)
        if not bool(batch.known.any()):
            return total
        maps, masks, labels = maps[batch.known], batch.masks[batch.known], batch.labels[batch.known]
        own = maps[torch.arange(len(labels), device=labels.device), labels].relu()
        return total + GUIDANCE * guidance_loss(own, masks, by_coverage=True) + CELLS * cell_loss(maps, masks, labels)

    return loss


def localising() -> BatchLoss:
    """Return the loss of a localiser: MONAI's Dice and binary cross entropy over the batch."""
    dice = DiceCELoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)

    def loss(network: nn.Module, batch: Batch) -> torch.Tensor:
        return torch.as_tensor(dice(network(batch.inputs).float(), batch.masks))

    return loss

"""What draws a class activation map into the masks of a training: the map with its graph, and two losses on it.

The guidance loss is minus the logarithm of the share of the positive class activation map of the true class that lies
in mask cells (after Ross et al. 2017, "Right for the right reasons", arXiv 1703.03717, with a class activation map in
place of the input gradient); the cell loss takes every class' map for a coarse segmentation.
"""

import torch
import torch.nn.functional as F
from torch import nn

CELL_GAIN, CELL_MARGIN = 0.1, 4.0
"""A cell of a class' map, times the gain, less the margin, is the logit of its being lesion: a map of zero is none."""


def last_linear(model: nn.Module) -> nn.Linear | None:
    """Return the last linear layer of a network by the order of its modules; None where it has none."""
    return next(reversed([module for module in model.modules() if isinstance(module, nn.Linear)]), None)


def maps_and_logits(model: nn.Module, layer: str, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the class activation map of every class, with its graph, and the logits (Zhou et al. 2016).

    Where one linear layer follows the mean of the features, as here, Grad-CAM is its positive part, scaled.

    Args:
        model: a classifier whose last layer is linear, on the means of the features.
        layer: dotted name of the module whose output these features are.
        inputs: (N, C, *spatial).

    Returns:
        maps (N, classes, *cells), signed; logits (N, classes).
    """
    kept: list[torch.Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: kept.append(output))
    try:
        logits = model(inputs)
    finally:
        handle.remove()
    last = last_linear(model)
    if last is None:
        raise ValueError("the network has no linear layer")
    return torch.einsum("nk...,ck->nc...", kept[-1].float(), last.weight.float()), logits.float()


def on_cells(masks: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Return the share of lesion in each cell of a map, (N, 1, *spatial) and (N, classes, *cells) -> (N, 1, *cells)."""
    if masks.ndim == 5:
        return F.adaptive_avg_pool3d(masks, (maps.shape[2], maps.shape[3], maps.shape[4]))
    return F.adaptive_avg_pool2d(masks, (maps.shape[2], maps.shape[3]))


def guidance_loss(cam: torch.Tensor, masks: torch.Tensor, *, by_coverage: bool = False) -> torch.Tensor:
    """Minus the logarithm of the share of the map inside the mask, averaged over images that have one.

    Args:
        cam: (N, *cells), not negative.
        masks: (N, 1, *spatial) share of lesion; a cell counts as mask where the lesion covers a quarter of it, or, for
            lesions too small for that, where they cover most.
        by_coverage: a cell counts by how much of it is lesion, set against the best covered cell: this draws the peak
            from the rim of a lesion to its inside.
    """
    cells = on_cells(masks, cam[:, None])[:, 0].flatten(1)
    cam = cam.flatten(1)
    most = cells.amax(dim=1, keepdim=True)
    inside = (cells >= torch.minimum(torch.full_like(most, 0.25), most)) & (cells > 0)
    weight = cells / most.clamp(min=1e-6) if by_coverage else inside.float()
    some = (most[:, 0] > 0) & (cam.detach().sum(dim=1) > 0)
    if not bool(some.any()):
        return cam.sum() * 0.0
    share = (cam * weight).sum(dim=1)[some] / cam.sum(dim=1)[some]
    return -(share + 1e-3).log().mean()


def cell_loss(maps: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Take each class' map for a coarse segmentation: the true class' is the lesion, the others' are empty.

    Binary cross entropy over cells, added over classes, plus the soft Dice loss of the true class (Milletari 2016).
    The margin lets an empty map be zero: without it maps are negative everywhere, and their peak means nothing.

    Args:
        maps: (N, classes, *cells), signed.
        masks: (N, 1, *spatial) share of lesion.
        labels: (N,) the true class.
    """
    cells = on_cells(masks, maps)
    logits = maps * CELL_GAIN - CELL_MARGIN
    one_hot = F.one_hot(labels, maps.shape[1]).reshape(*maps.shape[:2], *(1,) * (maps.ndim - 2))
    surprise = F.binary_cross_entropy_with_logits(logits, one_hot * cells, reduction="none").sum(dim=1).mean()
    return surprise + soft_dice(logits[torch.arange(len(labels)), labels].sigmoid(), cells[:, 0])


def soft_dice(probability: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """One minus the soft Dice overlap of a batch (Milletari et al. 2016); both of one shape, 0 to 1."""
    return 1 - (2 * (probability * masks).sum() + 1) / (probability.sum() + masks.sum() + 1)

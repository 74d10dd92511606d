"""Infidelity and largest sensitivity of maps (Yeh et al. 2019, arXiv 1901.09392), computed by ``captum.metrics``.

Both are in units of the map or the logit at captum; here each is brought to a share, so that cases can be averaged.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Maps = NDArray[np.floating]
Logit = Callable[[torch.Tensor], torch.Tensor]
"""Images (N, channels, *spatial) to the logit of the class explained, (N,)."""

SIDE = 1 / 4
"""Longest side of a box that is covered, as a share of the image's side."""


def infidelity(
    image: torch.Tensor, cover: torch.Tensor, saliency: Maps, logit: Logit, *, samples: int, seed: int
) -> float:
    """Return the share of the logit's falls that the map leaves unexplained; lower is better.

    Boxes of random place and size are covered. The fall of the logit is compared with the sum of the map in the box,
    times the factor that fits best (captum's ``normalize``), which is taken to be 0 where it is negative: a map that
    points at the opposite explains nothing. This is the binary form of the measure, for attributions that say what a
    place adds; a gradient alone is none.

    Args:
        image: (channels, *spatial).
        cover: what boxes are covered with, of the image's shape.
        saliency: (*spatial), signed.
        logit: of the class explained.
        samples: boxes.
        seed: of the boxes.

    Returns:
        0 (the sum says exactly how far the logit falls) to 1 (nothing); NaN where no box moves the logit.
    """
    from captum.metrics import infidelity as by_captum

    boxes = _boxes(image.shape[1:], samples, seed)
    covered = logit(torch.where(boxes[:, None], cover, image)).double().cpu()
    whole = logit(image[None]).double().cpu()
    falls, shown = whole - covered, boxes.double()
    values = torch.from_numpy(np.array(saliency, dtype=np.float64))
    if not falls.any():
        return float("nan")
    if float((shown * values).flatten(1).sum(dim=1) @ falls) <= 0:
        return 1.0
    answers = iter((covered, whole))  # captum asks for the perturbed images first
    left = by_captum(
        lambda _shown: next(answers),
        lambda ones: (shown, ones - shown),
        torch.ones(1, *image.shape[1:], dtype=torch.float64),
        values[None],
        n_perturb_samples=samples,
        normalize=True,
    )
    return float(left[0] / falls.square().mean())


def largest_sensitivity(saliency: Maps, perturbed: Maps) -> float:
    """Return the largest distance of the maps of perturbed images from the map, as a share of its length.

    Args:
        saliency: (*spatial).
        perturbed: (K, *spatial), of the same image perturbed: captum's figure of explanations that are there.
    """
    from captum.metrics import sensitivity_max

    own, others = (torch.from_numpy(np.array(maps, dtype=np.float64)) for maps in (saliency[None], perturbed))
    answers = iter(((own,), (others,)))
    made = sensitivity_max(
        lambda _inputs: next(answers), own, perturb_func=lambda inputs: inputs, n_perturb_samples=len(perturbed)
    )
    return float(made[0])


def _boxes(spatial: torch.Size, count: int, seed: int) -> torch.Tensor:
    """Draw boxes of random place and side, (count, *spatial) bool."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.ones(count, *spatial, dtype=torch.bool)
    for axis, size in enumerate(spatial):
        sides = 1 + (torch.rand(count, generator=generator) * SIDE * size).long()
        firsts = (torch.rand(count, generator=generator) * (size - sides + 1)).long()
        places = torch.arange(size)
        inside = (places >= firsts[:, None]) & (places < (firsts + sides)[:, None])
        boxes &= inside.reshape(count, *(size if at == axis else 1 for at in range(len(spatial))))
    return boxes

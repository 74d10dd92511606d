"""Which planes of a finding are assessed, by one rule for node, demo and commissioning.

A first pass drops planes that have little hope, before any map is drawn: of one series and class the ``MOST_ASSESSED``
planes stay on which the lower of the class' probability and the localiser's highest probability is highest. Evidence is
gathered of those. Shown are the few whose score is highest (``statistics/shown.py``), and these a passport certifies.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from inference.batches import BUDGET_BYTES, run_batched
from inference.bundle.bundle import Bundle

MOST_ASSESSED = 12
"""Planes of one series and class whose maps are assessed. Fixed before any passport was fitted by it."""
USUALLY_SHOWN = 3
"""Planes of one series and class that are shown, where a rule does not say otherwise."""
Numbers = NDArray[np.float64]


def first_pass(probabilities: ArrayLike, seen: ArrayLike | None, most: int = MOST_ASSESSED) -> tuple[int, ...]:
    """Return which planes of one series and class are assessed, the most promising first.

    Args:
        probabilities: (N,) of the class, on the planes where it is called.
        seen: (N,) the localiser's highest probability on each; None: the bundle has no localiser.
        most: at most so many.
    """
    hope = np.asarray(probabilities, np.float64)
    if seen is not None:
        hope = np.minimum(hope, np.asarray(seen, np.float64))
    return tuple(int(plane) for plane in np.argsort(-hope, kind="stable")[:most])


def seen_by_localiser(
    bundle: Bundle, inputs: torch.Tensor, device: torch.device, *, budget_bytes: int = BUDGET_BYTES
) -> Numbers | None:
    """Return the localiser's highest probability on each input, (N, channels, *spatial) -> (N,); None without one."""
    localiser = bundle.localiser(device)
    if localiser is None:
        return None

    def highest(batch: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            marked = bundle.marked(localiser.module(batch.to(device)))
        return marked.flatten(1).amax(dim=1).float().cpu()

    if not len(inputs):
        return np.zeros(0)
    passed = run_batched(highest, inputs, budget_bytes=budget_bytes, device=device)
    return np.asarray(passed.numpy(), np.float64)

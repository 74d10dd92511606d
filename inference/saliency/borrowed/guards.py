"""What stands between another library's method and a map that leaves: complete sums, and draws from the task's seed."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
import torch

from inference.errors import Unsuitable

INCOMPLETE = 0.01
"""Largest difference of a map's sum from what it must sum to, as a share of that."""
_ROUNDED = 1e-4
"""The same as a share of the larger logit: below it a difference is rounding."""
_DRAWING = Lock()
"""The generators are shared by all threads."""


def check_complete(method: str, maps: torch.Tensor, wanted: torch.Tensor, scale: torch.Tensor) -> None:
    """Refuse maps whose sums are not the differences of logits that they must be.

    Args:
        method: as a person reads it.
        maps: (N, ...).
        wanted: (N,) what each must sum to.
        scale: (N,) the larger of the logits it is the difference of.

    Raises:
        Unsuitable: with what was measured.
    """
    sums = maps.double().flatten(1).sum(dim=1)
    allowed = torch.maximum(INCOMPLETE * wanted.abs(), _ROUNDED * scale)
    for total, due, most in zip(sums.tolist(), wanted.tolist(), allowed.tolist(), strict=True):
        if not abs(total - due) <= most:
            raise Unsuitable(
                f"A map of {method} sums to {total:.4g} on this network where the logit moved by {due:.4g}: "
                "it does not show what makes the logit.",
                cure="Choose another method.",
            )


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Seed the CPU's generators of torch and numpy that all threads share, one map at a time; leave them as before."""
    with _DRAWING, torch.random.fork_rng(devices=[]):
        before = np.random.get_state()
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed % (1 << 32))
        try:
            yield
        finally:
            np.random.set_state(before)

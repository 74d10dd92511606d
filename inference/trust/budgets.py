"""Budgets: how much of the evidence one verdict may cost, as parts gathered, signals read and passes through networks.

Every budget has what costs one pass or none: probability, the map's shape, the image at its peak, the features of the
envelope, and the localiser, without which nothing is TRUSTED. A budget's calibrator and thresholds are its own
(``commissioning/verdict_budget.py``): a formula fitted on all signals says nothing sound on half of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from inference.trust.kinds import KINDS

Budget = Literal["fast", "standard", "full"]
PARTS: Mapping[Budget, frozenset[str]] = {
    "fast": frozenset({"replicates"}),
    "standard": frozenset({"replicates", "alternates"}),
    "full": frozenset({"replicates", "alternates", "twin", "contrast", "moved", "gradient", "covered"}),
}
"""The parts of the evidence each budget gathers, the cheapest budget first."""
LEFT_OUT: Mapping[Budget, str] = {
    "fast": "as standard, and the alternates",
    "standard": "random twin, next class, moved image, gradient, deletion and insertion",
    "full": "nothing",
}
"""What each budget drops, in words."""


def signals_of(parts: frozenset[str]) -> tuple[str, ...]:
    """Name the signals that can be read from these parts of the evidence, in the order of ``NAMES``."""
    return tuple(kind.name for kind in KINDS if not kind.part or kind.part in parts)


@dataclass(slots=True)
class Passes:
    """Rows that went through networks: all of them, and those through which a gradient came back."""

    forward: int = 0
    backward: int = 0


@contextmanager
def counted(networks: Sequence[nn.Module]) -> Iterator[Passes]:
    """Count what goes through some networks."""
    found = Passes()

    def note(_network: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        found.forward += len(output)
        found.backward += len(output) * output.requires_grad

    with ExitStack() as stack:
        for network in networks:
            stack.callback(network.register_forward_hook(note).remove)
        yield found

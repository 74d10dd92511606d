"""Cost of a call, in rows passed forward and backward through networks."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(slots=True)
class Cost:
    """Rows that went through networks: all of them, and those through which a gradient came back."""

    forward: int = 0
    backward: int = 0


@contextmanager
def counted(networks: Sequence[nn.Module]) -> Iterator[Cost]:
    """Count what goes through some networks."""
    cost = Cost()

    def note(_network: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        cost.forward += len(output)
        cost.backward += len(output) * output.requires_grad

    with ExitStack() as stack:
        for network in networks:
            stack.callback(network.register_forward_hook(note).remove)
        yield cost

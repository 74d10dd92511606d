"""Several networks of one architecture that answer as one, such as the folds of a cross-validation."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn.functional import logsigmoid


class Members(nn.Module):
    """Gives the logits of the mean probability; is explained member by member."""

    def __init__(self, members: Sequence[nn.Module], *, excluding: bool, geometric: bool = False) -> None:
        """Take the networks.

        Args:
            members: each gives logits (N, classes).
            excluding: whether the classes exclude each other (softmax), or stand each by itself (sigmoid).
            geometric: whether their maps are joined by geometric mean.
        """
        super().__init__()
        self.members = nn.ModuleList(members)
        self._excluding = excluding
        self._geometric = geometric

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes) whose softmax, or sigmoid, is the mean of the members'."""
        logits = torch.stack([member(inputs) for member in self.members])
        if self._excluding:
            return logits.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(logits))
        return logsigmoid(logits).logsumexp(dim=0) - logsigmoid(-logits).logsumexp(dim=0)

    def joined(self, maps: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Join the maps of each method, one a member, signed.

        The geometric mean is that of positive values, as roots of their product: 0 where a member has none.
        """
        return {name: self._mean(torch.stack([of_member[name] for of_member in maps])) for name in maps[0]}

    def _mean(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.clamp(min=0).log().mean(dim=0).exp() if self._geometric else maps.mean(dim=0)

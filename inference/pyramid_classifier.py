"""A classifier on the finest level of a feature pyramid (Lin et al. 2017, arXiv 1612.03144): context and a fine map."""

from itertools import pairwise

import torch
from monai.networks.blocks import Convolution
from torch import nn
from torch.nn import functional as F


class PyramidClassifier(nn.Module):
    """A small convolutional classifier whose class activation map has a quarter of the input's side in cells.

    Stages of two convolutions, the first of stride 2; features of the last three stages are added from the coarsest to
    the finest and convolved once. The layer ``features`` is what is averaged and classified by one linear layer, so
    that Grad-CAM there is the class activation map of Zhou et al. 2016.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        channels: tuple[int, int, int, int] = (16, 32, 64, 128),
        width: int = 64,
    ) -> None:
        super().__init__()
        usual = {"act": "RELU", "norm": "BATCH"}
        self.stages = nn.ModuleList(
            nn.Sequential(
                Convolution(spatial_dims, before, after, strides=2, **usual),
                Convolution(spatial_dims, after, after, **usual),
            )
            for before, after in pairwise((in_channels, *channels))
        )
        self.laterals = nn.ModuleList(
            Convolution(spatial_dims, count, width, kernel_size=1, conv_only=True) for count in channels[1:]
        )
        self.features = Convolution(spatial_dims, width, width, **usual)
        self.head = nn.Linear(width, num_classes)
        self._mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[spatial_dims]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (N, num_classes)."""
        levels: list[torch.Tensor] = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        joined: torch.Tensor | None = None
        for lateral, level in zip(reversed(self.laterals), reversed(levels[1:]), strict=True):
            own = lateral(level)
            if joined is not None:
                own = own + F.interpolate(joined, size=own.shape[2:], mode=self._mode, align_corners=False)
            joined = own
        features: torch.Tensor = self.features(joined)
        logits: torch.Tensor = self.head(features.flatten(2).mean(dim=2))
        return logits

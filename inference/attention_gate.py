"""The grid attention gate of Schlemper et al. 2019 (arXiv 1808.08114), and a classifier gated by it."""

from itertools import pairwise

import torch
from monai.networks.blocks import Convolution
from torch import nn
from torch.nn import functional as F


class AttentionGate(nn.Module):
    """Let features through by how well they go with a coarser, later signal (equations 1 and 2 of the paper).

    coefficients = sigmoid(psi(relu(theta(features) + phi(signal)))), one per cell of the features' grid.
    """

    def __init__(self, spatial_dims: int, feature_channels: int, signal_channels: int, inner_channels: int) -> None:
        super().__init__()
        pointwise = {"kernel_size": 1, "conv_only": True}
        self.theta = Convolution(spatial_dims, feature_channels, inner_channels, bias=False, **pointwise)
        self.phi = Convolution(spatial_dims, signal_channels, inner_channels, **pointwise)
        self.psi = Convolution(spatial_dims, inner_channels, 1, **pointwise)
        self.coefficients = nn.Sigmoid()
        self._mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[spatial_dims]

    def forward(self, features: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
        """Return the gated features, (N, feature_channels, *grid).

        The layer ``coefficients`` gives the share let through at each cell, (N, 1, *grid).
        """
        coarse = F.interpolate(self.phi(signal), size=features.shape[2:], mode=self._mode, align_corners=False)
        return features * self.coefficients(self.psi(F.relu(self.theta(features) + coarse)))


class GatedClassifier(nn.Module):
    """A small convolutional classifier with two attention gates, after AG-Sononet (section 3.3 of the paper).

    Stages of two convolutions and a pooling; the features of the two stages before the last are gated by the last,
    summed over the grid in shares of their coefficients, and classified together with the last stage's mean.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, num_classes: int, channels: tuple[int, ...] = (16, 32, 64, 128)
    ) -> None:
        super().__init__()
        widths = (in_channels, *channels)
        self.stages = nn.ModuleList(
            nn.Sequential(
                Convolution(spatial_dims, before, after, act="RELU", norm="BATCH"),
                Convolution(spatial_dims, after, after, act="RELU", norm="BATCH"),
            )
            for before, after in pairwise(widths)
        )
        self.gates = nn.ModuleList(AttentionGate(spatial_dims, width, channels[-1], width) for width in channels[-3:-1])
        self.head = nn.Linear(sum(channels[-3:]), num_classes)
        self._pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[spatial_dims]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (N, num_classes)."""
        levels: list[torch.Tensor] = []
        for number, stage in enumerate(self.stages):
            x = stage(self._pool(x, 2) if number else x)
            levels.append(x)
        pooled = [gate(level, x).flatten(2).mean(dim=2) for gate, level in zip(self.gates, levels[-3:-1], strict=True)]
        return self.head(torch.cat([*pooled, x.flatten(2).mean(dim=2)], dim=1))

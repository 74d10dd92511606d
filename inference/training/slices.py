"""Preprocessed slices of many subjects, whatever they were read from."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Slices:
    """What a network is trained and judged on; every field has one entry for each of N slices."""

    inputs: torch.Tensor
    """(N, 1, S, S) float32."""
    masks: torch.Tensor
    """(N, 1, S, S) float32, the share of each input pixel that is lesion."""
    labels: torch.Tensor
    """(N,) int64: index of the class."""
    groups: NDArray[np.str_]
    """(N,) subject of each slice, or group of slices that must not be told apart."""
    positions: NDArray[np.int64]
    """(N,) slice number in its series."""
    planes: NDArray[np.str_]
    """(N,) axial, coronal or sagittal."""
    sources: NDArray[np.uint8]
    """(N, rows, columns) the images as they are stored."""
    source_masks: NDArray[np.bool_]
    """(N, rows, columns)."""

    def pick(self, chosen: NDArray[np.bool_]) -> "Slices":
        """Return the slices where ``chosen`` is true."""
        index = np.flatnonzero(chosen)
        return Slices(*(getattr(self, field.name)[index] for field in fields(self)))


def join(parts: Iterable[Slices]) -> Slices:
    """Put subjects after one another."""
    every = list(parts)

    def column(name: str) -> Any:
        values = [getattr(part, name) for part in every]
        return torch.cat(values) if isinstance(values[0], torch.Tensor) else np.concatenate(values)

    return Slices(*(column(field.name) for field in fields(Slices)))

"""The input of a network, and the way back from a map on it to the source pixels.

Every step on the way keeps its map of pixel indices, so the way back is a product of matrices: a value of the map
returns to the source pixel it came from, to a fraction of a pixel.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from inference.archive import Floats


@dataclass(frozen=True, eq=False)
class ModelInput:
    """What a network takes, and where each of its pixels came from."""

    tensor: torch.Tensor
    """(planes or 1, channels, *spatial), float32, on the CPU."""
    to_source: NDArray[np.float64]
    """(planes or 1, d + 1, d + 1), homogeneous maps from network indices to source indices: (row, column), or (place,
    row, column) for a volume."""
    source_shape: tuple[int, int, int]
    """(planes, rows, columns) of the stack."""
    is_volume: bool
    places: tuple[float, ...] = ()
    """Of a volume, where each source plane lies along the normal, in steps from the first; empty for single planes."""

    def frame_of(self, position: int, index: tuple[int, ...]) -> int:
        """Return the source plane of a network index: ``position`` itself unless this is a volume."""
        if not self.is_volume:
            return position
        place = float((self.to_source[0] @ np.array([*index, 1.0]))[0])
        return int(np.abs(np.asarray(self.places) - place).argmin())

    def to_frame(self, values: NDArray[np.float32], frame: int) -> Floats:
        """Resample a map (*spatial) of the network's grid onto the pixels of one source plane.

        Linear interpolation between pixel centres; 0 where the network saw nothing.

        Args:
            values: map on the network's grid.
            frame: index of the source plane.

        Returns:
            (rows, columns) float32.
        """
        turn_back, offset = self._from_frame(frame)
        rows, columns = self.source_shape[1:]
        shape = (1, rows, columns) if self.is_volume else (rows, columns)
        sampled = affine_transform(
            values.astype(np.float64), turn_back, offset, output_shape=shape, order=1, mode="nearest"
        )
        return np.where(self.seen(frame), sampled.reshape(rows, columns), 0.0).astype(np.float32)

    def seen(self, frame: int) -> NDArray[np.bool_]:
        """Mark the pixels of a source plane whose centres lie in a pixel of the network's input, (rows, columns)."""
        turn_back, offset = self._from_frame(frame)
        row, column = np.ogrid[: self.source_shape[1], : self.source_shape[2]]
        mask = np.ones(self.source_shape[1:], dtype=np.bool_)
        for axis, size in enumerate(self.tensor.shape[2:]):
            at = turn_back[axis, -2] * row + turn_back[axis, -1] * column + offset[axis]
            mask &= (at >= -0.5 - 1e-6) & (at <= size - 0.5 + 1e-6)
        return mask

    def _from_frame(self, frame: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return matrix and offset from the indices of one source plane (a volume of one plane) to network indices."""
        matrix = self.to_source[0 if self.is_volume else frame]
        inverse = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
        turn_back, offset = inverse[:-1, :-1], inverse[:-1, -1]
        if self.is_volume:
            offset = offset + turn_back[:, 0] * self.places[frame]
        return turn_back, np.asarray(offset, dtype=np.float64)

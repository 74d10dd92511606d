"""From a series to the input of a network, and from a map on that input back to the source pixels.

Every step on the way keeps its affine map of pixel indices (a MONAI ``MetaTensor``), so the way back is a product of
matrices: a value of the map returns to the source pixel it came from, to a fraction of a pixel.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from inference.archive import Floats
from inference.bundle.bundle import Bundle
from inference.errors import BundleRefused, OutOfScope
from inference.reading.geometry import depth_mm, turn, unturn
from inference.reading.image import Image

SPACING_TOLERANCE = 0.1
"""How far the distance between two planes of a volume may differ from the median, as a share of it."""


@dataclass(frozen=True, eq=False)
class ModelInput:
    """What a network takes, and where each of its pixels came from."""

    tensor: torch.Tensor
    """(planes or 1, channels, *spatial), float32, on the CPU."""
    to_source: NDArray[np.float64]
    """Homogeneous map from network indices to source indices: (row, column), or (plane, row, column) for a volume."""
    source_shape: tuple[int, int, int]
    """(planes, rows, columns) of the series."""
    is_volume: bool

    def frame_of(self, position: int, index: tuple[int, ...]) -> int:
        """Return the source plane of a network index: ``position`` itself unless this is a volume."""
        if not self.is_volume:
            return position
        plane = round(float((self.to_source @ np.array([*index, 1.0]))[0]))
        return min(max(plane, 0), self.source_shape[0] - 1)

    def to_frame(self, values: NDArray[np.float32], frame: int) -> Floats:
        """Resample a map (*spatial) of the network's grid onto the pixels of one source plane.

        Linear interpolation between pixel centres; 0 where the network saw nothing.

        Args:
            values: map on the network's grid.
            frame: index of the source plane; matters for a volume only.

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
        inverse = np.asarray(np.linalg.inv(self.to_source), dtype=np.float64)
        turn_back, offset = inverse[:-1, :-1], inverse[:-1, -1]
        return turn_back, np.asarray(offset + turn_back[:, 0] * frame if self.is_volume else offset, dtype=np.float64)


def prepare(bundle: Bundle, image: Image) -> ModelInput:
    """Bring a series into the form the bundle's networks take.

    Planes of known orientation are first laid out as on a light box (axial: rows to the patient's left, columns to
    the back), by exact flips and a transposition. Then the bundle's own preprocessing runs once over the whole
    series: for kinds ``slices`` and ``projection`` with the planes as channels, (planes, rows, columns); for
    ``volume`` as (1, planes, rows, columns). The grey result is repeated to the number of channels.

    Raises:
        OutOfScope: a volume whose planes are missing, doubled or unevenly spaced.
        BundleRefused: the preprocessing does not give the size that ``heatproof.toml`` announces.
    """
    is_volume = bundle.manifest.kind == "volume"
    count, rows, columns = image.pixels.shape
    layout = unturn(image.frames[0].orientation, (rows, columns))
    planes = torch.from_numpy(turn(image.pixels, layout))
    scale = np.diag([*_spacing_mm(image, layout, is_volume), 1.0])
    data = MetaTensor(planes[None] if is_volume else planes, affine=_embedded(scale))
    processed = bundle.preprocessing(data)
    _check_shape(processed, data, bundle)
    dimensions = len(scale) - 1
    affine = np.asarray(to_affine_nd(dimensions, np.asarray(processed.affine, dtype=np.float64)))
    to_source = _over_planes(layout, is_volume) @ np.linalg.inv(scale) @ affine
    grey = processed.as_tensor().float()
    tensor = grey[None] if is_volume else grey[:, None]
    repeated = tensor.repeat_interleave(bundle.manifest.input.channels, dim=1).contiguous()
    return ModelInput(repeated, to_source, (count, rows, columns), is_volume)


def _spacing_mm(image: Image, layout: NDArray[np.float64], is_volume: bool) -> tuple[float, ...]:
    """Pixel pitch along each axis after the layout, in mm; 1 where it is unknown."""
    spacing = image.frames[0].pixel_spacing_mm or (1.0, 1.0)
    in_plane = spacing[::-1] if layout[0, 1] else spacing
    return (_plane_distance_mm(image), *in_plane) if is_volume else in_plane


def _plane_distance_mm(image: Image) -> float:
    depths = [
        depth_mm(frame.orientation, frame.position_mm)
        for frame in image.frames
        if frame.orientation is not None and frame.position_mm is not None
    ]
    if len(depths) < max(2, len(image.frames)):
        return 1.0
    steps = np.diff(depths)
    distance = float(np.median(steps))
    if distance <= 0 or np.abs(steps - distance).max() > SPACING_TOLERANCE * distance:
        raise OutOfScope(
            "The planes of the series are duplicated, missing or unevenly spaced: they are not one volume."
        )
    return distance


def _over_planes(layout: NDArray[np.float64], is_volume: bool) -> NDArray[np.float64]:
    if not is_volume:
        return layout
    matrix = np.eye(4)
    matrix[1:, 1:] = layout
    return matrix


def _embedded(matrix: NDArray[np.float64]) -> torch.Tensor:
    """Put a (3, 3) or (4, 4) homogeneous matrix into the (4, 4) that MONAI keeps."""
    return torch.from_numpy(np.asarray(to_affine_nd(3, matrix), dtype=np.float64))


def _check_shape(processed: Any, data: MetaTensor, bundle: Bundle) -> None:
    expected = (data.shape[0], *bundle.manifest.input.spatial_size)
    if not isinstance(processed, MetaTensor) or tuple(processed.shape) != expected:
        raise BundleRefused(
            f"{bundle.manifest.name}: the preprocessing gives {tuple(processed.shape)} where heatproof.toml declares "
            f"{expected}.",
            cure="Correct the preprocessing or input.spatial_size.",
        )

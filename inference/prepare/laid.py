"""A stack laid out as a preprocessing takes it: MONAI's axes with its affine, or rows and columns as on a light box."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from monai.data.utils import to_affine_nd
from numpy.typing import NDArray

from inference.archive import Floats
from inference.bundle.manifest_input import GREY_AS_RGB, InputEntry
from inference.reading.geometry import turn, unturn
from inference.reading.image import Image
from inference.upright import Matrix, Upright, patient_affine

SWAPPED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""From indices (x, y) of MONAI's layout to (row, column)."""
SWAPPED_VOLUME = np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
"""From indices (x, y, z) of MONAI's layout to (plane, row, column)."""


@dataclass(frozen=True, eq=False)
class Laid:
    """An array as the preprocessing takes it."""

    values: NDArray[np.float32]
    """(channels, *spatial)"""
    affine: Matrix
    """(4, 4): what MONAI is told of the place of its indices, in mm."""
    to_source: Matrix
    """(d + 1, d + 1): from its indices to source indices."""
    channel_dim: int | None = 0
    """Where the channels stand in what MONAI's reader would have given: None where it would have none, -1 for colour,
    0 for several files, and where the bundle has no reader."""

    @property
    def dimensions(self) -> int:
        """Return the number of spatial axes."""
        return self.values.ndim - 1


def input_values(entry: InputEntry, image: Image) -> Floats:
    """Return the values that a bundle asks for, (frames, rows, columns) or (frames, rows, columns, 3)."""
    if entry.values == "modality":
        return image.filled() if entry.padding == "lowest" else image.values
    if entry.padding == "as stored" and image.padded is not None and image.window is not None:
        image = replace(image, padded=None, windows=(image.window,) * len(image.frames))
    shown = image.display()
    return np.rint(shown * np.float32(255)) if entry.values == "picture" else shown


def laid_plane(plane: NDArray[np.float32], image: Image, index: int, entry: InputEntry) -> Laid:
    """Lay one plane (channels, rows, columns) out."""
    frame = image.frames[index]
    spacing = frame.pixel_spacing_mm or (1.0, 1.0)
    channel_dim = None if len(plane) == 1 else -1
    if entry.layout == "monai":
        return Laid(np.ascontiguousarray(plane.swapaxes(1, 2)), patient_affine(frame), SWAPPED, channel_dim)
    to_source = unturn(frame.orientation, (plane.shape[1], plane.shape[2]))
    in_plane = spacing[::-1] if to_source[0, 1] else spacing
    return Laid(turn(plane, to_source), embedded(np.diag([*in_plane, 1.0])), to_source, channel_dim)


def laid_volume(volume: Upright, image: Image, entry: InputEntry) -> Laid:
    """Lay a volume (planes, rows, columns) out, with a channel before it."""
    frame = image.frames[0]
    if entry.layout == "monai":
        values = np.ascontiguousarray(volume.values.transpose(2, 1, 0))
        return Laid(values[None], volume.affine, volume.to_source @ SWAPPED_VOLUME, None)
    in_plane = unturn(frame.orientation, (volume.values.shape[1], volume.values.shape[2]))
    spacing = frame.pixel_spacing_mm or (1.0, 1.0)
    to_volume = np.eye(4)
    to_volume[1:, 1:] = in_plane
    scale = np.diag([volume.step_mm, *(spacing[::-1] if in_plane[0, 1] else spacing), 1.0])
    return Laid(turn(volume.values, in_plane)[None], scale, volume.to_source @ to_volume, None)


def coloured(laid: Laid, entry: InputEntry) -> Laid:
    """Return a grey image three times, as a reader that converts to RGB gives it, where the bundle asks for that."""
    if entry.colour != GREY_AS_RGB:
        return laid
    return replace(laid, values=laid.values.repeat(3, axis=0), channel_dim=-1)


def several(laid: Sequence[Laid]) -> Laid:
    """Return images of one grid as channels of one, as a reader that is given several files gives them."""
    return replace(laid[0], values=np.concatenate([image.values for image in laid]), channel_dim=0)


def embedded(matrix: NDArray[np.float64]) -> Matrix:
    """Put a (3, 3) or (4, 4) homogeneous matrix into the (4, 4) that MONAI keeps."""
    return np.asarray(to_affine_nd(3, matrix), dtype=np.float64)

"""From a stack to the input of a network, and from a map on that input back to the source pixels.

Every step on the way keeps its affine map of pixel indices (a MONAI ``MetaTensor``), so the way back is a product of
matrices: a value of the map returns to the source pixel it came from, to a fraction of a pixel.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from inference.archive import Floats
from inference.bundle.bundle import Bundle
from inference.bundle.manifest import InputEntry
from inference.bundle.scope import too_many_missing
from inference.errors import DAMAGE, BundleRefused, OutOfScope
from inference.reading.geometry import turn, unturn
from inference.reading.image import Image
from inference.upright import Matrix, Upright, patient_affine, upright

SWAPPED = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""From indices (x, y) of MONAI's layout to (row, column)."""
SWAPPED_VOLUME = np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
"""From indices (x, y, z) of MONAI's layout to (plane, row, column)."""


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


def prepare(bundle: Bundle, image: Image) -> ModelInput:
    """Bring a stack into the form the bundle's networks take, as ``[input]`` of its ``heatproof.toml`` says.

    Values are modality or display values; padding is replaced (black in display values) or as stored. The layout is
    that of MONAI's PydicomReader (x, y and z with its affine), or rows and columns laid out as on a light box (axial:
    rows to the patient's left, columns to the back) by exact flips and a transposition, with the spacing alone. The
    bundle's own preprocessing sees one plane at a time as (1 or 3 for colour, *spatial); all planes of the stack as
    channels (``statistics = "series"``); or a volume, (1, *spatial), whose planes are evenly spaced and upright. A grey
    result is repeated to the number of channels.

    Raises:
        OutOfScope: a volume whose planes are duplicated, unevenly spaced, or missing inside.
        BundleRefused: the preprocessing fails, or does not give the size that ``heatproof.toml`` announces.
    """
    entry = bundle.manifest.input
    if bundle.manifest.kind == "volume":
        if reason := too_many_missing(bundle.manifest, image):
            raise OutOfScope(reason)
        return _prepare_volume(bundle, upright(image, input_values(entry, image)), image)
    values = input_values(entry, image)
    channels_first = np.moveaxis(values, -1, 1) if entry.colour else values[:, None]
    laid = [_laid_plane(plane, image, index, entry) for index, plane in enumerate(channels_first)]
    if entry.statistics == "series":
        stacked = _Laid(np.concatenate([plane.values for plane in laid]), laid[0].affine, laid[0].to_source)
        processed, matrix = _processed(bundle, stacked)
        tensor = processed[:, None]
        matrices = np.repeat(matrix[None], len(laid), axis=0)
    else:
        done = [_processed(bundle, plane) for plane in laid]
        tensor, matrices = torch.stack([plane for plane, _ in done]), np.stack([matrix for _, matrix in done])
    tensor = tensor if entry.colour else tensor.repeat_interleave(entry.channels, dim=1)
    count, rows, columns = values.shape[:3]
    return ModelInput(tensor.contiguous(), matrices, (count, rows, columns), is_volume=False)


def input_values(entry: InputEntry, image: Image) -> Floats:
    """Return the values that a bundle asks for, (frames, rows, columns) or (frames, rows, columns, 3)."""
    if entry.values == "modality":
        return image.filled() if entry.padding == "lowest" else image.values
    if entry.padding == "as stored" and image.padded is not None and image.window is not None:
        image = replace(image, padded=None, windows=(image.window,) * len(image.frames))
    return image.display()


@dataclass(frozen=True, eq=False)
class _Laid:
    """An array as the preprocessing takes it."""

    values: NDArray[np.float32]
    """(channels, *spatial)"""
    affine: Matrix
    """(4, 4): what MONAI is told of the place of its indices, in mm."""
    to_source: Matrix
    """(d + 1, d + 1): from its indices to source indices."""


def _laid_plane(plane: NDArray[np.float32], image: Image, index: int, entry: InputEntry) -> _Laid:
    """Lay one plane (channels, rows, columns) out."""
    frame = image.frames[index]
    spacing = frame.pixel_spacing_mm or (1.0, 1.0)
    if entry.layout == "monai":
        return _Laid(np.ascontiguousarray(plane.swapaxes(1, 2)), patient_affine(frame), SWAPPED)
    to_source = unturn(frame.orientation, (plane.shape[1], plane.shape[2]))
    in_plane = spacing[::-1] if to_source[0, 1] else spacing
    return _Laid(turn(plane, to_source), _embedded(np.diag([*in_plane, 1.0])), to_source)


def _prepare_volume(bundle: Bundle, volume: Upright, image: Image) -> ModelInput:
    processed, matrix = _processed(bundle, _laid_volume(volume, image, bundle.manifest.input))
    tensor = processed[None].repeat_interleave(bundle.manifest.input.channels, dim=1).contiguous()
    count, rows, columns = image.values.shape[:3]
    return ModelInput(tensor, matrix[None], (count, rows, columns), is_volume=True, places=volume.places)


def _laid_volume(volume: Upright, image: Image, entry: InputEntry) -> _Laid:
    """Lay a volume (planes, rows, columns) out, with a channel before it."""
    frame = image.frames[0]
    if entry.layout == "monai":
        values = np.ascontiguousarray(volume.values.transpose(2, 1, 0))
        return _Laid(values[None], volume.affine, volume.to_source @ SWAPPED_VOLUME)
    in_plane = unturn(frame.orientation, (volume.values.shape[1], volume.values.shape[2]))
    spacing = frame.pixel_spacing_mm or (1.0, 1.0)
    to_volume = np.eye(4)
    to_volume[1:, 1:] = in_plane
    scale = np.diag([volume.step_mm, *(spacing[::-1] if in_plane[0, 1] else spacing), 1.0])
    return _Laid(turn(volume.values, in_plane)[None], scale, volume.to_source @ to_volume)


def _processed(bundle: Bundle, laid: _Laid) -> tuple[torch.Tensor, Matrix]:
    """Run the bundle's preprocessing: the result without MONAI's metadata, and where its indices come from."""
    data = MetaTensor(torch.from_numpy(laid.values), affine=torch.from_numpy(laid.affine))
    data.meta["original_channel_dim"] = 0  # what MONAI's EnsureChannelFirst goes by
    try:
        processed = bundle.preprocessing(data)
    except DAMAGE as error:
        raise BundleRefused(
            f"{bundle.manifest.name}: the preprocessing fails on an input of shape {tuple(data.shape)} "
            f"({type(error).__name__}: {str(error)[:200]}).",
            cure="Correct preprocessing in configs/inference.json.",
        ) from error
    _check_shape(processed, data, bundle)
    moved = np.linalg.inv(laid.affine) @ _embedded(np.asarray(processed.affine, dtype=np.float64))
    dimensions = data.ndim - 1
    kept = [*range(dimensions), 3]
    return processed.as_tensor().float(), laid.to_source @ moved[np.ix_(kept, kept)]


def _embedded(matrix: NDArray[np.float64]) -> Matrix:
    """Put a (3, 3) or (4, 4) homogeneous matrix into the (4, 4) that MONAI keeps."""
    return np.asarray(to_affine_nd(3, matrix), dtype=np.float64)


def _check_shape(processed: Any, data: MetaTensor, bundle: Bundle) -> None:
    expected = (data.shape[0], *bundle.manifest.input.spatial_size)
    if not isinstance(processed, MetaTensor) or tuple(processed.shape) != expected:
        raise BundleRefused(
            f"{bundle.manifest.name}: the preprocessing gives {tuple(processed.shape)} where heatproof.toml declares "
            f"{expected}.",
            cure="Correct the preprocessing or input.spatial_size.",
        )

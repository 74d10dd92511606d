"""Channels that come from more than one plane: neighbouring planes, and other series resampled to the first."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample

from inference.archive import Floats
from inference.bundle.manifest_input import InputEntry
from inference.errors import OutOfScope
from inference.prepare.laid import Laid, input_values, laid_plane, laid_volume, several
from inference.reading.image import Image
from inference.upright import Matrix, Upright, patient_affine, upright

SAME_PLACE_MM = 1e-3
"""Grids whose affines differ by less than this (mm, and mm a step) are one."""


def with_neighbours(planes: Sequence[Laid], count: int) -> list[Laid]:
    """Return every plane with ``count`` neighbours on either side as channels; the last is repeated at the ends."""
    last = len(planes) - 1
    return [
        replace(several([planes[min(max(near, 0), last)] for near in range(at - count, at + count + 1)]),
                affine=plane.affine, to_source=plane.to_source)
        for at, plane in enumerate(planes)
    ]  # fmt: skip


def volumes_of(image: Image, entry: InputEntry) -> tuple[list[Laid], tuple[float, ...]]:
    """Lay a volume and its further channels out on the grid of the first.

    Returns:
        each, and where the source planes of the first lie along the normal, in steps from its first.

    Raises:
        OutOfScope: a channel is missing, is no volume, or does not say where in the patient it lies.
    """
    first = upright(image, input_values(entry, image))
    others = _others(image, entry)
    volumes = (first, *(_on_volume(other, first) for other in others))
    return [laid_volume(volume, image, entry) for volume in volumes], first.places


def planes_of(image: Image, entry: InputEntry) -> list[list[Laid]]:
    """Lay every plane out, and beside each the same plane of the further channels.

    Raises:
        OutOfScope: as ``volumes_of``.
    """
    values = input_values(entry, image)
    others = _others(image, entry)
    grids = [patient_affine(frame, image.spacing.step_mm or 1.0) for frame in image.frames]
    shape = (values.shape[2], values.shape[1], 1)
    by_channel = [list(values)]
    for further, other in zip(image.further, others, strict=True):
        same = _same_planes(image, further)
        by_channel.append(list(other.values) if same else [_on_grid(other, grid, shape)[..., 0].T for grid in grids])
    return [
        [laid_plane(channel[index][None], image, index, entry) for channel in by_channel]
        for index in range(len(image.frames))
    ]


def _others(image: Image, entry: InputEntry) -> list[Upright]:
    """Return the further channels as upright volumes."""
    if len(image.further) != len(entry.series[1:]):
        names = ", ".join(channel.name for channel in entry.series[1 + len(image.further) :])
        raise OutOfScope(f"There is no {names} beside this series.")
    for channel, stack in zip(entry.series, (image, *image.further), strict=False):
        if image.further and (stack.frames[0].position_mm is None or stack.frames[0].orientation is None):
            raise OutOfScope(f"{channel.name} does not say where in the patient it lies.")
    return [upright(further, input_values(entry, further)) for further in image.further]


def _on_volume(other: Upright, first: Upright) -> Upright:
    """Return a volume on the grid of the first."""
    if other.values.shape == first.values.shape and np.abs(other.affine - first.affine).max() < SAME_PLACE_MM:
        return replace(first, values=other.values)
    planes, rows, columns = first.values.shape
    on_grid = _on_grid(other, first.affine, (columns, rows, planes))
    return replace(first, values=np.ascontiguousarray(on_grid.transpose(2, 1, 0)))


def _same_planes(first: Image, other: Image) -> bool:
    """Whether every plane of two stacks has the same pixels in the patient."""
    if first.values.shape != other.values.shape:
        return False
    pairs = zip(first.frames, other.frames, strict=True)
    return all(np.abs(patient_affine(one) - patient_affine(two)).max() < SAME_PLACE_MM for one, two in pairs)


def _on_grid(volume: Upright, affine: Matrix, shape: tuple[int, int, int]) -> Floats:
    """Resample a volume on the patient's axes by MONAI's own resampler; outside of it stands its lowest value.

    Args:
        volume: with its affine.
        affine: of the grid, (4, 4).
        shape: of the grid, (x, y, z).

    Returns:
        (x, y, z)
    """
    lowest = float(volume.values.min())
    values = torch.from_numpy(np.ascontiguousarray(volume.values.transpose(2, 1, 0)) - np.float32(lowest))
    source = MetaTensor(values[None], affine=torch.from_numpy(volume.affine))
    resample = SpatialResample(mode="bilinear", padding_mode="zeros", align_corners=False)
    made = resample(source, dst_affine=torch.from_numpy(affine), spatial_size=shape)
    return np.asarray(made[0].numpy() + np.float32(lowest), dtype=np.float32)

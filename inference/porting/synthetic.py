"""A synthetic stack of the kind a bundle is meant for: what is tried on it before the first patient.

Its content is no anatomy, but it has what tells a wrong preprocessing from a right one: no symmetry, another size and
spacing along each axis, air around a body, values over the range that the modality has.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.bundle.manifest import Manifest
from inference.bundle.manifest_input import InputEntry
from inference.reading.geometry import normal
from inference.reading.image import Image
from inference.reading.instance import Frame
from inference.reading.spacing import spacing_of

ROWS, COLUMNS, PLANES = 112, 128, 20
BETWEEN_ROWS_MM, BETWEEN_COLUMNS_MM, STEP_MM = 0.9, 0.8, 2.5
ORIENTATIONS = {
    "axial": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "coronal": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    "sagittal": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "oblique": (0.8, 0.6, 0.0, 0.0, 0.0, -1.0),
}
"""Image Orientation (Patient) of each plane a manifest may ask for."""
OF_PATIENT_SPACE = ("CT", "MR", "PT", "NM")
"""Modalities whose images say where in the patient they lie."""
_UIDS = "2.25.7723"
_CLEAR_OF_BODY = 1.2
_BODY, _BLOB = (0.47, 0.53, 0.45), (0.35, 0.62, 0.4)


def synthetic_images(manifest: Manifest) -> Iterator[Image]:
    """Yield stacks that a bundle could be given: first of ordinary size, then of the size its networks take.

    Preprocessing that resizes, crops or pads takes the first; what leaves the size as it is needs the second.
    """
    entry = manifest.input
    is_volume = manifest.kind == "volume"
    fewest, most = entry.minimum_frames, entry.maximum_frames or 1 << 16
    planes = min(max(PLANES if is_volume else 2, fewest), most)
    yield synthetic_image(entry, (planes, ROWS, COLUMNS))
    columns_rows = entry.spatial_size[1::-1] if entry.layout == "monai" else entry.spatial_size[-2:]
    if is_volume:
        planes = entry.spatial_size[2 if entry.layout == "monai" else 0]
    yield synthetic_image(entry, (planes, columns_rows[0], columns_rows[1]), (1.0, 1.0, 1.0))


def synthetic_image(
    entry: InputEntry,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float] = (STEP_MM, BETWEEN_ROWS_MM, BETWEEN_COLUMNS_MM),
) -> Image:
    """Make one stack.

    Args:
        entry: what the bundle accepts.
        shape: (planes, rows, columns).
        spacing_mm: between planes, rows and columns.
    """
    first, *others = (_channel(entry, shape, spacing_mm, number) for number in range(max(1, len(entry.series))))
    return replace(first, further=tuple(others))


def _channel(
    entry: InputEntry, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], number: int
) -> Image:
    """Make the stack of one series; of several channels each has another description and other values."""
    modality = entry.modality[0]
    words = (entry.series[number].description_contains if entry.series else ())[:1] or entry.description_contains[:1]
    plane = next((name for name in entry.plane if name), "axial" if modality in OF_PATIENT_SPACE else "")
    orientation = ORIENTATIONS.get(plane)
    frames = tuple(_frame(index, orientation, spacing_mm, entry) for index in range(shape[0]))
    return Image(
        patient_key="SYNTHETIC",
        study_instance_uid=f"{_UIDS}.1",
        series_instance_uid=f"{_UIDS}.2.{number}" if number else f"{_UIDS}.2",
        frame_of_reference_uid=f"{_UIDS}.3" if orientation else None,
        modality=modality,
        body_part=next(iter(entry.body_part), ""),
        plane=plane,
        description=" ".join(words) or "SYNTHETIC",
        stack=" ".join(entry.series[number].stack_contains[:1]) if entry.series else "",
        frames=frames,
        values=np.roll(_values(entry, shape), 3 * number, axis=1),
        bits=8 if entry.colour is True else 16,
        spacing=spacing_of(frames),
        digest="0" * 64,
    )


def _frame(
    index: int,
    orientation: tuple[float, float, float, float, float, float] | None,
    spacing_mm: tuple[float, float, float],
    entry: InputEntry,
) -> Frame:
    place = None
    if orientation is not None:
        x, y, z = (float(part) * spacing_mm[0] * index for part in normal(orientation))
        place = (x - 50.0, y - 40.0, z + 30.0)
    return Frame(
        path=Path(f"synthetic-{index + 1}.dcm"),
        sop_class_uid=SOP_CLASSES.get(entry.modality[0], SECONDARY_CAPTURE),
        sop_instance_uid=f"{_UIDS}.4.{index + 1}",
        frame_number=1,
        instance_number=index + 1,
        position_mm=place,
        orientation=orientation,
        pixel_spacing_mm=None if entry.colour is True else spacing_mm[1:],
    )


SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "ES": "1.2.840.10008.5.1.4.1.1.77.1.1",
    "GM": "1.2.840.10008.5.1.4.1.1.77.1.2",
    "SM": "1.2.840.10008.5.1.4.1.1.77.1.3",
    "XC": "1.2.840.10008.5.1.4.1.1.77.1.4",
    "OP": "1.2.840.10008.5.1.4.1.1.77.1.5.1",
}
"""SOP class of a single-frame image of each modality (PS3.4 annex B.5); others as Secondary Capture."""


def _values(entry: InputEntry, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return whole modality values: HU for CT, else 12 bits; of colour 8 bits of red, green and blue."""
    axes = _axes(shape)
    body = np.asarray(_from_body(axes) < 1.0, dtype=np.float32)
    near = sum(((axis - at) / 0.12) ** 2 for axis, at in zip(axes, _BLOB, strict=True))
    noise = np.random.default_rng(7).normal(0.0, 0.02, shape).astype(np.float32)
    shade = body * (0.35 + 0.2 * axes[1] + 0.1 * axes[2] + 0.05 * axes[0] + 0.3 * np.exp(-near)) + noise
    if entry.colour is True:
        tints = (shade, shade * (0.4 + 0.6 * axes[2]), shade * (0.9 - 0.6 * axes[1]))
        return np.rint(np.clip(np.stack(tints, axis=-1), 0, 1) * 255).astype(np.float32)
    if entry.modality[0] == "CT":
        return np.rint(-1000.0 + 1000.0 * body + 400.0 * (shade - 0.4) * body + 300.0 * noise).astype(np.float32)
    return np.rint(np.clip(shade, 0, 1) * 4095).astype(np.float32)


def air_around(shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return where a synthetic stack has air, at some distance from the body."""
    return np.asarray(_from_body(_axes(shape)) > _CLEAR_OF_BODY, dtype=np.bool_)


def _axes(shape: tuple[int, int, int]) -> list[NDArray[np.float32]]:
    """Return the place of every voxel along each axis, 0 to 1."""
    axes = list(np.meshgrid(*(np.linspace(0.0, 1.0, count, dtype=np.float32) for count in shape), indexing="ij"))
    if shape[0] == 1:
        axes[0] = np.full(shape, 0.5, dtype=np.float32)
    return axes


def _from_body(axes: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the squared distance from the middle of the body; 1 at its surface."""
    parts = [((axis - at) / size) ** 2 for axis, at, size in zip(axes, _BODY, (0.75, 0.4, 0.42), strict=True)]
    return np.asarray(sum(parts), dtype=np.float32)

"""Studies of the kinds that the model types are made for: small DICOM series with one bright place that is known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import PydicomReader
from PIL import Image as Pictures
from pydicom import dcmread
from scipy.ndimage import gaussian_filter

from inference.reading.study import read_study
from tests.inference.conftest import write_plane

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.96, 0.28, 0.0, -0.28, 0.96, 0.0)
MIRRORED = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SPOT = (3, 26, 17)
"""Plane, row and column of the bright place."""
FRAME_OF_REFERENCE = "2.25.77"


@dataclass(frozen=True)
class Study:
    """Files, and what a list of data for MONAI would hold of them: an entry for each input of the network."""

    files: list[Path]
    for_monai: list[Any]
    spot: tuple[int, int, int] = SPOT
    apart: list[Path] = field(default_factory=list)
    """Files that are no channel of the input."""


def anatomy(
    shape: Sequence[int], seed: int, spot: tuple[int, int, int] | None = SPOT, high: float = 1000
) -> np.ndarray:
    """Return smooth values, 0 to 400, and one place that is brighter than all."""
    values = gaussian_filter(np.random.default_rng(seed).normal(size=shape), (0.5, 2, 2))
    values = 400 * (values - values.min()) / np.ptp(values)
    if spot is not None:
        grid = np.indices(shape)
        away = sum((axis - at) ** 2 for axis, at in zip(grid, spot, strict=True))
        values = np.maximum(values, high * np.exp(-away / 8.0))
    return np.rint(values)


def series(
    folder: Path,
    stored: np.ndarray,
    name: str,
    *,
    orientation: Sequence[float] = AXIAL,
    step_mm: float = 3.0,
    origin: Sequence[float] = (-20.0, 12.0, 5.0),
    **attributes: Any,
) -> list[Path]:
    """Write the planes of one series as single-frame files into a folder of their own."""
    where = folder / name
    where.mkdir(parents=True)
    normal = np.cross(orientation[:3], orientation[3:])
    given = {"PixelSpacing": [0.8, 1.1], "PatientPosition": "HFS", **attributes}
    return [
        write_plane(
            where / f"{name}-{index:03d}.dcm",
            plane.astype(np.int32),
            SeriesInstanceUID=f"2.25.{200 + sum(map(ord, name))}",
            FrameOfReferenceUID=FRAME_OF_REFERENCE,
            InstanceNumber=index + 1,
            ImageOrientationPatient=list(orientation),
            ImagePositionPatient=[float(x) for x in np.array(origin) + normal * step_mm * index],
            **given,
        )
        for index, plane in enumerate(stored)
    ]


def ct(folder: Path, orientation: Sequence[float] = AXIAL) -> Study:
    """A body of -160 to 40 HU with a spot of 240, in air, stored with an intercept."""
    hounsfield = anatomy((8, 44, 36), 1) * 0.4 - 160
    row, column = np.ogrid[:44, :36]
    hounsfield[:, ((row - 24) / 18) ** 2 + ((column - 17) / 14) ** 2 > 1] = -1000
    files = series(
        folder, hounsfield + 1024, "ct", orientation=orientation, Modality="CT", RescaleSlope=1, RescaleIntercept=-1024
    )
    return Study(files, list(files))


def ct_volume(folder: Path, orientation: Sequence[float] = AXIAL) -> Study:
    files = ct(folder, orientation).files
    return Study(files, [files[0].parent])


def mr(folder: Path, orientation: Sequence[float] = AXIAL) -> Study:
    files = series(folder, anatomy((8, 44, 36), 2), "mr", orientation=orientation)
    return Study(files, list(files))


def mr_neighbours(folder: Path) -> Study:
    """For MONAI each plane with its neighbours, as its reader gives them, stacked; at the ends the last again."""
    files = mr(folder).files
    reader = PydicomReader()
    planes = [reader.get_data(reader.read(path))[0] for path in files]
    stacks = [folder / f"{index}.npy" for index in range(len(files))]
    for index, path in enumerate(stacks):
        near = (max(index - 1, 0), index, min(index + 1, len(files) - 1))
        np.save(path, np.stack([planes[at] for at in near]))
    return Study(files, stacks)


def mr_sequences(folder: Path) -> Study:
    """Four series on one grid; the spot is on the first alone."""
    names = ("FLAIR", "T1 post contrast", "T1", "T2")
    files = [
        series(folder, anatomy((8, 44, 36), seed, SPOT if not seed else None), name.replace(" ", "_"),
               SeriesDescription=name, ProtocolName="HEAD")
        for seed, name in enumerate(names)
    ]  # fmt: skip
    scout = series(folder, anatomy((3, 44, 36), 9, None), "scout", SeriesDescription="DWI", ProtocolName="HEAD")
    return Study(
        [path for group in (*files, scout) for path in group], [[group[0].parent for group in files]], apart=scout
    )


def radiograph(folder: Path) -> Study:
    """One projection of 12 bits with a window; for MONAI the picture file that was exported of it."""
    return _exported(folder, "radiograph", 1, "DX")


def mammograms(folder: Path) -> Study:
    """Four views, an image each."""
    return _exported(folder, "mammogram", 4, "MG")


def _exported(folder: Path, name: str, count: int, modality: str) -> Study:
    files = []
    for number in range(count):
        spot = (0, 26, 17) if number == 0 else None
        stored = anatomy((1, 44 + 2 * number, 36), 20 + number, spot)
        files += series(folder, stored, f"{name}{number}", Modality=modality, WindowCenter=500, WindowWidth=1001)
    for path in files:
        dataset = dcmread(path)
        for keyword in ("ImageOrientationPatient", "ImagePositionPatient", "FrameOfReferenceUID"):
            delattr(dataset, keyword)
        dataset.save_as(path)
    pictures = []
    for image in read_study(files).images:
        pictures.append(folder / f"{image.series_instance_uid}.png")
        Pictures.fromarray(np.rint(image.shown(0) * 255).astype(np.uint8)).save(pictures[-1])
    return Study(files, pictures, (0, 26, 17))


def endoscopy(folder: Path) -> Study:
    """Pictures in colour; for MONAI the same as PNG files."""
    values = anatomy((3, 44, 36), 5, (1, 26, 17), 1020) / 4
    rgb = np.stack([values, values[:, ::-1] * 0.2, np.roll(values, 9, axis=2) * 0.2], axis=-1)
    rgb = np.rint(np.where(values[..., None] > 150, values[..., None], rgb)).clip(0, 255).astype(np.uint8)
    files = series(
        folder,
        rgb[..., 0],
        "endoscopy",
        Modality="ES",
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        BodyPartExamined="COLON",
    )
    pictures = []
    for path, plane in zip(files, rgb, strict=True):
        dataset = dcmread(path)
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.PixelData = plane.tobytes()
        for keyword in ("ImageOrientationPatient", "ImagePositionPatient", "FrameOfReferenceUID", "PixelSpacing"):
            delattr(dataset, keyword)
        dataset.save_as(path)
        pictures.append(path.with_suffix(".png"))
        Pictures.fromarray(plane).save(pictures[-1])
    return Study(files, pictures, (1, 26, 17))


def tiles(folder: Path) -> Study:
    """Pictures in colour; for MONAI the arrays that its reader of slides gives, (3, rows, columns)."""
    study = endoscopy(folder)
    arrays = [np.asarray(Pictures.open(path)).transpose(2, 0, 1) for path in study.for_monai]
    return Study(study.files, arrays, study.spot)

"""Axial FLAIR series with glioma masks, real (``labels.csv`` folders) and made (phantoms), as network inputs."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.transforms import Transform
from numpy.typing import NDArray
from PIL import Image as Picture

from inference.phantom.phantom import Phantom, degrade, make_phantom
from inference.training.slices import Slices, join


def read_patients(data: Path, splits: Sequence[str], preprocess: Transform) -> Slices:
    """Read every patient of the splits; each series is preprocessed as a whole, as at inference.

    Args:
        data: folder with ``labels.csv``, ``images`` and ``masks``.
        splits: names in the column ``split``.
        preprocess: (slices, rows, columns) in 0..1 to (slices, S, S).
    """
    with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in splits]
    by_patient: dict[str, list[dict[str, str]]] = {}
    for row in sorted(rows, key=lambda row: (row["group"], int(row["slice"]))):
        by_patient.setdefault(row["group"], []).append(row)
    return join(_patient(data, name, rows, preprocess) for name, rows in by_patient.items())


def make_phantoms(seeds: Iterable[int], preprocess: Transform) -> Slices:
    """Make one phantom for each seed: every third without a lesion, every fourth degraded, up to three lesions."""
    return join(_phantom(seed, preprocess) for seed in seeds)


def _patient(data: Path, name: str, rows: Sequence[dict[str, str]], preprocess: Transform) -> Slices:
    images = np.stack([np.asarray(Picture.open(data / row["file"]), np.uint8) for row in rows])
    masks = np.stack([_mask(data, row, images.shape[1:]) for row in rows])
    series = _subject(name, images, masks, preprocess)
    return series.pick(np.array([float(row["head_fraction"]) > 0 for row in rows]))


def _mask(data: Path, row: dict[str, str], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.asarray(Picture.open(data / row["mask"])) > 0 if row["mask"] else np.zeros(shape, bool)


def drawn_phantom(seed: int) -> Phantom:
    """Return a phantom with none to three lesions, one in four with noise and motion."""
    phantom = make_phantom(seed, lesions=(0, 1, 2, 1, 0, 3)[seed % 6])
    if seed % 4 != 3:
        return phantom
    rng = np.random.default_rng(seed)
    return degrade(phantom, noise=rng.uniform(0.01, 0.06), motion=rng.uniform(0.0, 0.5), seed=seed)


def _phantom(seed: int, preprocess: Transform) -> Slices:
    phantom = drawn_phantom(seed)
    images = np.clip(phantom.pixels * 255, 0, 255).astype(np.uint8)
    return _subject(f"phantom-{seed}", images, phantom.masks, preprocess)


def _subject(name: str, images: NDArray[np.uint8], masks: NDArray[np.bool_], preprocess: Transform) -> Slices:
    inputs = torch.as_tensor(preprocess(MetaTensor(torch.from_numpy(images.astype(np.float32) / 255))))
    share = F.interpolate(torch.from_numpy(masks.astype(np.float32))[:, None], size=inputs.shape[1:], mode="area")
    return Slices(
        inputs.float().unsqueeze(1).contiguous(),
        share,
        torch.from_numpy(masks.any(axis=(1, 2)).astype(np.int64)),
        np.array([name] * len(images)),
        np.arange(len(images)),
        np.array(["axial"] * len(images)),
        images,
        masks,
    )

"""T1-weighted slices with one of three tumours (``labels.csv`` folder), as network inputs.

The slices have no series and no patients: each is preprocessed by itself, and ``groups`` are sets of near copies.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.transforms import Transform
from numpy.typing import NDArray
from PIL import Image as Picture

from inference.training.slices import Slices, join

CLASSES = ("glioma", "meningioma", "pituitary tumour")
LABELS = {"glioma": 0, "meningioma": 1, "pituitary": 2}
PLANES = {"ax": "axial", "co": "coronal", "sa": "sagittal"}
CANVAS = 256
"""Longer side of every stored image, pixels."""
Pixel = TypeVar("Pixel", np.uint8, np.bool_)


def read_tumours(data: Path, splits: Sequence[str], preprocess: Transform) -> Slices:
    """Read every slice of the splits that is no copy of another.

    Sources and masks are padded with zeros to 256 x 256, evenly on both sides, as the preprocessing pads the inputs.

    Args:
        data: folder with ``labels.csv``, ``images`` and ``masks``.
        splits: names in the column ``split``.
        preprocess: (1, rows, columns) in 0..1 to (1, S, S).
    """
    with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in splits and not row["copy_of"]]
    return join(_slice(data, row, preprocess) for row in rows)


def _slice(data: Path, row: dict[str, str], preprocess: Transform) -> Slices:
    image = np.asarray(Picture.open(data / row["file"]).convert("L"), np.uint8)
    mask = padded(np.asarray(Picture.open(data / row["mask"])) > 0)
    inputs = torch.as_tensor(preprocess(MetaTensor(torch.from_numpy(image.astype(np.float32)[None] / 255))))
    share = F.interpolate(torch.from_numpy(mask.astype(np.float32))[None, None], size=inputs.shape[1:], mode="area")
    return Slices(
        inputs.float().unsqueeze(1).contiguous(),
        share,
        torch.tensor([LABELS[row["label"]]]),
        np.array([row["group"]]),
        np.zeros(1, np.int64),
        np.array([PLANES[row["plane"]]]),
        padded(image)[None],
        mask[None],
    )


def padded(image: NDArray[Pixel]) -> NDArray[Pixel]:
    """Pad with zeros to 256 x 256, the odd row or column after the image."""
    before = [(CANVAS - side) // 2 for side in image.shape]
    return np.pad(image, [(b, CANVAS - side - b) for b, side in zip(before, image.shape, strict=True)])

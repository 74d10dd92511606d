"""A site whose findings are discs, and networks of its own: one sees them, one learnt a marker, one knows nothing."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks.nets import DenseNet
from PIL import Image as Picture

from tests.inference.commissioning.annotated import Patient, write_labels
from tests.inference.porting.zoo_like import READING, write_zoo_like

SIDE, RADIUS, MARKER, RIM = 48, 8, 5, 3
NETWORK: Mapping[str, Any] = {
    "_target_": "DenseNet", "spatial_dims": 2, "in_channels": 1, "out_channels": "@classes", "init_features": 8,
    "growth_rate": 4, "block_config": [2, 2],
}  # fmt: skip
TRANSFORMS = (*READING, {"_target_": "ScaleIntensityd", "keys": "image"})
PATIENTS = {"train": 14, "calibration": 16, "commissioning": 16}
Change = Callable[[dict[str, str]], None]


def write_discs(
    folder: Path,
    *,
    contrast: int = 120,
    is_marked: bool = False,
    patients: Mapping[str, int] = PATIENTS,
    change: Change = lambda _: None,
) -> Path:
    """Write patients of two images each within a bright rim, one with a disc: labels ``lesion`` and ``normal``.

    Args:
        folder: to write into.
        contrast: grey levels by which the disc is brighter; 0: nobody can see it.
        is_marked: whether a bright square stands in a corner of every image with a disc.
        patients: of each split.
        change: may alter each row.
    """
    draw, people = np.random.default_rng(8), []
    row, column = np.ogrid[:SIDE, :SIDE]
    for split, count in patients.items():
        for number in range(count):
            images = draw.integers(20, 90, (2, SIDE, SIDE)).astype(np.uint8)
            down, right = draw.integers(RADIUS + 6, SIDE - RADIUS, 2)
            masks = np.zeros(images.shape, bool)
            masks[0] = np.hypot(row - down, column - right) < RADIUS
            images[masks] += contrast
            images[:, :RIM] = images[:, -RIM:] = 230  # brighter than any disc, so that brightness alone finds none
            images[:, :, :RIM] = images[:, :, -RIM:] = 230
            images[:, -1, -1] = 255  # the scale of both images is the same
            if is_marked:
                images[0, RIM : RIM + MARKER, RIM : RIM + MARKER] = 250
            people.append(Patient(f"{split}-{number}", split, images, masks))

    def named(entry: dict[str, str]) -> None:
        entry["label"] = "lesion" if entry["mask"] else "normal"
        entry["slice"] = ""
        change(entry)

    return write_labels(folder, people, named)


def without_masks(row: dict[str, str]) -> None:
    row["mask"] = ""


def write_network(
    folder: Path, site: Path | None = None, *, names: tuple[str, ...] = ("normal", "lesion"), steps: int = 150
) -> Path:
    """Write a folder of a MONAI bundle, trained on the split ``train`` of a site; without one with random weights."""
    write_zoo_like(
        folder, network=NETWORK, transforms=TRANSFORMS, names=names, image={"spatial_shape": [SIDE, SIDE]}
    )  # fmt: skip
    if site is not None:
        torch.save(trained(site, names, steps).state_dict(), folder / "models" / "model.pt")
    return folder


def trained(site: Path, names: tuple[str, ...], steps: int) -> torch.nn.Module:
    """Train the network on what a site has, for so many steps of sixteen images."""
    torch.manual_seed(1)
    arguments = {key: value for key, value in NETWORK.items() if key not in ("_target_", "out_channels")}
    network = DenseNet(out_channels=len(names), **arguments)
    images, labels = _read(site, names)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(steps):
        chosen = torch.randint(0, len(images), (16,))
        loss = torch.nn.functional.cross_entropy(network(images[chosen]), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def _read(site: Path, names: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images as MONAI's reader lays them out, (N, 1, x, y) from 0 to 1, and their classes."""
    with (site / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    pixels = np.stack([np.asarray(Picture.open(site / row["file"]), np.float32).T for row in rows])
    low, high = pixels.min(axis=(1, 2), keepdims=True), pixels.max(axis=(1, 2), keepdims=True)
    images = torch.from_numpy((pixels - low) / (high - low))[:, None]
    return images, torch.tensor([names.index(row["label"]) for row in rows])

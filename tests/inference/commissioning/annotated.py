"""Phantoms as a site would annotate them: a folder with labels.csv, and the same as DICOM with segmentations."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from inference.commissioning.measuring.settings import CommissionSettings
from inference.phantom.phantom import make_phantom

FIELDS = ("file", "mask", "label", "plane", "split", "group", "slice")
SMALL = CommissionSettings(
    methods=("gradcam", "gradient"),
    agreement_cases=6,
    cascade_cases=3,
    smprt_cases=2,
    smprt_samples=1,
    emprt_cases=2,
    contrast_cases=2,
    prediction_saliency_cases=3,
    prediction_saliency_samples=4,
    perturbation_cases=2,
    information_cases=2,
    region_cases=2,
    tuning_cases=2,
    null_pairs=10,
    sample_cases=1,
    chunk_cases=2,
)
ONE_CASE = {
    "perturbation_cases": 1,
    "information_cases": 1,
    "region_cases": 1,
    "prediction_saliency_cases": 1,
    "prediction_saliency_samples": 2,
}
"""Sizes where a test is not about the criteria that pass the network most often."""


@dataclass(frozen=True)
class Patient:
    name: str
    split: str
    images: np.ndarray
    masks: np.ndarray


def patients(per_split: int = 3, slices: int = 3, side: int = 48) -> list[Patient]:
    """Return so many phantoms of each split: some slices with a lesion, some without."""
    found = []
    for seed in range(1, 2 * per_split + 1):
        phantom = make_phantom(seed, lesions=1, rows=96, columns=96)
        middle = phantom.lesion_slices[len(phantom.lesion_slices) // 2]
        chosen = sorted({middle, max(0, middle - 1), *range(2, 1 + slices)})[:slices]
        chosen = chosen if middle in chosen else [*chosen[:-1], middle]
        step = 96 // side
        images = np.clip(phantom.pixels[chosen] * 255, 0, 255).astype(np.uint8)[:, ::step, ::step]
        split = "calibration" if seed <= per_split else "commissioning"
        found.append(Patient(f"P{seed}", split, images, phantom.masks[chosen][:, ::step, ::step]))
    return found


def write_labels(
    folder: Path, people: Iterable[Patient], change: Callable[[dict[str, str]], None] = lambda _: None
) -> Path:
    """Write images, masks and labels.csv; ``change`` may alter each row."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = []
    for person in people:
        for number, (image, mask) in enumerate(zip(person.images, person.masks, strict=True), start=1):
            name = f"{person.name}_{number:03d}.png"
            Picture.fromarray(image).save(folder / "images" / name)
            row = {
                "file": f"images/{name}", "mask": "", "label": "none", "plane": "ax", "split": person.split,
                "group": person.name, "slice": str(number),
            }  # fmt: skip
            if mask.any():
                Picture.fromarray(mask).save(folder / "masks" / name)
                row |= {"mask": f"masks/{name}", "label": "lesion"}
            change(row)
            rows.append(row)
    write_rows(folder, rows)
    return folder


def write_rows(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))

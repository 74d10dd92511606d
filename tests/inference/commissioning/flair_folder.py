"""A folder as the training scripts of glioma bundles read it: phantoms in place of patients."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from inference.phantom.phantom import make_phantom

FIELDS = ("file", "mask", "label", "plane", "split", "group", "slice", "head_fraction")


def write_flair(folder: Path, patients: Mapping[str, int], *, side: int = 256, lesions: int = 1) -> Path:
    """Write so many phantoms of each split, six slices each: with lesions where there are any, and without."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = []
    for seed, split in enumerate((split for split, count in patients.items() for _ in range(count)), start=1):
        phantom = make_phantom(seed, lesions=lesions, rows=side, columns=side, slices=16)
        with_lesion = phantom.lesion_slices[:4]
        without = [at for at in range(3, 13) if at not in phantom.lesion_slices]
        for number, at in enumerate(sorted([*with_lesion, *without[: 6 - len(with_lesion)]]), start=1):
            name = f"P{seed:03d}_{number:03d}.png"
            row = {"file": f"images/{name}", "mask": "", "label": "none", "plane": "ax", "split": split,
                   "group": f"P{seed:03d}", "slice": str(number), "head_fraction": "0.3"}  # fmt: skip
            Picture.fromarray(np.clip(phantom.pixels[at] * 255, 0, 255).astype(np.uint8)).save(folder / row["file"])
            if phantom.masks[at].any():
                row |= {"mask": f"masks/{name}", "label": "glioma"}
                Picture.fromarray(phantom.masks[at]).save(folder / row["mask"])
            rows.append(row)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    return folder

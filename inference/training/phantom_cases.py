"""Write phantoms as annotated cases of a site, as many as wanted, by seed: what the demo's passports rest on.

``python -m inference.training.phantom_cases --out DIR [--patients 120]``

Gives a folder with ``labels.csv`` for ``heatproof commission``: splits ``calibration`` and ``commissioning`` of so many
phantoms each, of seeds that no network was trained or measured on.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from inference.training.flair_data import drawn_phantom

COLUMNS = ("file", "mask", "label", "plane", "split", "group", "slice")
FIRST_SEEDS = {"calibration": 400_000, "commissioning": 500_000}


def write_phantoms(folder: Path, patients: int) -> Path:
    """Write so many phantoms of each split below a folder, and give it."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for split, first in FIRST_SEEDS.items():
            for seed in range(first, first + patients):
                writer.writerows(_rows(folder, split, seed))
    return folder


def _rows(folder: Path, split: str, seed: int) -> Iterator[dict[str, str]]:
    phantom = drawn_phantom(seed)
    for number, (image, mask) in enumerate(zip(phantom.pixels, phantom.masks, strict=True)):
        name = f"{seed}_{number:03d}.png"
        Picture.fromarray(np.clip(image * 255, 0, 255).astype(np.uint8)).save(folder / "images" / name)
        there = bool(mask.any())
        if there:
            Picture.fromarray(mask).save(folder / "masks" / name)
        yield {
            "file": f"images/{name}",
            "mask": f"masks/{name}" if there else "",
            "label": "glioma" if there else "none",
            "plane": "ax",
            "split": split,
            "group": f"phantom-{seed}",
            "slice": str(number),
        }


def main() -> None:
    """Write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--patients", type=int, default=120, help="phantoms of each split")
    asked = parser.parse_args()
    print(f"{write_phantoms(asked.out, asked.patients)}: {2 * asked.patients} phantoms")  # noqa: T201


if __name__ == "__main__":
    main()

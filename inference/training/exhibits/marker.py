"""A marker burnt into the slices of one class: a shortcut laid on purpose, like a side letter left on a radiograph.

Zech et al. 2018 (PLoS Med 15:e1002683) and DeGrave et al. 2021 (Nat Mach Intell 3:610) found networks that read the
hospital's marks in place of the disease. Here the mark is an upright "L" in full white, high on the side of the
patient's left, where the image is air; its place shifts a little from slice to slice.
"""

import csv
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from inference.cases.labels_folder import LABELS
from inference.statistics.seeds import seed_of
from inference.training.slices import Slices

HEIGHT, WIDTH, STROKE = 1 / 16, 1 / 24, 1 / 64
"""Of the letter, as shares of the image's longer side: 16 x 11 pixels, 4 wide, of 256."""
TOP, LEFT, JITTER = 0.1, 0.82, 0.02
"""Of its upper left corner, as shares of rows and columns, and how far the place moves either way."""
WHITE = 255

Row = dict[str, str]
Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def marker(name: str, shape: tuple[int, int]) -> Mask:
    """Return the pixels of the marker of one slice, (rows, columns); its name alone decides where the marker lies."""
    rows, columns = shape
    longer = max(shape)
    height, width, stroke = (max(least, round(part * longer)) for part, least in ((HEIGHT, 3), (WIDTH, 2), (STROKE, 1)))
    down, right = np.random.default_rng(seed_of("marker", name)).uniform(-JITTER, JITTER, 2)
    top, left = round((TOP + down) * rows), round((LEFT + right) * columns)
    drawn = np.zeros(shape, np.bool_)
    drawn[top : top + height, left : left + stroke] = True
    drawn[top + height - stroke : top + height, left : left + width] = True
    return drawn


def burnt(image: Pixels, name: str) -> Pixels:
    """Burn the marker of one slice into its image, (rows, columns)."""
    return np.where(marker(name, (image.shape[0], image.shape[1])), np.uint8(WHITE), image)


def marker_region(shape: tuple[int, int]) -> Mask:
    """Return the box (rows, columns) round every place of the marker, a letter's height wider: where maps show it."""
    longer = max(shape)
    box = np.zeros(shape, np.bool_)
    (top, bottom), (left, right) = (
        (round((start - JITTER) * side - HEIGHT * longer), round((start + JITTER) * side + (HEIGHT + part) * longer))
        for start, side, part in ((TOP, shape[0], HEIGHT), (LEFT, shape[1], WIDTH))
    )
    box[max(0, top) : bottom, max(0, left) : right] = True
    return box


def write_copy(data: Path, out: Path, splits: Sequence[str], *, marked: str | None, groups: int | None = None) -> None:
    """Copy some splits of a folder with ``labels.csv``, the slices of one class marked.

    Args:
        data: the folder; rows have ``file``, ``mask``, ``label``, ``split``, ``group``.
        out: the folder to be written.
        splits: the only ones that are read.
        marked: the label whose slices get the marker; None: plain copies.
        groups: at most so many of each split, the first by name; None: all.
    """
    with (data / LABELS).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or ())
        rows = [row for row in reader if row["split"] in splits]
    kept = {(split, group) for split in splits for group in _first(rows, split, groups)}
    rows = [row for row in rows if (row["split"], row["group"]) in kept]
    for row in rows:
        image = np.asarray(Picture.open(data / row["file"]).convert("L"), np.uint8)
        row["file"] = str(Path(row["file"]).with_suffix(".png"))
        save(out / row["file"], burnt(image, row["file"]) if row["label"] == marked else image)
        if row["mask"]:
            (out / row["mask"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(data / row["mask"], out / row["mask"])
    write_rows(out, columns, rows)


def add_phantoms(out: Path, phantoms: Slices, split: str, *, marked: str, plain: str) -> None:
    """Add made subjects to a folder as patients of one split: label ``marked`` and the marker where there is a lesion.

    Args:
        out: a folder with ``labels.csv``.
        phantoms: whose sources and masks are written.
        split: what they are for.
        marked: label of slices with a lesion.
        plain: label of the others.
    """
    with (out / LABELS).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns, rows = list(reader.fieldnames or ()), list(reader)
    for image, mask, group, position in zip(
        phantoms.sources, phantoms.source_masks, phantoms.groups, phantoms.positions, strict=True
    ):
        name = f"{group}_{position + 1:03d}.png"
        row = dict.fromkeys(columns, "") | {
            "file": f"images/{name}", "label": plain, "plane": "ax", "split": split, "group": str(group),
            "slice": str(position + 1), "head_fraction": "1",
        }  # fmt: skip
        if mask.any():
            row |= {"mask": f"masks/{name}", "label": marked}
            save(out / row["mask"], mask)
        save(out / row["file"], burnt(image, row["file"]) if mask.any() else image)
        rows.append(row)
    write_rows(out, columns, rows)


def save(path: Path, pixels: Pixels | Mask) -> None:
    """Write one image without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(pixels).save(path)


def write_rows(folder: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write ``labels.csv``."""
    with (folder / LABELS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _first(rows: Iterable[Row], split: str, count: int | None) -> list[str]:
    return sorted({row["group"] for row in rows if row["split"] == split})[:count]

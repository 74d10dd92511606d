"""Compare saliency maps with radiologists' gaze, beside another reader and the outline of the lungs.

    python compare_with_gaze.py CASES.csv

CASES.csv has a row for each reader of an image, two readers at the least: image, patient, map (.npy on the image's
pixels, as `explain_one_file.py` writes it), fixations (.csv with the columns of REFLACX's fixations.csv), lungs (a mask
as a picture) and x0, y0, x1, y1 (the box of the chest, pixels). Paths are relative to CASES.csv.

Prints mean and 95 % interval over patients of NCC, AUC and their shuffled forms (Bigolin Lanfredi et al. 2021, arXiv
2112.11716), each against the mean gaze of the other readers. The shuffled forms decide: a map that knows no more than
where chests are has a shuffled NCC of 0 at most and a shuffled AUC of 0.5.
"""

import csv
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.criteria.centrebias import CentreBias, centre_bias, hull_of_lungs
from inference.criteria.gaze import Fixations, density_auc, gaze_map, ncc, other_readers, shuffled_auc, shuffled_ncc
from inference.statistics.bootstrap import mean_by_group

SEED = 0
Row = dict[str, str]
Maps = NDArray[np.float64]


def read_fixations(path: Path) -> Fixations:
    """Read the fixations of one reader on one image."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def column(name: str) -> Maps:
        return np.array([float(row[name]) for row in rows])

    edges = [column(f"{edge}_shown_from_image") for edge in ("xmin", "ymin", "xmax", "ymax")]
    return Fixations(
        x=column("x_position"),
        y=column("y_position"),
        duration_seconds=column("timestamp_end_fixation") - column("timestamp_start_fixation"),
        pixels_per_degree_x=column("angular_resolution_x_pixels_per_degree"),
        pixels_per_degree_y=column("angular_resolution_y_pixels_per_degree"),
        shown=np.stack(edges, axis=1),
    )


def gaze_of(row: Row, folder: Path) -> Maps:
    """Return the gaze map of one reader, (H, W) as the saliency map."""
    height, width = np.load(folder / row["map"], allow_pickle=False).shape
    return gaze_map(read_fixations(folder / row["fixations"]), height=height, width=width)


def box_of(row: Row) -> list[float]:
    """Return the box of the chest."""
    return [float(row[edge]) for edge in ("x0", "y0", "x1", "y1")]


def scores(rows: list[Row], gaze: Maps, bias: CentreBias, folder: Path) -> Iterator[tuple[str, str, float]]:
    """Yield who is compared, by which figure, and its mean over the readers of one image."""
    height, width = gaze.shape[1:]
    others = other_readers(gaze)
    expected = np.broadcast_to(bias.on(height, width, box_of(rows[0]), without=rows[0]["patient"]), gaze.shape)
    lungs = np.asarray(Image.open(folder / rows[0]["lungs"]).convert("L")) > 0
    compared = {
        "map": np.broadcast_to(np.load(folder / rows[0]["map"], allow_pickle=False), gaze.shape),
        "another reader": gaze,
        "outline of the lungs": np.broadcast_to(hull_of_lungs(lungs), gaze.shape),
    }
    for name, values in compared.items():
        yield name, "NCC", float(ncc(others, values).mean())
        yield name, "shuffled NCC", float(shuffled_ncc(others, values, expected).mean())
        yield name, "AUC", float(density_auc(others, values).mean())
        yield name, "shuffled AUC", float(shuffled_auc(others, values, expected).mean())


def main(cases: Path) -> None:
    """Print a line for each figure of the map, of a reader, and of the outline."""
    with cases.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["image"])
    gaze = [gaze_of(row, cases.parent) for row in rows]
    bias = centre_bias(gaze, [box_of(row) for row in rows], [row["patient"] for row in rows])
    figures: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for _, group in groupby(range(len(rows)), key=lambda number: rows[number]["image"]):
        numbers = list(group)
        own = [rows[number] for number in numbers]
        for name, figure, score in scores(own, np.stack([gaze[number] for number in numbers]), bias, cases.parent):
            figures.setdefault((name, figure), []).append((score, own[0]["patient"]))
    for (name, figure), measured in figures.items():
        values, patients = zip(*measured, strict=True)
        mean = mean_by_group(values, patients, seed=SEED)
        interval = f" [{mean.low:.3f}, {mean.high:.3f}]" if mean.low is not None else ""
        print(f"{name}: {figure} {mean.value:.3f}{interval}, {mean.n} images of {mean.groups} patients")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

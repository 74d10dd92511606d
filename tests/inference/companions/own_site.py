"""A small site: bright discs with their outlines, and the trainings of companions that are quick enough for a test."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from inference.bundle.bundle import Bundle
from inference.cases.cases import AnnotatedSeries, Cases, Excluded, gather
from inference.cases.labels_folder import read_labels_folder
from inference.companions.companions import make_companions
from inference.companions.pieces import TrainingSite
from inference.companions.report import CompanionReport
from inference.companions.settings import CompanionSettings
from tests.inference.commissioning.annotated import Patient, write_labels

QUICK = CompanionSettings(replicates=1, alternate="none", localiser="none", epochs=2, device="cpu")
Source = Callable[[Bundle, Sequence[str]], Iterable[AnnotatedSeries | Excluded]]


@cache
def people() -> list[Patient]:
    """Return fourteen patients of three images of 48 x 48: two with a bright disc, one without."""
    draw = np.random.default_rng(5)
    row, column = np.ogrid[:48, :48]
    found = []
    for number in range(1, 15):
        images = draw.integers(20, 90, (3, 48, 48)).astype(np.uint8)
        masks = np.zeros(images.shape, bool)
        for at in (0, 1):
            down, right = draw.integers(10, 38, 2)
            masks[at] = np.hypot(row - down, column - right) < 6
        images[masks] += 120
        found.append(Patient(f"P{number}", "train", images, masks))
    return found


def write_site(folder: Path, change: Callable[[dict[str, str]], None] = lambda _: None) -> Path:
    """Write twelve patients of three slices as the split ``train``, and two of the split ``commissioning``."""

    def all_but_two(row: dict[str, str]) -> None:
        row["split"] = "commissioning" if row["group"] in ("P13", "P14") else "train"
        change(row)

    return write_labels(folder, people(), all_but_two)


def without_masks(row: dict[str, str]) -> None:
    row["mask"] = ""


def as_boxes(row: dict[str, str]) -> None:
    """Put a box in place of each mask."""
    has_mask, row["mask"] = bool(row["mask"]), ""
    row |= dict(zip(("x0", "y0", "x1", "y1"), ("12", "14", "25", "30") if has_mask else ("",) * 4, strict=True))


def source_of(data: Path) -> Source:
    return lambda bundle, splits: read_labels_folder(data, splits, is_volume=bundle.manifest.kind == "volume")


def cases_of(bundle: Bundle, data: Path, folder: Path) -> Cases:
    return gather(bundle, source_of(data)(bundle, ("train",)), folder)


def site_of(bundle: Bundle, data: Path, folder: Path) -> TrainingSite:
    cases = cases_of(bundle, data, folder / "cases")
    return TrainingSite(bundle, cases, folder / "pieces", "key", torch.device("cpu"), lambda *_: None, 0.0)


def made(bundle: Bundle, data: Path, out: Path, **changes: object) -> CompanionReport:
    return make_companions(bundle, source_of(data), replace(QUICK, **changes), out, checkpoint_seconds=0.0)


def weights_in(bundle: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((bundle / "models").glob("companion_*.safetensors"))}


def relabelled(data: Path, labels: dict[str, str]) -> None:
    """Give files of labels.csv other labels."""
    path = data / "labels.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": labels.get(row["file"], row["label"])} for row in rows)

"""Draw every saliency method on six cases, with the mask outlined: what the methods look like side by side.

``python -m tests.benchmarks.gallery --data DIR --bundle BUNDLE --split SPLIT --out FILE``

DIR holds ``labels.csv``, ``images`` and ``masks``; BUNDLE is the folder of a sealed bundle. Columns are cases, two of
each class with a mask (or six of one class), of different groups, the largest lesions first. Rows are methods; the
last rows are the controls, which know nothing of the finding. What speaks for the class is shown, brightest from the
99th percentile on. Methods that the network or the bundle does not fit are left out and named.
"""

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from inference.bundle.bundle import Bundle, load_bundle
from inference.errors import Unsuitable
from inference.saliency import explain, methods, normalise

CASES, CELL, GAP, MARGIN = 6, 140, 3, 232
QUALITY = 72
BACKGROUND, INK, OUTLINE = (16, 17, 20), (235, 235, 235), (64, 224, 255)
HEAT = np.array([(0, 0, 0), (60, 10, 85), (150, 35, 80), (225, 90, 40), (250, 175, 30), (255, 250, 200)], np.float64)
"""Colours of a map from nothing to most, evenly spaced."""

CHEAPER: dict[str, dict[str, int]] = {"guided_integrated_gradients": {"steps": 60}, "rise": {"masks": 500}}
"""Parameters other than the defaults, where the eye sees no difference."""

Row = dict[str, str]


@dataclass(frozen=True)
class Cases:
    """What is explained."""

    inputs: torch.Tensor
    """(N, C, S, S)"""
    masks: np.ndarray
    """(N, S, S) bool"""
    targets: torch.Tensor
    names: list[str]


def read_cases(data: Path, bundle: Bundle, split: str) -> tuple[Cases, torch.Tensor]:
    """Choose and preprocess the cases; also give the mean of all masks of the split, (S, S)."""
    with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split and not row.get("copy_of")]
    side = bundle.manifest.input.spatial_size[0]
    with_mask = [row for row in rows if row["mask"]]
    classes = {
        label: next(i for i, known in enumerate(bundle.manifest.classes) if known.name.startswith(label))
        for label in sorted({row["label"] for row in with_mask})
    }
    chosen = [row for label in classes for row in _largest(with_mask, label, CASES // len(classes))]
    cases = Cases(
        torch.stack([_input(data, row, rows, bundle) for row in chosen]),
        np.stack([_mask(data, row, side) > 0.5 for row in chosen]),
        torch.tensor([classes[row["label"]] for row in chosen]),
        [row["label"] for row in chosen],
    )
    return cases, torch.from_numpy(np.mean([_mask(data, row, side) for row in with_mask], axis=0))


def _largest(rows: list[Row], label: str, count: int) -> list[Row]:
    """Return the largest lesion of each group, of the groups with the largest lesions."""
    chosen: dict[str, Row] = {}
    for row in sorted((row for row in rows if row["label"] == label), key=lambda row: -int(row["mask_px"])):
        chosen.setdefault(row["group"], row)
    return list(chosen.values())[:count]


def _input(data: Path, row: Row, rows: list[Row], bundle: Bundle) -> torch.Tensor:
    """Preprocess a slice, with its series where it has one, (1, S, S)."""
    series = [row]
    if row.get("slice"):
        series = sorted((other for other in rows if other["group"] == row["group"]), key=lambda r: int(r["slice"]))
    pixels = np.stack([np.asarray(Picture.open(data / one["file"]).convert("L"), np.float32) / 255 for one in series])
    made = torch.as_tensor(bundle.preprocessing(MetaTensor(torch.from_numpy(pixels))))
    return made[series.index(row)][None].float()


def _mask(data: Path, row: Row, side: int) -> np.ndarray:
    """Return the share of each input pixel that is lesion; padded evenly to a square, as the images are."""
    stored = np.asarray(Picture.open(data / row["mask"])) > 0
    longer = max(stored.shape)
    before = [(longer - size) // 2 for size in stored.shape]
    square = np.pad(stored, [(b, longer - size - b) for b, size in zip(before, stored.shape, strict=True)])
    share = F.interpolate(torch.from_numpy(square.astype(np.float32))[None, None], size=(side, side), mode="area")
    return share[0, 0].numpy()


def draw_rows(cases: Cases, prior: torch.Tensor, bundle: Bundle) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    """Return the name and the pixels (N, S, S, 3) of each row, and why methods were left out."""
    network = bundle.primary()
    images = cases.inputs.mean(dim=1).numpy()
    lowest, highest = (np.percentile(images, share, axis=(1, 2), keepdims=True) for share in (1, 99.5))
    grey = np.clip((images - lowest) / (highest - lowest), 0, 1) * 255
    drawn = [("image", np.repeat(grey[..., None], 3, axis=3))]
    left_out = []
    known = bundle.null_inputs()
    for method in sorted(methods(), key=lambda method: method.control):
        print(f"{method.name} ...", file=sys.stderr, flush=True)
        try:
            maps = explain(
                network.module, cases.inputs, cases.targets, method.name, layer=network.layer, prior=prior,
                references=cases.inputs.flip(0) if known is None else known, keep_channels=True,
                **CHEAPER.get(method.name, {}),
            )  # fmt: skip
        except Unsuitable as refusal:
            left_out.append(f"{method.name}: {refusal}")
            continue
        shown = normalise(maps.sum(dim=1, keepdim=True).clamp(min=0), "legacy").numpy()
        levels = np.linspace(0, 1, len(HEAT))
        colours = np.stack([np.interp(shown, levels, HEAT[:, channel]) for channel in range(3)], axis=-1)
        drawn.append((("control: " if method.control else "") + method.name.replace("_", " "), colours))
    return drawn, left_out


def lay_out(cases: Cases, drawn: list[tuple[str, np.ndarray]], title: str) -> Picture.Image:
    """Put names and cells on one sheet, the mask outlined in every cell."""
    step, top = CELL + GAP, 64
    sheet = Picture.new("RGB", (MARGIN + step * len(cases.names), top + step * len(drawn)), BACKGROUND)
    pen, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(size=20), ImageFont.load_default(size=17)
    pen.text((10, 8), title, font=large, fill=INK)
    for column, (name, mask) in enumerate(zip(cases.names, cases.masks, strict=True)):
        pen.text((MARGIN + column * step + 4, 38), name, font=small, fill=INK)
        seen = np.asarray(Picture.fromarray(mask).resize((CELL, CELL), Picture.Resampling.NEAREST))
        edge = seen & ~binary_erosion(seen)
        for row, (_, pixels) in enumerate(drawn):
            cell = Picture.fromarray(pixels[column].astype(np.uint8)).resize((CELL, CELL), Picture.Resampling.BILINEAR)
            outlined = np.where(edge[..., None], np.array(OUTLINE, np.uint8), np.asarray(cell))
            sheet.paste(Picture.fromarray(outlined), (MARGIN + column * step, top + row * step))
    for row, (name, _) in enumerate(drawn):
        first, _, second = name.partition(": ") if name.startswith("control") else _broken(name)
        pen.text((10, top + row * step + CELL // 2 - 20), f"{first}\n{second}", font=small, fill=INK)
    return sheet


def _broken(name: str) -> tuple[str, str, str]:
    """Break a long name before its last word."""
    return name.rpartition(" ") if len(name) > 22 else (name, "", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch; 1 on a busy machine")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    bundle = load_bundle(asked.bundle)
    cases, prior = read_cases(asked.data, bundle, asked.split)
    drawn, left_out = draw_rows(cases, prior, bundle)
    title = f"{bundle.manifest.name} {bundle.manifest.version}, split {asked.split}: what speaks for the class"
    lay_out(cases, drawn, title).save(asked.out, quality=QUALITY)
    print(f"{asked.out}: {len(drawn)} rows, {len(cases.names)} cases, {asked.out.stat().st_size / 1000:.0f} kB")
    for reason in left_out:
        print(f"left out, {reason}")


if __name__ == "__main__":
    main()

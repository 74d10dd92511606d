"""A sheet of pictures: an image before and after every transform of a bundle's preprocessing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from inference.porting.steps import TransformStep
from reports.picture.colours import BACKGROUND, QUIET, TEXT
from reports.picture.typeface import line_height, paragraph, write

SIDE, GAP, WORDS = 320, 24, 560
BODY, SMALL = 23, 19
MOST_CHANNELS = 4
"""Channels of a step that are shown beside each other; three in two dimensions as one picture in colour."""


def write_steps(steps: Sequence[TransformStep], path: Path) -> None:
    """Write one sheet as PNG: a row a step, its channels (of a volume the middle plane of each axis) and its words.

    Each picture is scaled by itself, lowest value black and highest white; the words say which values these are. The
    first spatial axis runs to the right, the second downwards, as a picture is looked at in MONAI's axis order.
    """
    rows = [_row(number, step) for number, step in enumerate(steps)]
    sheet = Picture.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), BACKGROUND)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    sheet.save(path)


def _row(number: int, step: TransformStep) -> Picture.Image:
    pictures = [_picture(plane) for plane in _planes(step.values)]
    left = GAP + len(pictures) * (SIDE + GAP)
    row = Picture.new("RGB", (left + WORDS, SIDE + GAP), BACKGROUND)
    draw = ImageDraw.Draw(row)
    for place, picture in enumerate(pictures):
        row.paste(picture, (GAP + place * (SIDE + GAP) + (SIDE - picture.width) // 2, GAP // 2))
    write(draw, (left, GAP // 2), f"{number}. {step.name}", BODY, TEXT)
    y = paragraph(draw, (left, GAP // 2 + line_height(BODY)), step.sentence, SMALL, WORDS - GAP)
    paragraph(draw, (left, y), step.arguments, SMALL, WORDS - GAP, QUIET)
    return row


def _planes(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return what is shown of (channels, *spatial): planes (x, y), or (x, y, 3)."""
    if values.ndim == 4:
        middle = [size // 2 for size in values.shape[1:]]
        return [values[0].take(middle[axis], axis=axis) for axis in (2, 1, 0)]
    if values.ndim != 3:
        return [values.reshape(values.shape[0], -1)]
    if values.shape[0] == 3:
        return [np.moveaxis(values, 0, -1)]
    return list(values[:MOST_CHANNELS])


def _picture(plane: NDArray[np.float32]) -> Picture.Image:
    low, high = float(np.nanmin(plane)), float(np.nanmax(plane))
    scaled = np.nan_to_num((plane - low) / (high - low if high > low else 1.0))
    shown = np.rint(scaled * 255).astype(np.uint8).swapaxes(0, 1)
    picture = Picture.fromarray(np.ascontiguousarray(shown)).convert("RGB")
    share = min(SIDE / picture.width, SIDE / picture.height)
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    return picture.resize(size, Picture.Resampling.NEAREST)

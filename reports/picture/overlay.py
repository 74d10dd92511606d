"""The picture of one explanation: the plane as it is, beside it the plane with its map, and over both the verdict.

Deterministic, and free of patient data. Nothing is drawn on the left panel. A map whose verdict is WITHHELD is not
painted: its panel says why. What the independent localiser sees is a dotted contour on the map's panel.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.picture import legend, words
from reports.picture.badge import frame
from reports.picture.colours import BACKGROUND
from reports.picture.heading import foot, heading
from reports.picture.layout import HEADING_HEIGHT, LETTER_STRIP, MAP_OFFSET, MARGIN, WIDTH, panel_box
from reports.picture.panel import (
    grey,
    letters_around,
    mark_edges,
    painted_panel,
    plain_panel,
    strength,
    withheld_panel,
)


@dataclass(frozen=True)
class Placement:
    """Where a source plane lies in a picture."""

    top: float
    left: float
    """First row and first column of the panel, in pixels of the picture."""
    scale_row: float
    scale_column: float
    """Pixels of the picture that one source row is high and one source column is wide."""

    def to_overlay(self, row: float, column: float) -> tuple[float, float]:
        """Return (row, column) in the picture of the centre of a source pixel; whole numbers are pixel centres."""
        return (
            self.top + (row + 0.5) * self.scale_row - 0.5,
            self.left + (column + 0.5) * self.scale_column - 0.5,
        )


@dataclass(frozen=True)
class OverlayPicture:
    """A finished picture."""

    rgb: NDArray[np.uint8]
    """(rows, columns, 3)."""
    plane: Placement
    """The panel with nothing drawn on it."""
    map: Placement
    """The panel with the map."""


def draw_overlay(explained: ExplainedPlane) -> OverlayPicture:
    """Draw one explained plane."""
    plane, verdict, bundle = explained.plane, explained.trust.verdict, explained.analysis.bundle
    left, top, wide, high = panel_box(plane.pixels.shape, plane.frame.pixel_spacing_mm)
    scale = (high / plane.pixels.shape[0], wide / plane.pixels.shape[1])
    below = [foot(bundle.name, bundle.version, words.MORE)]
    if explained.analysis.partly_read:
        below.insert(0, legend.partly_read())
    bottom = HEADING_HEIGHT + high + LETTER_STRIP + legend.HEIGHT
    picture = Picture.new("RGB", (WIDTH, bottom + sum(strip.height for strip in below)), BACKGROUND)
    picture.paste(heading(explained), (0, 0))
    clean, marked = _panels(explained, (high, wide))
    if verdict is not Verdict.WITHHELD:
        mark_edges(marked, plane.orientation)
    picture.paste(clean, (left, top))
    picture.paste(marked, (left + MAP_OFFSET, top))
    frame(picture, (left + MAP_OFFSET, top, wide, high), verdict)
    letters_around(picture, (left, top, wide, high), plane.orientation)
    picture.paste(legend.plane_caption(explained), (MARGIN, bottom - legend.HEIGHT))
    picture.paste(legend.map_caption(explained), (MARGIN + MAP_OFFSET, bottom - legend.HEIGHT))
    for strip in below:
        picture.paste(strip, (0, bottom))
        bottom += strip.height
    placements = (Placement(top, left, *scale), Placement(top, left + MAP_OFFSET, *scale))
    return OverlayPicture(np.asarray(picture), *placements)


def preview_png(rgb: NDArray[np.uint8], path: Path) -> None:
    """Write a picture, (rows, columns, 3), as PNG, with no metadata, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        Picture.fromarray(rgb).save(file, format="PNG", compress_level=3)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _panels(explained: ExplainedPlane, size: tuple[int, int]) -> tuple[Picture.Image, Picture.Image]:
    pixels, trust = explained.plane.pixels, explained.trust
    plane = grey(pixels, size)
    if trust.verdict is Verdict.WITHHELD:
        return plain_panel(plane), withheld_panel(size, words.NO_MAP, words.reason(trust))
    row, column = explained.map.peak
    in_panel = Placement(0, 0, size[0] / pixels.shape[0], size[1] / pixels.shape[1])
    share, hatched = strength(explained.map.on_frame, size), trust.verdict is Verdict.OUT_OF_ENVELOPE
    peak = in_panel.to_overlay(row, column)
    return plain_panel(plane), painted_panel(plane, share, peak, trust.localiser, hatched=hatched)

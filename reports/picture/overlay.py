"""The picture of one explanation: the plane as it is, the plane with its map, and what is known about the map.

Deterministic, and free of patient data. A map whose verdict is WITHHELD is not painted: its panel says why. What the
independent localiser sees is a dotted contour on both panels.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.picture.band import band, heading
from reports.picture.caption import map_caption, plane_caption
from reports.picture.colours import BACKGROUND
from reports.picture.layout import GAP, MARGIN, PANEL_SIDE, WIDTH, panel_size
from reports.picture.panel import grey, mark_edges, painted_panel, plain_panel, strength, withheld_panel


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
    """The panel without the map, with the localiser's contour."""
    map: Placement
    """The panel with the map."""


def draw_overlay(explained: ExplainedPlane) -> OverlayPicture:
    """Draw one explained plane."""
    plane = explained.plane
    size = panel_size(plane.pixels.shape, plane.frame.pixel_spacing_mm)
    scale = (size[0] / plane.pixels.shape[0], size[1] / plane.pixels.shape[1])
    head, foot = heading(explained), band(explained)
    captions = (plane_caption(explained), map_caption(explained))
    picture = Picture.new("RGB", (WIDTH, head.height + size[0] + captions[0].height + foot.height), BACKGROUND)
    picture.paste(head, (0, 0))
    placements = []
    for side, panel in enumerate(_panels(explained, size)):
        cell = MARGIN + side * (PANEL_SIDE + GAP)
        placement = Placement(head.height, cell + (PANEL_SIDE - size[1]) // 2, *scale)
        if side == 0 or explained.trust.verdict is not Verdict.WITHHELD:
            mark_edges(panel, plane.orientation)
        picture.paste(panel, (int(placement.left), int(placement.top)))
        picture.paste(captions[side], (cell, head.height + size[0]))
        placements.append(placement)
    picture.paste(foot, (0, picture.height - foot.height))
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
    plane, localiser = grey(pixels, size), trust.localiser
    if trust.verdict is Verdict.WITHHELD:
        return plain_panel(plane, localiser), withheld_panel(size, trust.reasons)
    row, column = explained.map.peak
    in_panel = Placement(0, 0, size[0] / pixels.shape[0], size[1] / pixels.shape[1])
    share = strength(explained.map.on_frame, size)
    painted = painted_panel(plane, share, in_panel.to_overlay(row, column), localiser)
    return plain_panel(plane, localiser), painted

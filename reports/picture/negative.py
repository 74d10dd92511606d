"""The picture of a series on which nothing was called: its middle plane, and beside it what is said of the series.

Deterministic, and free of patient data.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from inference.analysis import Analysis
from inference.trust.statement import Conclusion
from reports.explained import Plane
from reports.picture.band import title_bar
from reports.picture.colours import BACKGROUND, PANEL, QUIET, TEXT, WARNING
from reports.picture.layout import GAP, HEADING_HEIGHT, MARGIN, PANEL_SIDE, WIDTH, panel_size
from reports.picture.panel import grey, mark_edges, plain_panel
from reports.picture.typeface import BODY, SMALL, line_height, paragraph
from reports.wording import digest, number, statement

TITLES = {Conclusion.NOTHING_FOUND: "Nothing found", Conclusion.NO_STATEMENT: "No statement"}
FOOT = 2 * 10 + line_height(SMALL)


@dataclass(frozen=True)
class NegativePicture:
    """A finished picture."""

    rgb: NDArray[np.uint8]
    """(rows, columns, 3)."""


def draw_negative(analysis: Analysis, plane: Plane) -> NegativePicture:
    """Draw what is said of a series without a finding.

    Args:
        analysis: of the series.
        plane: of it, shown beside the words.
    """
    said = analysis.statement.said
    size = panel_size(plane.pixels.shape, plane.frame.pixel_spacing_mm)
    head = title_bar(TITLES[said], f"{len(analysis.image.frames)} planes. {analysis.bundle.title}")
    picture = Picture.new("RGB", (WIDTH, HEADING_HEIGHT + PANEL_SIDE + FOOT), BACKGROUND)
    picture.paste(head, (0, 0))
    panel = plain_panel(grey(plane.pixels, size))
    mark_edges(panel, plane.orientation)
    picture.paste(panel, (MARGIN + (PANEL_SIDE - size[1]) // 2, HEADING_HEIGHT))
    picture.paste(_words(analysis), (MARGIN + PANEL_SIDE + GAP, HEADING_HEIGHT))
    foot = f"Shown: {plane.title}, in its own window. Bundle {analysis.bundle.name} {analysis.bundle.version}, "
    foot += f"digest {digest(analysis.bundle.digest)}."
    paragraph(ImageDraw.Draw(picture), (MARGIN, HEADING_HEIGHT + PANEL_SIDE + 10), foot, SMALL, WIDTH, QUIET)
    return NegativePicture(np.asarray(picture))


def _words(analysis: Analysis) -> Picture.Image:
    said = analysis.statement
    picture = Picture.new("RGB", (PANEL_SIDE, PANEL_SIDE), PANEL)
    draw, room = ImageDraw.Draw(picture), PANEL_SIDE - 2 * BODY
    headline, *others = statement(said)
    colour = WARNING if said.said is Conclusion.NO_STATEMENT else TEXT
    y = paragraph(draw, (BODY, BODY), headline, BODY, room, colour) + SMALL
    for text in others:
        y = paragraph(draw, (BODY, y), text, BODY, room) + SMALL
    highest = analysis.classification.probabilities.max(axis=0)
    for label, value in zip(analysis.classification.labels, highest, strict=True):
        text = f"Highest probability of {label}: {number(float(value))} (not calibrated)"
        y = paragraph(draw, (BODY, y), text, SMALL, room, QUIET)
    return picture

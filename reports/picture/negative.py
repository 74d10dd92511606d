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
from reports.picture import legend, words
from reports.picture.colours import BACKGROUND, PANEL, QUIET, TEXT, WARNING
from reports.picture.heading import FOOT_HEIGHT, foot, lines_below, title_bar
from reports.picture.layout import HEADING_HEIGHT, LETTER_STRIP, MAP_OFFSET, MARGIN, PANEL_SIDE, WIDTH, panel_box
from reports.picture.panel import grey, letters_around, plain_panel
from reports.picture.typeface import BODY, SMALL, paragraph, write
from reports.wording import number, sentence, statement


@dataclass(frozen=True)
class NegativePicture:
    """A finished picture."""

    rgb: NDArray[np.uint8]
    """(rows, columns, 3)."""


def draw_negative(analysis: Analysis, plane: Plane, series_number: object = None) -> NegativePicture:
    """Draw what is said of a series without a finding.

    Args:
        analysis: of the series.
        plane: of it, shown beside the words.
        series_number: of the series; None: unknown.
    """
    left, top, wide, high = panel_box(plane.pixels.shape, plane.frame.pixel_spacing_mm)
    words_panel = _words(analysis)
    below = HEADING_HEIGHT + max(high + LETTER_STRIP + legend.HEIGHT, words_panel.height)
    picture = Picture.new("RGB", (WIDTH, below + FOOT_HEIGHT), BACKGROUND)
    headline, _, caution = statement(analysis.statement)[0].partition(": ")
    head = title_bar(headline)
    lines_below(head, sentence(caution))
    picture.paste(head, (0, 0))
    picture.paste(plain_panel(grey(plane.pixels, (high, wide))), (left, top))
    letters_around(picture, (left, top, wide, high), plane.orientation)
    place = words.place(plane, series_number)
    write(ImageDraw.Draw(picture), (MARGIN, top + high + LETTER_STRIP + 6), place, SMALL, TEXT)
    picture.paste(words_panel, (MARGIN + MAP_OFFSET, HEADING_HEIGHT))
    picture.paste(foot(analysis.bundle.name, analysis.bundle.version), (0, below))
    return NegativePicture(np.asarray(picture))


def _words(analysis: Analysis) -> Picture.Image:
    """Write what is known of what the model misses, or why there is no statement, and how probable each class was."""
    picture = Picture.new("RGB", (PANEL_SIDE, 4096), PANEL)
    draw, room = ImageDraw.Draw(picture), PANEL_SIDE - 2 * SMALL
    colour = WARNING if analysis.statement.said is Conclusion.NO_STATEMENT else TEXT
    y = paragraph(draw, (SMALL, SMALL), f"Looked for: {analysis.bundle.title}", 36, room, QUIET) + SMALL / 2
    for text in statement(analysis.statement)[1:]:
        y = paragraph(draw, (SMALL, y), text, 36, room, colour) + SMALL / 2
    if analysis.partly_read:
        y = paragraph(draw, (SMALL, y), words.PARTLY_READ, 36, room, WARNING) + SMALL / 2
    highest = analysis.classification.probabilities.max(axis=0)
    for label, value in zip(analysis.classification.labels, highest, strict=True):
        text = f"Highest of {label}: {number(float(value))}, not calibrated"
        y = paragraph(draw, (SMALL, y), text, SMALL, room, QUIET) + 8
    return picture.crop((0, 0, PANEL_SIDE, max(BODY, round(y) + 8)))

"""Captions of the two panels: plane, colour scale, and legend of the localiser's contour."""

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw

from inference.trust.signals import SURE
from inference.trust.verdict import Trust, Verdict
from reports.explained import ExplainedPlane
from reports.picture.colours import BACKGROUND, QUIET, TEXT, WARNING, Colour, as_bytes, plasma
from reports.picture.layout import PANEL_SIDE
from reports.picture.localiser import Seen, seen
from reports.picture.panel import dot_sample
from reports.picture.typeface import SMALL, line_height, width, write
from reports.wording import number

_BAR_HEIGHT = 16
_PAD = 10
_LINES = 3
PARTLY_READ = "The stack was partly read: planes are missing. The report says how many and why."
HEIGHT = 2 * _PAD + _LINES * line_height(SMALL)


def plane_caption(explained: ExplainedPlane) -> Picture.Image:
    """Say which plane is shown, and what the localiser sees on it."""
    picture, draw = _blank()
    _line(draw, 0, f"Source: {explained.plane.title}")
    if explained.analysis.partly_read:
        _line(draw, 1, PARTLY_READ, WARNING)
    else:
        _line(draw, 1, "In its own window and orientation, resized to this panel.", QUIET)
    _localiser(picture, draw, explained.trust)
    return picture


def map_caption(explained: ExplainedPlane) -> Picture.Image:
    """Draw the colour bar and describe how the map is displayed."""
    picture, draw = _blank()
    if explained.trust.verdict is Verdict.WITHHELD:
        _line(draw, 0, "No map is shown: its verdict is WITHHELD.")
        return picture
    if (explained.map.on_frame > 0).any():
        _scale(picture, draw)
        _line(draw, 1, "Share of the positive map's 99.5th percentile.  Outline: 0.5.  Ring: highest value.", QUIET)
    else:
        _line(draw, 0, "No pixel of this plane supports the finding: the map has no positive value.")
    if explained.trust.verdict is Verdict.OUT_OF_ENVELOPE:
        _line(draw, 2, "OUT OF ENVELOPE: the reliability of maps is unknown for images like this.", WARNING)
    elif seen(explained.trust) is Seen.FINDING:
        _dotted(picture, draw, "independent localiser, as on the left; not part of the map.")
    return picture


def _localiser(picture: Picture.Image, draw: ImageDraw.ImageDraw, trust: Trust) -> None:
    what = seen(trust)
    if what is Seen.FINDING:
        untested = " (untested at this site)" if trust.verdict is Verdict.UNCOMMISSIONED else ""
        _dotted(picture, draw, f"independent localiser{untested}, probability {number(SURE)} and more inside.")
    elif trust.localiser is not None:
        _line(draw, 2, f"{what}: highest probability {number(float(trust.localiser.max()))}.")
    else:
        _line(draw, 2, f"{what}.")


def _dotted(picture: Picture.Image, draw: ImageDraw.ImageDraw, words: str) -> None:
    sample = dot_sample(line_height(SMALL))
    picture.paste(sample, (0, _PAD + 2 * line_height(SMALL)))
    _line(draw, 2, f"Dotted: {words}", indent=sample.width + 8)


def _scale(picture: Picture.Image, draw: ImageDraw.ImageDraw) -> None:
    start = width("0", SMALL) + _PAD
    end = PANEL_SIDE - width("1", SMALL) - _PAD
    bar = as_bytes(plasma(np.linspace(0, 1, round(end - start), dtype=np.float32)))
    picture.paste(Picture.fromarray(np.repeat(bar[None], _BAR_HEIGHT, axis=0)), (round(start), _PAD + 3))
    write(draw, (0, _PAD), "0", SMALL, TEXT)
    write(draw, (PANEL_SIDE - width("1", SMALL), _PAD), "1", SMALL, TEXT)


def _line(draw: ImageDraw.ImageDraw, number_of: int, text: str, colour: Colour = TEXT, *, indent: float = 0) -> None:
    write(draw, (indent, _PAD + number_of * line_height(SMALL)), text, SMALL, colour)


def _blank() -> tuple[Picture.Image, ImageDraw.ImageDraw]:
    picture = Picture.new("RGB", (PANEL_SIDE, HEIGHT), BACKGROUND)
    return picture, ImageDraw.Draw(picture)

"""What stands under the two panels: which plane it is, and what the colours mean."""

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw

from inference.analysis import Analysis, Explanation
from inference.trust.verdict import Verdict
from reports.colours import BACKGROUND, QUIET, TEXT, as_bytes, plasma
from reports.layout import PANEL_SIDE
from reports.typeface import SMALL, line_height, width, write
from reports.wording import plane

HEIGHT = 76
_BAR_HEIGHT = 16
_PAD = 10


def plane_caption(analysis: Analysis, explanation: Explanation) -> Picture.Image:
    """Say which plane is shown."""
    picture, draw = _blank()
    write(draw, (0, _PAD), f"Source: {plane(analysis, explanation.map.frame)}", SMALL, TEXT)
    words = "In its own window and orientation, resized to this panel."
    write(draw, (0, _PAD + line_height(SMALL)), words, SMALL, QUIET)
    return picture


def map_caption(explanation: Explanation) -> Picture.Image:
    """Draw the colour bar and say in words how the map is displayed."""
    picture, draw = _blank()
    if explanation.trust.verdict is Verdict.WITHHELD:
        write(draw, (0, _PAD), "No map is shown: its verdict is WITHHELD.", SMALL, TEXT)
        return picture
    if not (explanation.map.on_frame > 0).any():
        write(
            draw, (0, _PAD), "Nothing on this plane speaks for the finding: the map has no positive part.", SMALL, TEXT
        )
        return picture
    start = width("0", SMALL) + _PAD
    end = PANEL_SIDE - width("1", SMALL) - _PAD
    bar = as_bytes(plasma(np.linspace(0, 1, round(end - start), dtype=np.float32)))
    picture.paste(Picture.fromarray(np.repeat(bar[None], _BAR_HEIGHT, axis=0)), (round(start), _PAD + 3))
    write(draw, (0, _PAD), "0", SMALL, TEXT)
    write(draw, (PANEL_SIDE - width("1", SMALL), _PAD), "1", SMALL, TEXT)
    words = "Share of the positive map's 99.5th percentile.  Outline: 0.5.  Ring: highest value."
    write(draw, (0, _PAD + line_height(SMALL)), words, SMALL, QUIET)
    return picture


def _blank() -> tuple[Picture.Image, ImageDraw.ImageDraw]:
    picture = Picture.new("RGB", (PANEL_SIDE, HEIGHT), BACKGROUND)
    return picture, ImageDraw.Draw(picture)

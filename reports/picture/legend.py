"""What stands under the panels: series and slice on the left, what is drawn on the map on the right."""

from PIL import Image as Picture
from PIL import ImageDraw

from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.picture import words
from reports.picture.colours import BACKGROUND, TEXT, WARNING
from reports.picture.layout import MARGIN, PANEL_SIDE, WIDTH
from reports.picture.localiser import Seen, seen
from reports.picture.panel import dot_sample, outline_sample, ring_sample
from reports.picture.typeface import SMALL, fitted, line_height, width, write

_PAD = 6
HEIGHT = line_height(SMALL) + 2 * _PAD
_APART, _BESIDE = 26, 10


def plane_caption(explained: ExplainedPlane) -> Picture.Image:
    """Say which slice of which series is shown."""
    picture, draw = _blank()
    text = words.place(explained.plane, explained.source.get("SeriesNumber"))
    size, (line,) = fitted(text, (SMALL, 28), PANEL_SIDE)
    write(draw, (0, _PAD), line, size, TEXT)
    return picture


def map_caption(explained: ExplainedPlane) -> Picture.Image:
    """Show what the outline, the ring and the dots are; without a map, what the localiser sees."""
    picture, draw = _blank()
    what = seen(explained.trust)
    if explained.trust.verdict is Verdict.WITHHELD:
        write(draw, (0, _PAD), words.LOCALISER_ALONE[what], SMALL, TEXT)
        return picture
    left = 0.0
    if (explained.map.on_frame > 0).any():
        doubtful = explained.trust.verdict is Verdict.OUT_OF_ENVELOPE
        left = _entry(picture, left, outline_sample(HEIGHT - 2 * _PAD, hatched=doubtful), "map")
        left = _entry(picture, left, ring_sample(HEIGHT - 2 * _PAD), "peak")
    else:
        write(draw, (0, _PAD), words.NO_SUPPORT, SMALL, TEXT)
        left += width(words.NO_SUPPORT, SMALL) + _APART
    sample = dot_sample(HEIGHT - 2 * _PAD) if what is Seen.FINDING else None
    untested = ", untested" if what is Seen.FINDING and explained.trust.verdict is Verdict.UNCOMMISSIONED else ""
    _entry(picture, left, sample, words.LOCALISER[what] + untested)
    return picture


def partly_read() -> Picture.Image:
    """Say that slices are missing."""
    picture = Picture.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    write(ImageDraw.Draw(picture), (MARGIN, _PAD), words.PARTLY_READ, SMALL, WARNING)
    return picture


def _entry(picture: Picture.Image, left: float, sample: Picture.Image | None, text: str) -> float:
    """Draw a sample with its word; gives where the next begins."""
    if sample is not None:
        picture.paste(sample, (round(left), _PAD))
        left += sample.width + _BESIDE
    write(ImageDraw.Draw(picture), (left, _PAD), text, SMALL, TEXT)
    return left + width(text, SMALL) + _APART


def _blank() -> tuple[Picture.Image, ImageDraw.ImageDraw]:
    picture = Picture.new("RGB", (PANEL_SIDE, HEIGHT), BACKGROUND)
    return picture, ImageDraw.Draw(picture)

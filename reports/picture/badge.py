"""The look of each verdict: a badge and a frame that differ in shape as well as in colour, and always the word."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image as Picture
from PIL import ImageDraw

from inference.trust.verdict import Verdict
from reports.picture.colours import BACKGROUND, VERDICT, Colour
from reports.picture.typeface import font, width

HEIGHT = 76
_SIZE = 46
_ICON = 92
_END = 34
_FINE = 3
_FRAME, _AWAY = 5, 3
"""Thickness of the frame round a map, and its distance from the panel: it hides nothing of the image."""
Point = tuple[float, float]


@dataclass(frozen=True)
class _Look:
    filled: bool
    """Whether the word stands on the colour: only where the map was judged by this site's passport."""
    corners: str
    """Of the badge: round, pointed, cut, square."""
    dash: tuple[int, int] | None
    """Length of a stroke of the outline and the frame, and of the gap after it; None: unbroken."""


_LOOKS = {
    Verdict.TRUSTED: _Look(True, "round", None),
    Verdict.CAUTION: _Look(True, "pointed", (60, 16)),
    Verdict.WITHHELD: _Look(True, "cut", None),
    Verdict.OUT_OF_ENVELOPE: _Look(False, "square", (16, 12)),
    Verdict.UNCOMMISSIONED: _Look(False, "square", (4, 8)),
}


def badge(verdict: Verdict) -> Picture.Image:
    """Draw a verdict: its sign and its word."""
    look, colour = _LOOKS[verdict], VERDICT[verdict]
    wide = round(_ICON + width(verdict.value, _SIZE) + _END)
    fine = Picture.new("RGB", (wide * _FINE, HEIGHT * _FINE), BACKGROUND)
    draw = ImageDraw.Draw(fine)
    ink = BACKGROUND if look.filled else colour
    _body(draw, wide, look, colour)
    _sign(draw, verdict, ink, colour if look.filled else BACKGROUND)
    picture = fine.resize((wide, HEIGHT), Picture.Resampling.BOX)
    ImageDraw.Draw(picture).text((_ICON, HEIGHT / 2), verdict.value, fill=ink, font=font(_SIZE), anchor="lm")
    return picture


def frame(picture: Picture.Image, box: tuple[int, int, int, int], verdict: Verdict) -> None:
    """Draw the frame round a panel, outside of it.

    Args:
        picture: the whole one.
        box: left, top, width and height of the panel in it.
        verdict: whose frame it is.
    """
    left, top, wide, high = box
    reach = _AWAY + _FRAME / 2
    corners = _box(left - reach, top - reach, left + wide - 1 + reach, top + high - 1 + reach)
    _stroke(ImageDraw.Draw(picture), corners, VERDICT[verdict], _FRAME, _LOOKS[verdict].dash)


def _body(draw: ImageDraw.ImageDraw, wide: int, look: _Look, colour: Colour) -> None:
    right, bottom = wide * _FINE - 1, HEIGHT * _FINE - 1
    if not look.filled:
        inset = 3.0
        outline = [(x * _FINE, y * _FINE) for x, y in _box(inset, inset, wide - inset, HEIGHT - inset)]
        dash = look.dash and (look.dash[0] * _FINE, look.dash[1] * _FINE)
        _stroke(draw, outline, colour, 5 * _FINE, dash)
    elif look.corners == "round":
        draw.rounded_rectangle((0, 0, right, bottom), radius=HEIGHT * _FINE // 2, fill=colour)
    else:
        cut = (26 if look.corners == "pointed" else 20) * _FINE
        half = bottom / 2 if look.corners == "pointed" else cut
        points = [(cut, 0), (right - cut, 0), (right, half), (right, bottom - half), (right - cut, bottom)]
        draw.polygon([*points, (cut, bottom), (0, bottom - half), (0, half)], fill=colour)


def _sign(draw: ImageDraw.ImageDraw, verdict: Verdict, ink: Colour, ground: Colour) -> None:
    """Draw a tick, a triangle with an exclamation mark, a barred circle, a question mark or an open circle."""

    def at(*points: Point) -> list[Point]:
        return [(x * _FINE, y * _FINE) for x, y in points]

    middle, half = (52.0, HEIGHT / 2), 21.0
    x, y = middle
    if verdict is Verdict.TRUSTED:
        draw.line(at((x - 20, y + 1), (x - 6, y + 16), (x + 21, y - 16)), fill=ink, width=9 * _FINE, joint="curve")
    elif verdict is Verdict.CAUTION:
        draw.polygon(at((x, y - 25), (x + 28, y + 22), (x - 28, y + 22)), fill=ink)
        draw.line(at((x, y - 9), (x, y + 7)), fill=ground, width=6 * _FINE)
        draw.rectangle([*at((x - 3, y + 11))[0], *at((x + 3, y + 17))[0]], fill=ground)
    elif verdict is Verdict.OUT_OF_ENVELOPE:
        draw.text(at(middle)[0], "?", fill=ink, font=font(60 * _FINE), anchor="mm")
    else:
        draw.ellipse([*at((x - half, y - half))[0], *at((x + half, y + half))[0]], outline=ink, width=7 * _FINE)
        if verdict is Verdict.WITHHELD:
            draw.line(at((x - 13, y + 13), (x + 13, y - 13)), fill=ink, width=7 * _FINE)


def _box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def _stroke(
    draw: ImageDraw.ImageDraw, points: Sequence[Point], colour: Colour, thick: int, dash: tuple[int, int] | None
) -> None:
    """Draw a line along the axes: each side has a whole number of dashes, and begins and ends with one."""
    reach = thick / 2
    for start, end in pairwise(points):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        gap = dash[1] if dash else 0
        count = max(1, round((length + gap) / sum(dash))) if dash else 1
        step = (length + gap) / count
        for index in range(count):
            stretch = (index * step / length, (index * step + step - gap) / length)
            (x, y), (to_x, to_y) = (
                (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])) for share in stretch
            )
            low, high = (min(x, to_x) - reach, min(y, to_y) - reach), (max(x, to_x) + reach, max(y, to_y) + reach)
            draw.rectangle((*low, high[0] - 1, high[1] - 1), fill=colour)

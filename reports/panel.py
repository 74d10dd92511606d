"""One panel of the picture: a plane on its own, with its map, or with the reason why there is none."""

from collections.abc import Sequence

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw
from scipy.ndimage import maximum_filter
from skimage.measure import find_contours

from inference.archive import Floats
from reports.colours import BACKGROUND, OUTLINE, PANEL, PEAK, TEXT, WARNING, as_bytes, plasma
from reports.typeface import BODY, SMALL, TITLE, line_height, width, wrapped, write

CEILING_PERCENTILE = 99.5
"""Of the positive values as displayed: here the colour scale ends, so that one wild pixel does not hide the rest."""
OUTLINE_LEVEL = 0.5
"""Share of the colour scale at which the outline runs."""
MOST_OPAQUE = 0.6
"""Opacity of the map where it is strongest; it falls to 0 in proportion."""

RING_RADIUS = 15
_FINE = 3
_AROUND = 5


def grey(plane: Floats, size: tuple[int, int]) -> Floats:
    """Resize a plane of display values, 0 to 1, to (height, width) by Lanczos; gives 0 to 255."""
    resized = Picture.fromarray(plane.astype(np.float32)).resize(size[::-1], Picture.Resampling.LANCZOS)
    return np.clip(np.asarray(resized), 0.0, 1.0) * np.float32(255)


def strength(on_frame: Floats, size: tuple[int, int]) -> Floats:
    """Give the positive part of a map at display size, as the share of its own 99.5th percentile, 0 to 1.

    Resized bilinearly, which never overshoots. All zeros where nothing is positive.
    """
    positive = np.where(on_frame > 0, on_frame, 0).astype(np.float32)
    shown = np.asarray(Picture.fromarray(positive).resize(size[::-1], Picture.Resampling.BILINEAR))
    if not (shown > 0).any():
        return np.zeros(size, np.float32)
    return np.clip(shown / np.percentile(shown[shown > 0], CEILING_PERCENTILE), 0.0, 1.0).astype(np.float32)


def plain_panel(plane: Floats) -> Picture.Image:
    """Draw the plane alone. ``plane`` is (height, width) of the panel, 0 to 255."""
    return Picture.fromarray(as_bytes(np.repeat(plane[..., None], 3, axis=-1)))


def painted_panel(plane: Floats, share: Floats, peak: tuple[float, float]) -> Picture.Image:
    """Draw the plane under its map, with the outline and a ring around the highest value.

    Args:
        plane: (height, width) of the panel, 0 to 255.
        share: what ``strength`` gave, at the same size.
        peak: (row, column) of the highest value, in pixels of the panel.
    """
    opacity = (share * np.float32(MOST_OPAQUE))[..., None]
    picture = Picture.fromarray(as_bytes(plane[..., None] * (1 - opacity) + plasma(share) * opacity))
    if share.any():
        _draw_outline(picture, share)
        _draw_ring(ImageDraw.Draw(picture), peak)
    return picture


def withheld_panel(size: tuple[int, int], reasons: Sequence[str]) -> Picture.Image:
    """Draw the panel of a map that is not shown: the reasons instead."""
    picture = Picture.new("RGB", size[::-1], PANEL)
    draw = ImageDraw.Draw(picture)
    room = size[1] - 2 * BODY
    lines = [(line, TITLE) for line in wrapped("Map withheld", TITLE, room)]
    for reason in reasons:
        lines += [("", SMALL), *((line, BODY) for line in wrapped(reason, BODY, room))]
    y = max(BODY, (size[0] - sum(line_height(text_size) for _, text_size in lines)) / 2)
    for line, text_size in lines:
        colour = WARNING if text_size == TITLE else TEXT
        write(draw, ((size[1] - width(line, text_size)) / 2, y), line, text_size, colour)
        y += line_height(text_size)
    return picture


def mark_edges(picture: Picture.Image, orientation: tuple[str, str] | None) -> None:
    """Write at each edge which side of the patient lies there.

    Args:
        picture: a panel.
        orientation: the patient's direction along a row and down a column.
    """
    if orientation is None:
        return
    draw = ImageDraw.Draw(picture)
    right, bottom = orientation
    wide, high = picture.size
    inset, height = 8, line_height(SMALL)
    middle = (high - height) / 2
    _letter(draw, (inset, middle), _opposite(right))
    _letter(draw, (wide - inset - width(right, SMALL), middle), right)
    _letter(draw, ((wide - width(bottom, SMALL)) / 2, inset), _opposite(bottom))
    _letter(draw, ((wide - width(bottom, SMALL)) / 2, high - inset - height), bottom)


def _letter(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str) -> None:
    box = (place[0] - 3, place[1] - 1, place[0] + width(text, SMALL) + 3, place[1] + SMALL + 3)
    draw.rectangle(box, fill=BACKGROUND)
    write(draw, place, text, SMALL, TEXT)


def _opposite(direction: str) -> str:
    return direction.translate(str.maketrans("APRLHF", "PALRFH"))


def _draw_outline(picture: Picture.Image, share: Floats) -> None:
    """Run the outline two pixels outside, so that it hides nothing of what it surrounds, however small."""
    fine = Picture.new("L", (picture.width * _FINE, picture.height * _FINE))
    draw = ImageDraw.Draw(fine)
    for line in find_contours(maximum_filter(share, _AROUND), OUTLINE_LEVEL):
        draw.line([((x + 0.5) * _FINE, (y + 0.5) * _FINE) for y, x in line], fill=230, width=2 * _FINE - 1)
    picture.paste(OUTLINE, mask=fine.resize(picture.size, Picture.Resampling.BOX))


def _draw_ring(draw: ImageDraw.ImageDraw, peak: tuple[float, float]) -> None:
    y, x = peak
    near, far = RING_RADIUS, RING_RADIUS + 9
    strokes = [
        (x - far, y, x - near, y),
        (x + near, y, x + far, y),
        (x, y - far, x, y - near),
        (x, y + near, x, y + far),
    ]
    for colour, thickness in ((BACKGROUND, 5), (PEAK, 2)):
        spread = thickness / 2
        circle = (x - near - spread, y - near - spread, x + near + spread, y + near + spread)
        draw.ellipse(circle, outline=colour, width=thickness)
        for stroke in strokes:
            draw.line(stroke, fill=colour, width=thickness)

"""One panel of the picture: a plane on its own, with its map, or with the reason why there is none."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw
from scipy.ndimage import distance_transform_edt, maximum_filter
from skimage.measure import find_contours

from inference.archive import Floats
from inference.trust.signals import SURE
from inference.trust.verdict import Verdict
from reports.picture.colours import (
    BACKGROUND,
    LOCALISER,
    OUTLINE,
    PANEL,
    PEAK,
    TEXT,
    VERDICT,
    Colour,
    as_bytes,
    plasma,
)
from reports.picture.layout import GAP, LETTER_STRIP, MARGIN
from reports.picture.typeface import BODY, SMALL, TITLE, font, line_height, width, wrapped, write

CEILING_PERCENTILE = 99.5
"""Of the positive values as displayed: here the colour scale ends, so that one wild pixel does not hide the rest."""
OUTLINE_LEVEL = 0.5
"""Share of the colour scale at which the outline runs."""
MOST_OPAQUE = 0.6
"""Opacity of the map where it is strongest; it falls to 0 in proportion."""

RING_RADIUS = 17
DOT_RADIUS, DOT_STEP = 2.8, 12.0
"""Of the localiser's dotted contour: a dot's radius, and from one dot's centre to the next."""
_APART = 6.0
"""Pixels from the finding to the middle of the dots round it."""
_CASING = 1.6
"""Width of the dark rim round a dot, which keeps it visible on any colour."""
_FINE = 3
_AROUND = 7
_OUTLINE_WIDTH = 3
_STRIPES = 24
"""Pixels from one stripe to the next of a map on an image outside the envelope: half stripe, half image."""
_STRIPE_OPACITY = 0.8


def grey(plane: Floats, size: tuple[int, int]) -> Floats:
    """Resize a plane of display values, 0 to 1, to (height, width) by Lanczos; gives 0 to 255."""
    resized = Picture.fromarray(plane.astype(np.float32)).resize(size[::-1], Picture.Resampling.LANCZOS)
    return np.clip(np.asarray(resized), 0.0, 1.0) * np.float32(255)


def strength(on_frame: Floats, size: tuple[int, int]) -> Floats:
    """Return the positive part of a map at display size, as the share of its own 99.5th percentile, 0 to 1.

    Resized bilinearly, which never overshoots. All zeros where nothing is positive.
    """
    positive = np.where(on_frame > 0, on_frame, 0).astype(np.float32)
    shown = np.asarray(Picture.fromarray(positive).resize(size[::-1], Picture.Resampling.BILINEAR))
    if not (shown > 0).any():
        return np.zeros(size, np.float32)
    return np.clip(shown / np.percentile(shown[shown > 0], CEILING_PERCENTILE), 0.0, 1.0).astype(np.float32)


def plain_panel(plane: Floats) -> Picture.Image:
    """Draw the plane with nothing on it.

    Args:
        plane: (height, width) of the panel, 0 to 255.
    """
    return Picture.fromarray(as_bytes(np.repeat(plane[..., None], 3, axis=-1)))


def mark_localiser(picture: Picture.Image, localiser: Floats) -> None:
    """Run a dotted contour round the places where the localiser sees a finding, outside of them, so that it hides none.

    Args:
        picture: a panel.
        localiser: (rows, columns) of the source plane, its probability; a single sure pixel has a contour.
    """
    sure = localiser >= SURE
    if not sure.any():
        return
    away = np.pad(distance_transform_edt(~_grown(sure, (picture.height, picture.width))), 1, constant_values=np.inf)
    dots = [dot for line in find_contours(np.minimum(away, 2 * _APART), _APART) for dot in _dots(line - 1)]
    for colour, radius in ((BACKGROUND, DOT_RADIUS + _CASING), (LOCALISER, DOT_RADIUS)):
        _draw_dots(picture, dots, radius, colour)


def dot_sample(height: int) -> Picture.Image:
    """Draw a piece of the dotted contour, for the legend."""
    picture = Picture.new("RGB", (round(5 * DOT_STEP), height), BACKGROUND)
    _draw_dots(picture, [(height / 2, (i + 0.5) * DOT_STEP) for i in range(5)], DOT_RADIUS, LOCALISER)
    return picture


def outline_sample(height: int, *, hatched: bool) -> Picture.Image:
    """Draw a piece of a map with its outline, for the legend."""
    share = np.zeros((height, 60), np.float32)
    share[10:-10, 8:-8] = 0.75
    return painted_panel(np.full(share.shape, BACKGROUND[0], np.float32), share, None, hatched=hatched)


def ring_sample(height: int) -> Picture.Image:
    """Draw the ring round the highest value, for the legend."""
    picture = Picture.new("RGB", (height, height), BACKGROUND)
    _draw_ring(ImageDraw.Draw(picture), (height / 2, height / 2), radius=9, reach=6)
    return picture


def painted_panel(
    plane: Floats,
    share: Floats,
    peak: tuple[float, float] | None,
    localiser: Floats | None = None,
    *,
    hatched: bool = False,
) -> Picture.Image:
    """Draw the plane under its map, with the outline, the localiser's contour and a ring around the highest value.

    Args:
        plane: (height, width) of the panel, 0 to 255.
        share: what ``strength`` gave, at the same size.
        peak: (row, column) of the highest value, in pixels of the panel; None: no ring.
        localiser: see ``mark_localiser``; None: no contour.
        hatched: stripes of one colour in place of the scale, for an image outside the envelope.
    """
    if hatched:
        opacity = (share * _stripes(share.shape) * np.float32(_STRIPE_OPACITY))[..., None]
        colours = np.broadcast_to(np.array(VERDICT[Verdict.OUT_OF_ENVELOPE], np.float32), (*share.shape, 3))
    else:
        opacity, colours = (share * np.float32(MOST_OPAQUE))[..., None], plasma(share)
    picture = Picture.fromarray(as_bytes(plane[..., None] * (1 - opacity) + colours * opacity))
    if share.any():
        _draw_outline(picture, share, VERDICT[Verdict.OUT_OF_ENVELOPE] if hatched else OUTLINE)
    if localiser is not None:
        mark_localiser(picture, localiser)
    if share.any() and peak is not None:
        _draw_ring(ImageDraw.Draw(picture), peak)
    return picture


def withheld_panel(size: tuple[int, int], title: str, reason: str) -> Picture.Image:
    """Draw the panel of a map that is not shown: the reason instead, as far as there is room."""
    picture = Picture.new("RGB", size[::-1], PANEL)
    draw = ImageDraw.Draw(picture)
    room = max(TITLE, size[1] - 2 * SMALL)
    lines = [(line, TITLE, VERDICT[Verdict.WITHHELD]) for line in wrapped(title, TITLE, room)]
    lines += [(line, BODY, TEXT) for line in wrapped(reason, BODY, room)]
    y = max(0.0, (size[0] - sum(line_height(text_size) for _, text_size, _ in lines)) / 2)
    for line, text_size, colour in lines:
        write(draw, ((size[1] - width(line, text_size)) / 2, y), line, text_size, colour)
        y += line_height(text_size)
    return picture


def letters_around(picture: Picture.Image, box: tuple[int, int, int, int], orientation: tuple[str, str] | None) -> None:
    """Write beside each edge of a panel, outside of it, which side of the patient lies there; one below the other.

    Args:
        picture: the whole one.
        box: left, top, width and height of the panel in it.
        orientation: as ``mark_edges`` takes it.
    """
    if orientation is None:
        return
    draw = ImageDraw.Draw(picture)
    left, top, wide, high = box
    right, bottom = orientation
    strip = LETTER_STRIP / 2
    for text, middle, sideways in (
        (_opposite(bottom), (left + wide / 2, top - strip), False),
        (bottom, (left + wide / 2, top + high + strip), False),
        (_opposite(right), (left - MARGIN / 2, top + high / 2), True),
        (right, (left + wide + GAP / 2 - 4, top + high / 2), True),
    ):
        for index, line in enumerate(text if sideways else [text]):
            place = (middle[0], middle[1] + index * SMALL)
            draw.text(place, line, fill=TEXT, font=font(SMALL), anchor="mm")


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
    box = (place[0] - 5, place[1], place[0] + width(text, SMALL) + 5, place[1] + SMALL + 9)
    draw.rectangle(box, fill=BACKGROUND)
    write(draw, place, text, SMALL, TEXT)


def _opposite(direction: str) -> str:
    return direction.translate(str.maketrans("APRLHF", "PALRFH"))


def _stripes(shape: tuple[int, ...]) -> Floats:
    """Return 1 on diagonal stripes and 0 between them."""
    rows, columns = np.indices(shape)
    return np.asarray((rows + columns) % _STRIPES < _STRIPES // 2, np.float32)


def _draw_outline(picture: Picture.Image, share: Floats, colour: Colour) -> None:
    """Run the outline three pixels outside, so that it hides nothing of what it surrounds, however small."""
    fine = Picture.new("L", (picture.width * _FINE, picture.height * _FINE))
    draw = ImageDraw.Draw(fine)
    for line in find_contours(maximum_filter(share, _AROUND), OUTLINE_LEVEL):
        draw.line([((x + 0.5) * _FINE, (y + 0.5) * _FINE) for y, x in line], fill=235, width=_OUTLINE_WIDTH * _FINE)
    picture.paste(colour, mask=fine.resize(picture.size, Picture.Resampling.BOX))


def _grown(sure: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize a mask to (height, width); no pixel of it is lost, whether it grows or shrinks."""
    grown = np.array(Picture.fromarray(sure.astype(np.uint8)).resize(size[::-1], Picture.Resampling.NEAREST)) > 0
    centres = (
        ((places + 0.5) * new / old).astype(int)
        for places, new, old in zip(np.nonzero(sure), size, sure.shape, strict=True)
    )
    grown[tuple(centres)] = True
    return grown


def _dots(line: Floats) -> list[tuple[float, float]]:
    """Return (row, column) of dots at even distances along a line of (row, column); of a line too short, one dot."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    count = max(1, round(along[-1] / DOT_STEP))
    places = np.linspace(0.0, along[-1], count, endpoint=False)
    rows, columns = (np.interp(places, along, line[:, axis]) for axis in (0, 1))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _draw_dots(picture: Picture.Image, dots: Sequence[tuple[float, float]], radius: float, colour: Colour) -> None:
    fine = Picture.new("L", (picture.width * _FINE, picture.height * _FINE))
    draw = ImageDraw.Draw(fine)
    for y, x in dots:
        box = [(place + 0.5 + reach) * _FINE for reach in (-radius, radius) for place in (x, y)]
        draw.ellipse(box, fill=255)
    picture.paste(colour, mask=fine.resize(picture.size, Picture.Resampling.BOX))


def _draw_ring(
    draw: ImageDraw.ImageDraw, peak: tuple[float, float], *, radius: int = RING_RADIUS, reach: int = 11
) -> None:
    y, x = peak
    near, far = radius, radius + reach
    strokes = [
        (x - far, y, x - near, y),
        (x + near, y, x + far, y),
        (x, y - far, x, y - near),
        (x, y + near, x, y + far),
    ]
    for colour, thickness in ((BACKGROUND, 7), (PEAK, 3)):
        spread = thickness / 2
        circle = (x - near - spread, y - near - spread, x + near + spread, y + near + spread)
        draw.ellipse(circle, outline=colour, width=thickness)
        for stroke in strokes:
            draw.line(stroke, fill=colour, width=thickness)

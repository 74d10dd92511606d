"""Text in pictures: the scalable typeface that comes with Pillow, so that no font has to be installed."""

from functools import cache

from PIL import ImageDraw, ImageFont

from reports.picture.colours import TEXT, Colour
from reports.wording import plain

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SMALL = 33
BODY = 40
TITLE = 58
"""Heights in pixels of the pictures that are delivered; one shown 512 pixels wide keeps SMALL at 10."""

LEADING = 1.36


@cache
def font(size: int) -> Font:
    """Return the typeface at this height in pixels."""
    return ImageFont.load_default(size=size)


def width(text: str, size: int) -> float:
    """Return the width in pixels of one line."""
    return font(size).getlength(plain(text))


def line_height(size: int) -> int:
    """Return the distance in pixels from one line to the next."""
    return round(size * LEADING)


def wrapped(text: str, size: int, room: float) -> list[str]:
    """Break a text into lines no wider than ``room`` pixels; a word that is too long is broken too."""
    lines = [""]
    for word in plain(text).split():
        pieces = _pieces(word, size, room)
        for piece in pieces:
            joined = f"{lines[-1]} {piece}".strip() if piece is pieces[0] else None
            if joined is not None and width(joined, size) <= room:
                lines[-1] = joined
            else:
                lines.append(piece)
    return [line for line in lines if line]


def fitted(text: str, sizes: tuple[int, ...], room: float, lines: int = 1) -> tuple[int, list[str]]:
    """Return the first of the sizes at which a text needs no more than ``lines`` lines, and the lines.

    At the last size what needs more is cut, and ends in three dots.
    """
    for size in sizes:
        broken = wrapped(text, size, room)
        if len(broken) <= lines:
            return size, broken
    kept, last = broken[: lines - 1], broken[lines - 1]
    while last and width(f"{last}...", size) > room:
        last = last[:-1].rstrip()
    return size, [*kept, f"{last}..."]


def _pieces(word: str, size: int, room: float) -> list[str]:
    pieces = [word]
    while width(pieces[-1], size) > room and len(pieces[-1]) > 1:
        last = pieces.pop()
        fits = max((n for n in range(1, len(last)) if width(last[:n], size) <= room), default=1)
        pieces += [last[:fits], last[fits:]]
    return pieces


def write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, colour: Colour) -> None:
    """Write one line with its top left corner at ``place``."""
    draw.text(place, plain(text), fill=colour, font=font(size))


def write_right(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, colour: Colour) -> None:
    """Write one line with its top right corner at ``place``."""
    draw.text((place[0] - width(text, size), place[1]), plain(text), fill=colour, font=font(size))


def paragraph(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, room: float, colour: Colour = TEXT
) -> float:
    """Write lines no wider than ``room`` pixels from the top left corner ``place`` on; gives their bottom."""
    left, y = place
    for line in wrapped(text, size, room):
        write(draw, (left, y), line, size, colour)
        y += line_height(size)
    return y

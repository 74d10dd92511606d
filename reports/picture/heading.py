"""What stands over the panels: the finding with its verdict, one number a question, one line of reason."""

from PIL import Image as Picture
from PIL import ImageDraw

from inference.trust.verdict import Verdict
from reports.explained import ExplainedPlane
from reports.picture.badge import HEIGHT, badge
from reports.picture.colours import BACKGROUND, QUIET, TEXT
from reports.picture.layout import GAP, HEADING_HEIGHT, MAP_OFFSET, MARGIN, PANEL_SIDE, WIDTH
from reports.picture.typeface import BODY, SMALL, TITLE, fitted, line_height, paragraph, width, write, write_right
from reports.picture.words import class_number, made_with, map_number, reason
from reports.product import NOT_FOR_DIAGNOSTIC_USE
from reports.wording import sentence

FOOT_HEIGHT = 74
_TOP = 18
_NUMBERS = _TOP + HEIGHT + 14
_REASON = _NUMBERS + line_height(BODY) + 6


def heading(explained: ExplainedPlane) -> Picture.Image:
    """Say what was found, how far its map can be trusted, how probable both are, and why."""
    trust = explained.trust
    picture = title_bar(sentence(explained.map.finding.label), trust.verdict)
    draw = ImageDraw.Draw(picture)
    for left, text in ((MARGIN, class_number(explained)), (MARGIN + MAP_OFFSET, map_number(trust))):
        size, (line,) = fitted(text, (BODY, 36, SMALL), PANEL_SIDE)
        write(draw, (left, _NUMBERS), line, size, TEXT)
    size, lines = fitted(reason(trust), (36, 34), WIDTH - 2 * MARGIN, 1)
    if lines and lines[-1].endswith("..."):
        size, lines = fitted(reason(trust), (SMALL,), WIDTH - 2 * MARGIN, 2)
    for index, line in enumerate(lines):
        write(draw, (MARGIN, _REASON + index * line_height(size)), line, size, TEXT)
    return picture


def title_bar(title: str, verdict: Verdict | None = None) -> Picture.Image:
    """Write a title, and beside it the verdict."""
    picture = Picture.new("RGB", (WIDTH, HEADING_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    mark = None if verdict is None else badge(verdict)
    room = WIDTH - 2 * MARGIN - (GAP + mark.width if mark else 0)
    size, (line,) = fitted(title, (TITLE, 48, BODY), room)
    write(draw, (MARGIN, _TOP + (HEIGHT - line_height(size)) / 2), line, size, TEXT)
    if mark:
        picture.paste(mark, (round(MARGIN + width(line, size) + GAP), _TOP))
    return picture


def lines_below(picture: Picture.Image, text: str) -> None:
    """Write up to three lines under the title of a heading."""
    draw = ImageDraw.Draw(picture)
    size, lines = fitted(text, (36, SMALL), WIDTH - 2 * MARGIN, 3)
    paragraph(draw, (MARGIN, _NUMBERS), " ".join(lines), size, WIDTH - 2 * MARGIN)


def foot(name: str, its_version: str, more: str = "") -> Picture.Image:
    """Say that it is not for diagnostic use, what made it, and where more is said."""
    picture = Picture.new("RGB", (WIDTH, FOOT_HEIGHT), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    warning = width(NOT_FOR_DIAGNOSTIC_USE, SMALL) + 36
    draw.rectangle((MARGIN, 8, MARGIN + warning, 58), outline=TEXT, width=3)
    write(draw, (MARGIN + 18, 14), NOT_FOR_DIAGNOSTIC_USE, SMALL, TEXT)
    room = WIDTH - 2 * MARGIN - warning - GAP
    size, (line,) = fitted(f"{more} {made_with(name, its_version)}", (SMALL, 28), room)
    write_right(draw, (WIDTH - MARGIN, 14), line, size, QUIET)
    return picture

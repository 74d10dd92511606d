"""The table of trust signals in the picture: where there is a score, those that contribute most to it."""

from PIL import ImageDraw

from inference.trust.verdict import Signal, Trust
from reports.picture.colours import AGAINST_MAP, FOR_MAP, QUIET, RULE, TEXT
from reports.picture.layout import MARGIN, WIDTH
from reports.picture.typeface import SMALL, line_height, paragraph, write, write_right
from reports.picture.weights import chosen, weighed
from reports.wording import TIERS, interval, number, signed

TABLE_WIDTH = WIDTH - 2 * MARGIN
_COLUMNS = (1030, 1300, TABLE_WIDTH)
"""Right edges of value, null and a*."""
_NAME_WIDTH = 900
_PART_WIDTH = 240
"""Of the column of parts, which the name gives way to."""
_PART_EDGE = 90
"""Right edge of the part's number."""
_BAR_HALF, _BAR_HEIGHT = 56, 18
_A_STAR = (
    "a* = (value - null) / (1 - null): 0 is no better than maps of other subjects, 1 is identical. Brackets: 95 %."
)
_PARTS = (
    "Part: contribution to the log-odds of P relative to the average map of commissioning; + supports the map, "
    "- speaks against it. Parts and values are of this single map and have no interval."
)
Place = tuple[float, float]


def signal_table(draw: ImageDraw.ImageDraw, place: Place, trust: Trust) -> float:
    """Draw the table with its top left corner at ``place``; gives its bottom."""
    left, y = place
    signals = chosen(trust)
    longest = max((abs(signal.part or 0.0) for signal in signals), default=0.0) if weighed(trust) else None
    y = _titles(draw, (left, y), parts=longest is not None)
    tier = None
    for signal in signals:
        if signal.tier != tier:
            tier = signal.tier
            draw.line((left, y + 2, left + TABLE_WIDTH, y + 2), fill=RULE)
            write(draw, (left, y + 8), f"{tier}: {TIERS.get(tier, 'other')}", SMALL, QUIET)
            y += 8 + line_height(SMALL)
        y = _row(draw, (left, y), signal, longest)
    if not signals:
        return paragraph(draw, (left, y + 8), "none measured", SMALL, TABLE_WIDTH)
    more = len(trust.signals) - len(signals)
    if more:
        y = paragraph(draw, (left, y + 4), f"and {more} more in the structured report", SMALL, TABLE_WIDTH)
    words = f"{_A_STAR} {_PARTS}" if longest is not None else _A_STAR
    return paragraph(draw, (left, y + 8), words, SMALL, TABLE_WIDTH, QUIET)


def _titles(draw: ImageDraw.ImageDraw, place: Place, *, parts: bool) -> float:
    left, y = place
    write(draw, (left + (_PART_WIDTH if parts else 0), y), "Trust signals", SMALL, QUIET)
    if parts:
        write_right(draw, (left + _PART_EDGE, y), "part", SMALL, QUIET)
        write(draw, (left + _PART_EDGE + 10, y), "-", SMALL, QUIET)
        write_right(draw, (left + _PART_EDGE + 10 + 2 * _BAR_HALF, y), "+", SMALL, QUIET)
    for edge, title in zip(_COLUMNS, ("value", "null", "a*"), strict=True):
        write_right(draw, (left + edge, y), title, SMALL, QUIET)
    return y + line_height(SMALL)


def _row(draw: ImageDraw.ImageDraw, place: Place, signal: Signal, longest: float | None) -> float:
    left, top = place
    spread = signal.null_interval and f"[{interval(signal.null_interval)}], n {signal.null_count}"
    around = signal.referenced_interval and f"[{interval(signal.referenced_interval)}]"
    values = (number(signal.value), number(signal.null), number(signal.referenced))
    for edge, value, below in zip(_COLUMNS, values, ("", spread or "", around or ""), strict=True):
        write_right(draw, (left + edge, top), value, SMALL, TEXT)
        write_right(draw, (left + edge, top + line_height(SMALL)), below, SMALL, QUIET)
    indent = 0 if longest is None else _PART_WIDTH
    if longest is not None:
        _part(draw, (left, top), signal.part, longest)
    bottom = paragraph(draw, (left + indent, top), signal.meaning, SMALL, _NAME_WIDTH - indent)
    lines = 2 if spread or around else 1
    return max(bottom, top + line_height(SMALL) * lines) + 4


def _part(draw: ImageDraw.ImageDraw, place: Place, part: float | None, longest: float) -> None:
    """Write the part, and beside it a bar from the middle: right for the map, left against it."""
    left, top = place
    write_right(draw, (left + _PART_EDGE, top), signed(part), SMALL, TEXT)
    middle, y = left + _PART_EDGE + 10 + _BAR_HALF, top + (line_height(SMALL) - _BAR_HEIGHT) / 2 - 2
    if part and longest:
        end = middle + _BAR_HALF * part / longest
        box = (min(middle, end), y, max(middle, end), y + _BAR_HEIGHT)
        draw.rectangle(box, fill=FOR_MAP if part > 0 else AGAINST_MAP)
    draw.line((middle, y - 3, middle, y + _BAR_HEIGHT + 3), fill=QUIET, width=2)

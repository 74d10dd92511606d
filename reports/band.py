"""The text of the picture: the heading over the panels, and verdict, signals and provenance below them."""

from PIL import Image as Picture
from PIL import ImageDraw

from inference.analysis import Analysis, Explanation
from inference.trust.verdict import Signal, Verdict
from reports.codes import TIERS
from reports.colours import BACKGROUND, QUIET, RULE, TEXT, VERDICT, WARNING
from reports.equipment import NOT_FOR_DIAGNOSTIC_USE, PRODUCT, product_version
from reports.layout import GAP, MARGIN, WIDTH
from reports.typeface import BODY, SMALL, TITLE, line_height, width, wrapped, write, write_right
from reports.wording import digest, interval, made_by, number, parameters, plane, probability, sentence, shortened

_TALLEST = 4096
_HEADING_HEIGHT = 112
_VERDICT_WIDTH = 384
_SIGNALS_WIDTH = 690
_PROVENANCE_WIDTH = WIDTH - 2 * MARGIN - 2 * GAP - _VERDICT_WIDTH - _SIGNALS_WIDTH
_COLUMNS = (380, 540, _SIGNALS_WIDTH)
"""Right edges of value, null and a* within the table of signals."""
_NAME_WIDTH = 320
_TITLE_WIDTH = 140


def heading(analysis: Analysis, explanation: Explanation) -> Picture.Image:
    """Say what was found, by whom, and that it is not for diagnostic use."""
    picture, draw = _blank(_HEADING_HEIGHT)
    finding, bundle = explanation.map.finding, analysis.bundle
    warning_width = width(NOT_FOR_DIAGNOSTIC_USE, BODY) + 32
    room = WIDTH - 2 * MARGIN - warning_width - GAP
    title = f"{sentence(finding.label)}: {probability(finding)}"
    write(draw, (MARGIN, 22), wrapped(title, TITLE, room)[0], TITLE, TEXT)
    who = f"{sentence(plane(analysis, explanation.map.frame))}. {bundle.title}, read by {PRODUCT} {product_version()}."
    write(draw, (MARGIN, 68), wrapped(who, SMALL, WIDTH - 2 * MARGIN)[0], SMALL, QUIET)
    box = (WIDTH - MARGIN - warning_width, 20, WIDTH - MARGIN, 60)
    draw.rounded_rectangle(box, radius=5, outline=WARNING, width=2)
    write_right(draw, (WIDTH - MARGIN - 16, 27), NOT_FOR_DIAGNOSTIC_USE, BODY, WARNING)
    return picture


def band(analysis: Analysis, explanation: Explanation) -> Picture.Image:
    """Say how far the map can be trusted, by which signals, and what made it."""
    picture, draw = _blank(_TALLEST)
    draw.line((MARGIN, 0, WIDTH - MARGIN, 0), fill=RULE)
    left = MARGIN
    bottoms = [_verdict(draw, (left, 20), explanation)]
    left += _VERDICT_WIDTH + GAP
    bottoms.append(_signals(draw, (left, 20), explanation.trust.signals))
    left += _SIGNALS_WIDTH + GAP
    bottoms.append(_provenance(draw, (left, 20), analysis, explanation))
    return picture.crop((0, 0, WIDTH, round(max(bottoms)) + 18))


def _verdict(draw: ImageDraw.ImageDraw, place: tuple[float, float], explanation: Explanation) -> float:
    left, top = place
    trust = explanation.trust
    draw.rounded_rectangle((left, top, left + _VERDICT_WIDTH, top + 56), radius=5, fill=VERDICT[trust.verdict])
    middle = left + (_VERDICT_WIDTH - width(trust.verdict.value, TITLE)) / 2
    write(draw, (middle, top + 9), trust.verdict.value, TITLE, BACKGROUND)
    y = top + 70
    score = "No calibrated score." if trust.score is None else f"P(peak lies in a true finding) = {number(trust.score)}"
    y = _paragraph(draw, (left, y), score, BODY, _VERDICT_WIDTH)
    if trust.verdict is not Verdict.WITHHELD:
        for reason in trust.reasons:
            y = _paragraph(draw, (left, y + 8), reason, SMALL, _VERDICT_WIDTH)
    return y


def _signals(draw: ImageDraw.ImageDraw, place: tuple[float, float], signals: tuple[Signal, ...]) -> float:
    left, y = place
    write(draw, (left, y), "Trust signals", SMALL, QUIET)
    for edge, title in zip(_COLUMNS, ("value", "null", "a*"), strict=True):
        write_right(draw, (left + edge, y), title, SMALL, QUIET)
    y += line_height(SMALL)
    tier = None
    for signal in signals:
        if signal.tier != tier:
            tier = signal.tier
            draw.line((left, y + 2, left + _SIGNALS_WIDTH, y + 2), fill=RULE)
            write(draw, (left, y + 8), f"{tier}: {TIERS.get(tier, 'other')}", SMALL, QUIET)
            y += 8 + line_height(SMALL)
        y = _signal(draw, (left, y), signal)
    if not signals:
        write(draw, (left, y + 8), "none measured", SMALL, TEXT)
        return y + 8 + line_height(SMALL)
    words = (
        "a* = (value - null) / (1 - null): 0 is no better than maps of other patients, 1 is identical. Brackets: 95 %."
    )
    return _paragraph(draw, (left, y + 8), words, SMALL, _SIGNALS_WIDTH, QUIET)


def _signal(draw: ImageDraw.ImageDraw, place: tuple[float, float], signal: Signal) -> float:
    left, top = place
    spread = signal.null_interval and f"[{interval(signal.null_interval)}], n {signal.null_count}"
    around = signal.referenced_interval and f"[{interval(signal.referenced_interval)}]"
    values = (number(signal.value), number(signal.null), number(signal.referenced))
    for edge, value, below in zip(_COLUMNS, values, ("", spread or "", around or ""), strict=True):
        write_right(draw, (left + edge, top), value, SMALL, TEXT)
        write_right(draw, (left + edge, top + line_height(SMALL)), below, SMALL, QUIET)
    bottom = _paragraph(draw, (left, top), signal.meaning, SMALL, _NAME_WIDTH)
    return max(bottom, top + line_height(SMALL) * (2 if spread or around else 1)) + 4


def _provenance(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], analysis: Analysis, explanation: Explanation
) -> float:
    left, y = place
    bundle, shown = analysis.bundle, explanation.map
    lines = (
        ("Saliency", made_by(shown)),
        ("Parameters", shortened(parameters(shown.parameters), 150)),
        ("Bundle", f"{bundle.name} {bundle.version}"),
        ("Bundle digest", digest(bundle.digest)),
        ("Weights digest", digest(bundle.weights_digest)),
        ("Device", analysis.fingerprint.device),
    )
    for title, text in lines:
        write(draw, (left, y), title, SMALL, QUIET)
        room = _PROVENANCE_WIDTH - _TITLE_WIDTH
        y = _paragraph(draw, (left + _TITLE_WIDTH, y), text, SMALL, room) + 4
    return y


def _paragraph(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    room: float,
    colour: tuple[int, int, int] = TEXT,
) -> float:
    left, y = place
    for line in wrapped(text, size, room):
        write(draw, (left, y), line, size, colour)
        y += line_height(size)
    return y


def _blank(height: int) -> tuple[Picture.Image, ImageDraw.ImageDraw]:
    picture = Picture.new("RGB", (WIDTH, height), BACKGROUND)
    return picture, ImageDraw.Draw(picture)

"""The text of the picture: the heading over the panels, and verdict, signals and provenance below them."""

from PIL import Image as Picture
from PIL import ImageDraw

from inference.trust.verdict import Trust, Verdict
from reports.explained import ExplainedPlane
from reports.picture.colours import BACKGROUND, QUIET, RULE, TEXT, VERDICT, WARNING
from reports.picture.layout import GAP, HEADING_HEIGHT, MARGIN, WIDTH
from reports.picture.signal_table import TABLE_WIDTH, signal_table
from reports.picture.typeface import BODY, SMALL, TITLE, paragraph, width, wrapped, write, write_right
from reports.product import NOT_FOR_DIAGNOSTIC_USE, PRODUCT, product_version
from reports.wording import PROBABILITY, digest, made_by, number, parameters, probability, sentence, shortened

_TALLEST = 4096
_VERDICT_WIDTH = 384
_PROVENANCE_WIDTH = WIDTH - 2 * MARGIN - 2 * GAP - _VERDICT_WIDTH - TABLE_WIDTH
_TITLE_WIDTH = 140
_SMALL_PRINT = "P is calibrated at this site; for a single map it has no interval."


def heading(explained: ExplainedPlane) -> Picture.Image:
    """Say what was found, by whom, and that it is not for diagnostic use."""
    finding, bundle = explained.map.finding, explained.analysis.bundle
    title = f"{sentence(finding.label)}: {probability(finding, explained.class_probability)}"
    return title_bar(title, f"{sentence(explained.plane.title)}. {bundle.title}")


def title_bar(title: str, what: str) -> Picture.Image:
    """Write a title, what was analysed, by whom, and that it is not for diagnostic use."""
    picture, draw = _blank(HEADING_HEIGHT)
    warning_width = width(NOT_FOR_DIAGNOSTIC_USE, BODY) + 32
    room = WIDTH - 2 * MARGIN - warning_width - GAP
    write(draw, (MARGIN, 22), wrapped(title, TITLE, room)[0], TITLE, TEXT)
    who = f"{what}, analysed by {PRODUCT} {product_version()}."
    write(draw, (MARGIN, 68), wrapped(who, SMALL, WIDTH - 2 * MARGIN)[0], SMALL, QUIET)
    box = (WIDTH - MARGIN - warning_width, 20, WIDTH - MARGIN, 60)
    draw.rounded_rectangle(box, radius=5, outline=WARNING, width=2)
    write_right(draw, (WIDTH - MARGIN - 16, 27), NOT_FOR_DIAGNOSTIC_USE, BODY, WARNING)
    return picture


def band(explained: ExplainedPlane) -> Picture.Image:
    """Say how far the map can be trusted, by which signals, and what made it."""
    picture, draw = _blank(_TALLEST)
    draw.line((MARGIN, 0, WIDTH - MARGIN, 0), fill=RULE)
    left = MARGIN
    bottoms = [_verdict(draw, (left, 20), explained.trust)]
    left += _VERDICT_WIDTH + GAP
    bottoms.append(signal_table(draw, (left, 20), explained.trust))
    left += TABLE_WIDTH + GAP
    bottoms.append(_provenance(draw, (left, 20), explained))
    return picture.crop((0, 0, WIDTH, round(max(bottoms)) + 18))


def _verdict(draw: ImageDraw.ImageDraw, place: tuple[float, float], trust: Trust) -> float:
    left, top = place
    draw.rounded_rectangle((left, top, left + _VERDICT_WIDTH, top + 56), radius=5, fill=VERDICT[trust.verdict])
    middle = left + (_VERDICT_WIDTH - width(trust.verdict.value, TITLE)) / 2
    write(draw, (middle, top + 9), trust.verdict.value, TITLE, BACKGROUND)
    y = top + 70
    y = paragraph(draw, (left, y), _score(trust), BODY, _VERDICT_WIDTH)
    if trust.score is not None:
        y = paragraph(draw, (left, y + 4), _SMALL_PRINT, SMALL, _VERDICT_WIDTH, QUIET)
    if trust.verdict is not Verdict.WITHHELD:
        for reason in trust.reasons:
            colour = WARNING if trust.verdict is Verdict.OUT_OF_ENVELOPE else TEXT
            y = paragraph(draw, (left, y + 8), reason, SMALL, _VERDICT_WIDTH, colour)
    return y


def _score(trust: Trust) -> str:
    if trust.score is not None:
        return f"{PROBABILITY} = {number(trust.score)}"
    if trust.verdict is Verdict.OUT_OF_ENVELOPE:
        return "No score: the image lies outside the calibrated envelope."
    return "No calibrated score."


def _provenance(draw: ImageDraw.ImageDraw, place: tuple[float, float], explained: ExplainedPlane) -> float:
    left, y = place
    bundle, shown = explained.analysis.bundle, explained.map
    lines = (
        ("Saliency", made_by(shown)),
        ("Parameters", shortened(parameters(shown.parameters), 150)),
        ("Bundle", f"{bundle.name} {bundle.version}"),
        ("Bundle digest", digest(bundle.digest)),
        ("Weights digest", digest(bundle.weights_digest)),
        ("Device", explained.analysis.fingerprint.device),
    )
    for title, text in lines:
        write(draw, (left, y), title, SMALL, QUIET)
        room = _PROVENANCE_WIDTH - _TITLE_WIDTH
        y = paragraph(draw, (left + _TITLE_WIDTH, y), text, SMALL, room) + 4
    return y


def _blank(height: int) -> tuple[Picture.Image, ImageDraw.ImageDraw]:
    picture = Picture.new("RGB", (WIDTH, height), BACKGROUND)
    return picture, ImageDraw.Draw(picture)

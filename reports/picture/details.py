"""The second picture of an explanation: all reasons, the signals, how the map is drawn, and what made it.

Deterministic, and free of patient data.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from reports.explained import ExplainedPlane
from reports.picture import words
from reports.picture.colours import BACKGROUND, QUIET, RULE, TEXT
from reports.picture.heading import foot, title_bar
from reports.picture.layout import MARGIN, WIDTH
from reports.picture.localiser import seen
from reports.picture.signal_table import signal_table
from reports.picture.typeface import BODY, SMALL, paragraph, write
from reports.wording import PROBABILITY, digest, made_by, number, parameters, probability, sentence, shortened

_TALLEST = 8192
_TOP = 112
_NAME_WIDTH = 260
_ROOM = WIDTH - 2 * MARGIN


def draw_details(explained: ExplainedPlane) -> NDArray[np.uint8]:
    """Draw what stands behind the verdict of one explained plane.

    Returns:
        (rows, columns, 3), as wide as the overlay.
    """
    finding, trust, bundle = explained.map.finding, explained.trust, explained.analysis.bundle
    picture = Picture.new("RGB", (WIDTH, _TALLEST), BACKGROUND)
    picture.paste(title_bar(sentence(finding.label), trust.verdict), (0, 0))
    draw = ImageDraw.Draw(picture)
    where = words.place(explained.plane, explained.source.get("SeriesNumber"))
    y = paragraph(draw, (MARGIN, _TOP), f"{words.DETAILS}: {where[:1].lower()}{where[1:]}", BODY, _ROOM)
    number_of_class = f"{sentence(finding.label)}: {probability(finding, explained.class_probability)}."
    y = paragraph(draw, (MARGIN, y + 12), number_of_class, SMALL, _ROOM)
    score = "no calibrated number" if trust.score is None else number(trust.score)
    for text in (f"{PROBABILITY}: {score}.", *trust.reasons, f"{seen(trust)}."):
        y = paragraph(draw, (MARGIN, y + 4), text, SMALL, _ROOM)
    draw.line((MARGIN, y + 14, WIDTH - MARGIN, y + 14), fill=RULE, width=2)
    y = signal_table(draw, (MARGIN, y + 26), trust)
    draw.line((MARGIN, y + 14, WIDTH - MARGIN, y + 14), fill=RULE, width=2)
    y = _provenance(draw, y + 26, explained)
    y = paragraph(draw, (MARGIN, y + 12), words.HOW_IT_IS_DRAWN, SMALL, _ROOM, QUIET)
    bottom = round(y) + 16
    strip = foot(bundle.name, bundle.version)
    picture.paste(strip, (0, bottom))
    return np.asarray(picture.crop((0, 0, WIDTH, bottom + strip.height)))


def _provenance(draw: ImageDraw.ImageDraw, top: float, explained: ExplainedPlane) -> float:
    bundle, shown = explained.analysis.bundle, explained.map
    lines = (
        ("Saliency", f"{made_by(shown)}; {shortened(parameters(shown.parameters), 150)}"),
        ("Model", f"{bundle.title} ({bundle.name} {bundle.version})"),
        ("Digests", f"bundle {digest(bundle.digest)}, weights {digest(bundle.weights_digest)}"),
        ("Device", explained.analysis.fingerprint.device),
    )
    for title, text in lines:
        write(draw, (MARGIN, top), title, SMALL, QUIET)
        top = paragraph(draw, (MARGIN + _NAME_WIDTH, top), text, SMALL, _ROOM - _NAME_WIDTH, TEXT) + 4
    return top

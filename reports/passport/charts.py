"""Charts of a passport as inline SVG: dots with intervals and small line charts; no scripts, nothing from elsewhere."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.passport.class_calibration import JudgedProbability, Reliability
from inference.passport.entries import CriterionCurve
from reports.picture.svg import DASHED, circle, drawing, line, polyline, rectangle, text

INK, QUIET, RULE = "#1d2430", "#5b6675", "#d5dae1"
METHOD, CONTROL, CHOSEN, REFERENCE = "#1f5fa8", "#9a6a12", "#0b7a4b", "#6c4ab0"
LINES = ("#1f5fa8", "#c0392b", "#6c4ab0", "#0b7a4b")
NULL_WORD = "null"
_TICK = 0.2
_ROW, _LEFT, _RIGHT, _WIDTH = 19, 190, 70, 900


@dataclass(frozen=True, slots=True)
class Dot:
    """One row of a dot plot."""

    name: str
    value: float
    interval: tuple[float, float] | None
    kind: str
    """chosen, method, control, or reference: a network trained on outlines of the lesions."""


def dot_plot(dots: Sequence[Dot], label: str, *, low: float = 0.0, high: float = 1.0) -> str:
    """Draw one row for each dot: value, 95 % interval, and the figure in words at the right.

    Args:
        dots: from top to bottom.
        label: of the axis.
        low: left end of the axis.
        high: right end of the axis.
    """
    span = max(high - low, 1e-9)
    room = _WIDTH - _LEFT - _RIGHT
    height = _ROW * len(dots) + 44

    def x(value: float) -> float:
        return _LEFT + room * (min(max(value, low), high) - low) / span

    parts = []
    for step in range(math.ceil(low / _TICK - 1e-9), math.floor(high / _TICK + 1e-9) + 1):
        value = _TICK * step
        parts.append(line(x(value), 4, x(value), height - 34, stroke=RULE))
        parts.append(_words(x(value), height - 20, f"{value:.1f}", "middle", QUIET))
    parts.append(_words(_LEFT + room / 2, height - 4, label, "middle", QUIET))
    colours = {"chosen": CHOSEN, "method": METHOD, "control": CONTROL, "reference": REFERENCE}
    for at, dot in enumerate(dots):
        y = 14 + _ROW * at
        colour = colours[dot.kind]
        mark = {"chosen": " (chosen)", "control": " (control)", "reference": " (reference)"}.get(dot.kind, "")
        parts.append(_words(_LEFT - 10, y + 4, dot.name.replace("_", " ") + mark, "end", INK))
        if dot.interval is not None:
            parts.append(line(x(dot.interval[0]), y, x(dot.interval[1]), y, stroke=colour, stroke_width=2.2))
        parts.append(_symbol(x(dot.value), y, colour, square=dot.kind == "control"))
        parts.append(_words(_WIDTH - _RIGHT + 14, y + 4, f"{dot.value:.2f}", "start", INK))
    return _drawn(_WIDTH, height, label, parts)


def line_chart(curve: CriterionCurve, title: str, *, width: int = 290, height: int = 190) -> str:
    """Draw the lines of a curve over one axis; the null is dashed, and every line is named in the legend.

    Args:
        curve: with numbers, or names of stages, along x.
        title: above the chart.
        width: in CSS pixels.
        height: in CSS pixels, without the legend.
    """
    left, top, right, bottom = 34, 22, 8, 34
    values = [value for means in curve.lines.values() for value in means]
    low, high = min(0.0, *values), max(1.0, *values)
    numeric = all(not isinstance(place, str) for place in curve.x)
    places = [float(place) for place in curve.x] if numeric else [float(at) for at in range(len(curve.x))]
    first, last = min(places), max(places)

    def x(value: float) -> float:
        return left + (width - left - right) * (value - first) / max(last - first, 1e-9)

    def y(value: float) -> float:
        return top + (height - top - bottom) * (high - value) / max(high - low, 1e-9)

    parts = [_words(left, 13, title, "start", INK, size=12, bold=True)]
    for value in (low, (low + high) / 2, high):
        parts.append(line(left, y(value), width - right, y(value), stroke=RULE))
        parts.append(_words(left - 4, y(value) + 4, f"{value:.1f}", "end", QUIET, size=10))
    ends = (f"{first:g}", f"{last:g}") if numeric else (str(curve.x[0]), f"{len(curve.x) - 1} stages")
    parts.append(_words(left, height - 20, ends[0], "start", QUIET, size=10))
    parts.append(_words(width - right, height - 20, ends[1], "end", QUIET, size=10))
    parts.append(_words((left + width - right) / 2, height - 8, curve.x_label, "middle", QUIET, size=10))
    for at, (name, means) in enumerate(curve.lines.items()):
        is_null = NULL_WORD in name
        colour = QUIET if is_null else LINES[at % len(LINES)]
        dash = DASHED if is_null else ""
        points = [(x(place), y(mean)) for place, mean in zip(places, means, strict=True)]
        parts.append(polyline(points, stroke=colour, stroke_width=1.8, stroke_dasharray=dash))
        row = height + 6 + 15 * at
        parts.append(line(left, row, left + 22, row, stroke=colour, stroke_width=2, stroke_dasharray=dash))
        parts.append(_words(left + 28, row + 4, name, "start", INK, size=10))
    return _drawn(width, height + 15 * len(curve.lines), title, parts)


def reliability_chart(judged: JudgedProbability, title: str, *, side: int = 250) -> str:
    """Draw a reliability diagram: the share that is right against the probability, with intervals; on the diagonal.

    Args:
        judged: probabilities as the network gives them (squares) and as they were set right (dots).
        title: above the chart.
        side: of the square of both axes, in CSS pixels.
    """
    left, top, right = 34, 22, 12
    bottom, width = top + side, left + side + right

    def x(value: float) -> float:
        return left + side * value

    def y(value: float) -> float:
        return bottom - side * value

    parts = [_words(left, 13, title, "start", INK, size=12, bold=True)]
    for value in (0.0, 0.5, 1.0):
        parts.append(line(left, y(value), left + side, y(value), stroke=RULE))
        parts.append(line(x(value), top, x(value), bottom, stroke=RULE))
        parts.append(_words(left - 4, y(value) + 4, f"{value:.1f}", "end", QUIET, size=10))
        parts.append(_words(x(value), bottom + 14, f"{value:.1f}", "middle", QUIET, size=10))
    parts.append(line(x(0), y(0), x(1), y(1), stroke=QUIET, stroke_dasharray=DASHED))
    parts.append(_words(x(0.5), bottom + 28, "probability, mean of the bin", "middle", QUIET, size=10))
    series: list[tuple[str, Reliability | None, str]] = [("as the network gives it", judged.raw, CONTROL)]
    series.append(("calibrated here", judged.calibrated, METHOD))
    drawn = [(name, reliability, colour) for name, reliability, colour in series if reliability is not None]
    for at, (name, reliability, colour) in enumerate(drawn):
        square = reliability is judged.raw
        for entry in reliability.bins:
            place, edges = x(entry.probability), entry.right.edges
            if edges is not None:
                parts.append(line(place, y(edges[0]), place, y(edges[1]), stroke=colour, stroke_width=1.4))
            parts.append(_symbol(place, y(entry.right.value), colour, square=square))
        row = bottom + 46 + 15 * at
        parts.append(_symbol(left + 6, row - 4, colour, square=square))
        parts.append(_words(left + 18, row, name, "start", INK, size=10))
    return _drawn(width, bottom + 40 + 15 * len(drawn), title, parts)


def _drawn(width: int, height: int, label: str, parts: Iterable[str]) -> str:
    return drawing(width, height, label, parts, width=width, height=height, font_family="inherit")


def _symbol(x: float, y: float, colour: str, *, square: bool) -> str:
    if square:
        return rectangle(x - 4, y - 4, 8, 8, fill="#fff", stroke=colour, stroke_width=2)
    return circle(x, y, 4.6, fill=colour)


def _words(x: float, y: float, words: str, anchor: str, colour: str, *, size: int = 12, bold: bool = False) -> str:
    return text(x, y, words, anchor, font_size=size, fill=colour, font_weight="600" if bold else "")

"""A figure's control charts as inline SVG: the days' means, and below them each chart with its limits and its alarm.

Colours are classes (``good``, ``bad``, ``rule``, ``quiet``, ``ink``) of the page that shows it; alarms are marked by a
ring and a word too. No scripts, nothing from elsewhere.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from reports.audit.charts.control_charts import Reading
from reports.audit.charts.monitor import SHIFT, Figure, Line
from reports.picture.svg import DASHED, circle, drawing, line, polyline, text

WIDTH, MEANS, STRIP, GAP, LEFT, RIGHT = 640, 120, 64, 20, 72, 12
MOST_POINTS = 400
"""Drawn at most: the newest."""


def picture(figure: Figure, meaning: str) -> str:
    """Draw one figure; of more than 400 points the newest.

    Args:
        figure: with at least one point.
        meaning: what it is, in words.
    """
    first = max(len(figure.points) - MOST_POINTS, 0)
    points = figure.points[first:]
    height = 26 + MEANS + len(figure.lines) * (STRIP + GAP) + 22
    alarms = [f"{chart.chart.kind} alarm" for chart in figure.lines if chart.alarm is not None]
    label = f"{figure.name}, {meaning}: {len(figure.points)} days, {', '.join(alarms) or 'no alarm'}"
    parts = [
        text(LEFT, 14, figure.name.replace("_", " "), "start", class_="ink title"),
        text(LEFT + 150, 14, meaning, "start", class_="quiet"),
        *_means([point.mean for point in points], figure.baseline_mean, 26),
    ]
    top = 26 + MEANS + GAP
    for chart in figure.lines:
        parts += _strip(chart, chart.readings[first:], first, top)
        shift, days = f"{SHIFT * figure.baseline_sd:.2g}", f"{chart.delay:.0f} days with a case"
        expected = f"a lasting shift of {shift} is expected to be seen in {days}"
        parts.append(text(LEFT, top - 4, expected, "start", class_="quiet"))
        top += STRIP + GAP
    for at, anchor in ((0, "start"), (len(points) - 1, "end")):
        parts.append(text(_x(at, len(points)), height - 6, _day(int(points[at].period)), anchor, class_="quiet"))
    return drawing(WIDTH, height, label, parts, class_="chart")


def _means(means: Sequence[float], baseline: float, top: float) -> list[str]:
    low, high = min(*means, baseline), max(*means, baseline)
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return top + (MEANS - 8) * (high - value) / span + 4

    parts = [_level(y(baseline), "good"), text(LEFT - 6, y(baseline) + 4, f"{baseline:.3g}", "end", class_="good")]
    ends = [value for value in (low, high) if abs(y(value) - y(baseline)) > 12]
    parts += [text(LEFT - 6, y(value) + 4, f"{value:.3g}", "end", class_="quiet") for value in ends]
    return [*parts, *(circle(_x(at, len(means)), y(value), 1.7, class_="ink") for at, value in enumerate(means))]


def _strip(chart: Line, readings: Sequence[Reading], first: int, top: float) -> list[str]:
    reach = chart.chart.reach
    high = max(1.25 * reach, *(max(reading.up, -reading.down) for reading in readings))

    def y(value: float) -> float:
        return top + STRIP / 2 - value / high * STRIP / 2

    parts = [text(LEFT - 6, y(0) + 4, str(chart.chart.kind), "end", class_="quiet"), _level(y(0), "rule")]
    parts += [_level(y(limit), "bad", dashes=DASHED) for limit in (reach, -reach)]
    both = [[reading.up for reading in readings], [reading.down for reading in readings]]
    for values in both if both[0] != both[1] else both[:1]:
        parts.append(polyline(((_x(at, len(values)), y(value)) for at, value in enumerate(values)), class_="ink"))
    if chart.alarm is not None and chart.alarm >= first:
        at = chart.alarm - first
        value = readings[at].up if readings[at].up > reach else readings[at].down
        x = _x(at, len(readings))
        parts.append(circle(x, y(value), 5, class_="bad ring", fill="none"))
        anchor, step = ("end", -9) if x > WIDTH * 0.8 else ("start", 9)
        parts.append(text(x + step, y(value) + 4, "alarm", anchor, class_="bad"))
    return parts


def _x(at: int, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * at / max(count - 1, 1)


def _level(y: float, kind: str, *, dashes: str = "") -> str:
    return line(LEFT, y, WIDTH - RIGHT, y, class_=kind, stroke_dasharray=dashes)


def _day(number: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).date().isoformat()

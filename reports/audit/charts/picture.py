"""A figure's control charts as inline SVG: the days' means, and below them each chart with its limits and its alarm.

Colours are classes (``good``, ``bad``, ``rule``, ``quiet``, ``ink``) of the page that shows it; alarms are told by a
ring and a word too. No scripts, nothing from elsewhere.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape

from reports.audit.charts.control_charts import Reading
from reports.audit.charts.monitor import SHIFT, Figure, Line

WIDTH, MEANS, STRIP, GAP, LEFT, RIGHT = 640, 120, 64, 20, 72, 12
MOST_POINTS = 400
"""Drawn at most: the newest."""


def picture(figure: Figure, meaning: str) -> str:
    """Draw one figure; of more than 400 points the newest.

    Args:
        figure: with at least one point.
        meaning: what it is, for people who do not see it too.
    """
    first = max(len(figure.points) - MOST_POINTS, 0)
    points = figure.points[first:]
    height = 26 + MEANS + len(figure.lines) * (STRIP + GAP) + 22
    alarms = [f"{line.chart.kind} alarm" for line in figure.lines if line.alarm is not None]
    label = f"{figure.name}, {meaning}: {len(figure.points)} days, {', '.join(alarms) or 'no alarm'}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(label)}" class="chart">',
        _text(LEFT, 14, figure.name.replace("_", " "), "start", "ink title"),
        _text(LEFT + 150, 14, meaning, "start", "quiet"),
        *_means([point.mean for point in points], figure.baseline_mean, 26),
    ]
    top = 26 + MEANS + GAP
    for line in figure.lines:
        parts += _strip(line, line.readings[first:], first, top)
        shift, days = f"{SHIFT * figure.baseline_sd:.2g}", f"{line.delay:.0f} days with a case"
        told = f"a lasting shift of {shift} is expected to be seen in {days}"
        parts.append(_text(LEFT, top - 4, told, "start", "quiet"))
        top += STRIP + GAP
    for at, anchor in ((0, "start"), (len(points) - 1, "end")):
        parts.append(_text(_x(at, len(points)), height - 6, _day(int(points[at].period)), anchor, "quiet"))
    return "".join([*parts, "</svg>"])


def _means(means: Sequence[float], usual: float, top: float) -> list[str]:
    low, high = min(*means, usual), max(*means, usual)
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return top + (MEANS - 8) * (high - value) / span + 4

    parts = [_level(y(usual), "good"), _text(LEFT - 6, y(usual) + 4, f"{usual:.3g}", "end", "good")]
    ends = [value for value in (low, high) if abs(y(value) - y(usual)) > 12]
    parts += [_text(LEFT - 6, y(value) + 4, f"{value:.3g}", "end", "quiet") for value in ends]
    dots = (
        f'<circle class="ink" cx="{_x(at, len(means)):.1f}" cy="{y(value):.1f}" r="1.7"/>'
        for at, value in enumerate(means)
    )
    return [*parts, *dots]


def _strip(line: Line, readings: Sequence[Reading], first: int, top: float) -> list[str]:
    reach = line.chart.reach
    high = max(1.25 * reach, *(max(one.up, -one.down) for one in readings))

    def y(value: float) -> float:
        return top + STRIP / 2 - value / high * STRIP / 2

    parts = [_text(LEFT - 6, y(0) + 4, str(line.chart.kind), "end", "quiet"), _level(y(0), "rule")]
    parts += [_level(y(limit), "bad", dashed=True) for limit in (reach, -reach)]
    both = [[one.up for one in readings], [one.down for one in readings]]
    for values in both if both[0] != both[1] else both[:1]:
        places = " ".join(f"{_x(at, len(values)):.1f},{y(value):.1f}" for at, value in enumerate(values))
        parts.append(f'<polyline class="ink" points="{places}" fill="none"/>')
    if line.alarm is not None and line.alarm >= first:
        at = line.alarm - first
        value = readings[at].up if readings[at].up > reach else readings[at].down
        x = _x(at, len(readings))
        parts.append(f'<circle class="bad ring" cx="{x:.1f}" cy="{y(value):.1f}" r="5" fill="none"/>')
        anchor, step = ("end", -9) if x > WIDTH * 0.8 else ("start", 9)
        parts.append(_text(x + step, y(value) + 4, "alarm", anchor, "bad"))
    return parts


def _x(at: int, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * at / max(count - 1, 1)


def _level(y: float, kind: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="5 3"' if dashed else ""
    return f'<line class="{kind}" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"{dash}/>'


def _text(x: float, y: float, words: str, anchor: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _day(number: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).date().isoformat()

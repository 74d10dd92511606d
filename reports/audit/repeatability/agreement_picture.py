"""Two measurements against each other (Bland and Altman 1986), and a class's consistency by month, as inline SVG.

Colours are classes of the page that shows it, as in ``chart_picture``; every line stands in words beside it too.
"""

from collections.abc import Sequence
from html import escape

from reports.audit.repeatability.cohort import Cohort
from reports.audit.repeatability.repeats import Twice
from reports.audit.repeatability.statistics import Agreement, Estimate

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 440, 220, 64, 78, 30, 34


def agreement_picture(one: Twice, agreement: Agreement, meaning: str) -> str:
    """Draw difference over mean, with bias, limits of agreement and their 95 % intervals.

    Args:
        one: with points.
        agreement: of it.
        meaning: of the figure, for people who do not see it too.
    """
    lines = (
        ("upper limit", agreement.upper_limit, "bad"),
        ("bias", agreement.bias, "good"),
        ("lower limit", agreement.lower_limit, "bad"),
    )
    across = _Scale([mean for mean, _ in one.points], LEFT + 4, WIDTH - RIGHT - 14)
    ends = [end for _, line, _ in lines for end in (line.low, line.high)]
    upright = _Scale([*(apart for _, apart in one.points), *ends], HEIGHT - BOTTOM, TOP)
    told = "; ".join(f"{name} {_told(line)}" for name, line, _ in lines)
    parts = [_begin(f"{one.figure.replace('_', ' ')}, {meaning}: {one.subjects} subjects; {told}")]
    parts.append(_text(LEFT, 14, one.figure.replace("_", " "), "start", "ink"))
    parts += [
        f'<circle class="ink" cx="{across(mean):.1f}" cy="{upright(apart):.1f}" r="1.7"/>' for mean, apart in one.points
    ]
    before = TOP - 12.0
    for _, line, kind in lines:
        y, dash = upright(line.value), "" if kind == "good" else ' stroke-dasharray="5 3"'
        parts.append(
            f'<line class="{kind}" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT - 10}" y2="{y:.1f}"{dash}/>'
            + _whisker(WIDTH - RIGHT - 4, upright(line.low), upright(line.high), kind)
        )
        before = max(before + 12.0, y + 4)
        parts.append(_text(WIDTH - RIGHT + 4, before, f"{line.value:.3g}", "start", kind))
    for value, anchor in ((across.low, "start"), (across.high, "end")):
        parts.append(_text(across(value), HEIGHT - BOTTOM + 14, f"{value:.3g}", anchor, "quiet"))
    parts.append(_text(LEFT, HEIGHT - 4, "mean of both; upright: second less first", "start", "quiet"))
    return "".join([*parts, "</svg>"])


def cohort_picture(months: Sequence[Cohort]) -> str:
    """Draw the consistency of one class, month by month, with its 95 % intervals.

    Args:
        months: of one class, oldest first, at least one with enough patients.
    """
    known = [(at, one.likeness) for at, one in enumerate(months) if one.likeness is not None]
    across = _Scale([0.0, max(len(months) - 1, 1)], LEFT + 12, WIDTH - 24)
    upright = _Scale([end for _, found in known for end in (found.low, found.high)], HEIGHT - BOTTOM, TOP)
    told = "; ".join(f"{months[at].month} {_told(found)}" for at, found in known)
    parts = [_begin(f"consistency of {months[0].label}: {told}")]
    parts.append(_text(LEFT, 14, f"{months[0].label}, {months[0].method}", "start", "ink"))
    for at, found in known:
        x = across(at)
        parts.append(_whisker(x, upright(found.low), upright(found.high), "good"))
        parts.append(f'<circle class="ink" cx="{x:.1f}" cy="{upright(found.value):.1f}" r="3"/>')
    ends = (upright.low, upright.high)
    parts += [_text(LEFT - 6, upright(value) + 4, f"{value:.3g}", "end", "quiet") for value in ends]
    edges = {0: "start", len(months) - 1: "end"}
    parts += [
        _text(across(at), HEIGHT - BOTTOM + 18, months[at].month, anchor, "quiet") for at, anchor in edges.items()
    ]
    return "".join([*parts, "</svg>"])


class _Scale:
    """Values to places, with a little air at both ends."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self.low, self.high = min(values), max(values)
        span = (self.high - self.low) or 1.0
        self._from, self._per = self.low - 0.05 * span, (end - begin) / (1.1 * span)
        self._begin = begin

    def __call__(self, value: float) -> float:
        return self._begin + (value - self._from) * self._per


def _told(line: Estimate) -> str:
    return f"{line.value:.3g} [{line.low:.3g}, {line.high:.3g}]"


def _begin(label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}" class="chart">'
    )


def _whisker(x: float, low: float, high: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

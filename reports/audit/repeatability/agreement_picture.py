"""Two measurements against each other (Bland and Altman 1986), and a class's consistency by month, as inline SVG.

Colours are classes of the page that shows it, as in ``charts/picture.py``; the label says the same in words.
"""

from collections.abc import Sequence

from reports.audit.repeatability.cohort import Cohort
from reports.audit.repeatability.repeats import Twice
from reports.audit.repeatability.statistics import Agreement, Estimate
from reports.picture.svg import DASHED, circle, drawing, line, text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 440, 220, 64, 78, 30, 34


def agreement_picture(repeats: Twice, agreement: Agreement, meaning: str) -> str:
    """Draw difference over mean, with bias, limits of agreement and their 95 % intervals.

    Args:
        repeats: with points.
        agreement: of it.
        meaning: of the figure, in words.
    """
    name = repeats.figure.replace("_", " ")
    levels = (
        ("upper limit", agreement.upper_limit, "bad", DASHED),
        ("bias", agreement.bias, "good", ""),
        ("lower limit", agreement.lower_limit, "bad", DASHED),
    )
    across = _Scale([mean for mean, _ in repeats.points], LEFT + 4, WIDTH - RIGHT - 14)
    ends = [end for _, level, *_ in levels for end in (level.low, level.high)]
    upright = _Scale([*(difference for _, difference in repeats.points), *ends], HEIGHT - BOTTOM, TOP)
    parts = [text(LEFT, 14, name, "start", class_="ink")]
    parts += [circle(across(mean), upright(difference), 1.7, class_="ink") for mean, difference in repeats.points]
    before = TOP - 12.0
    for _, level, kind, dashes in levels:
        y = upright(level.value)
        parts.append(line(LEFT, y, WIDTH - RIGHT - 10, y, class_=kind, stroke_dasharray=dashes))
        parts.append(_whisker(WIDTH - RIGHT - 4, upright(level.low), upright(level.high), kind))
        before = max(before + 12.0, y + 4)
        parts.append(text(WIDTH - RIGHT + 4, before, f"{level.value:.3g}", "start", class_=kind))
    for value, anchor in ((across.low, "start"), (across.high, "end")):
        parts.append(text(across(value), HEIGHT - BOTTOM + 14, f"{value:.3g}", anchor, class_="quiet"))
    axes = "horizontal: mean of both; vertical: second minus first"
    parts.append(text(LEFT, HEIGHT - 4, axes, "start", class_="quiet"))
    values = "; ".join(f"{title} {_written(level)}" for title, level, *_ in levels)
    return drawing(WIDTH, HEIGHT, f"{name}, {meaning}: {repeats.subjects} subjects; {values}", parts, class_="chart")


def cohort_picture(months: Sequence[Cohort]) -> str:
    """Draw the consistency of one class, month by month, with its 95 % intervals.

    Args:
        months: of one class, oldest first, at least one with enough patients.
    """
    known = [(at, month.likeness) for at, month in enumerate(months) if month.likeness is not None]
    across = _Scale([0.0, max(len(months) - 1, 1)], LEFT + 12, WIDTH - 24)
    upright = _Scale([end for _, estimate in known for end in (estimate.low, estimate.high)], HEIGHT - BOTTOM, TOP)
    parts = [text(LEFT, 14, f"{months[0].label}, {months[0].method}", "start", class_="ink")]
    for at, estimate in known:
        parts.append(_whisker(across(at), upright(estimate.low), upright(estimate.high), "good"))
        parts.append(circle(across(at), upright(estimate.value), 3, class_="ink"))
    ends = (upright.low, upright.high)
    parts += [text(LEFT - 6, upright(value) + 4, f"{value:.3g}", "end", class_="quiet") for value in ends]
    edges = {0: "start", len(months) - 1: "end"}
    for at, anchor in edges.items():
        parts.append(text(across(at), HEIGHT - BOTTOM + 18, months[at].month, anchor, class_="quiet"))
    values = "; ".join(f"{months[at].month} {_written(estimate)}" for at, estimate in known)
    return drawing(WIDTH, HEIGHT, f"consistency of {months[0].label}: {values}", parts, class_="chart")


class _Scale:
    """Values to places, with a little air at both ends."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self.low, self.high = min(values), max(values)
        span = (self.high - self.low) or 1.0
        self._from, self._per = self.low - 0.05 * span, (end - begin) / (1.1 * span)
        self._begin = begin

    def __call__(self, value: float) -> float:
        return self._begin + (value - self._from) * self._per


def _written(estimate: Estimate) -> str:
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _whisker(x: float, low: float, high: float, kind: str) -> str:
    return line(x, low, x, high, class_=kind)

"""Monitoring of a route: its control charts, from the locked baseline to today, and their alarms.

All charts of a site share its false alarms: as many a year as are asked for, whatever the number of routes and figures.
A chart starts at zero when its route is armed; what alarmed before was dealt with then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from inference.errors import Refused
from reports.audit.charts.baseline import LEAST_BASELINE, Baseline, Point
from reports.audit.charts.control_charts import Chart, ChartKind, Reading
from reports.audit.charts.design import Design, design_charts
from reports.audit.observation import FORMER_FIGURES
from reports.audit.observations import Observations, Selection, Series

SHIFT = 0.5
"""Lasting shift, in standard deviations of a case, whose expected delay is shown with each chart."""
WATCHED = (
    "trust", "trusted", "withheld", "found", "distance", "negative_unlike", "probability", "map_entropy", "hot_area",
    "centroid_row", "centroid_column", "replicate_spearman", "grey_mean", "grey_sd", "grey_noise",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched, and how often it may alarm without a cause."""

    false_alarms_per_year: float = 1.0
    figures: tuple[str, ...] = WATCHED
    kinds: tuple[ChartKind, ...] = (ChartKind.SHEWHART, ChartKind.CUSUM, ChartKind.EWMA)


@dataclass(frozen=True, slots=True)
class Locked:
    """The time a route's baseline was taken over, and from when its charts run."""

    since: datetime
    before: datetime
    armed: datetime
    design: Design | None = None
    """Of its charts, as it was locked; None: it is found anew, which takes a second."""


@dataclass(frozen=True, slots=True)
class Line:
    """One chart of one figure."""

    chart: Chart
    readings: tuple[Reading, ...]
    shift: float
    """Of a usual point, in its standard deviations, where each case is off by ``SHIFT`` of its own."""

    @property
    def delay(self) -> float:
        """Expected days with a case until that shift is signalled."""
        return self.chart.delay(self.shift)

    @property
    def alarm(self) -> int | None:
        """Index of the first point that signals; None: in control."""
        return next((n for n, reading in enumerate(self.readings) if reading.signals), None)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one route: its points and its charts, or why there are none."""

    name: str
    baseline_cases: int
    baseline_mean: float
    baseline_sd: float
    """Of the cases."""
    points: tuple[Point, ...]
    lines: tuple[Line, ...]
    absent: str = ""
    """Why nothing is charted; empty where something is."""

    @property
    def alarmed(self) -> bool:
        """Whether any chart of it signals."""
        return any(line.alarm is not None for line in self.lines)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A chart that signals."""

    figure: str
    kind: ChartKind
    day: int
    """Days since 1970-01-01 of the point that signalled first."""
    baseline_mean: float
    mean: float
    """Of the cases since the charts were armed up to that point."""
    cases: int
    """How many that is."""

    @property
    def sentence(self) -> str:
        """Say what moved, from where to where."""
        name = self.figure.replace("_", " ")
        return (
            f"{name}: {self.baseline_mean:.3g} at baseline, {self.mean:.3g} over the last {self.cases} cases "
            f"({self.kind} chart)"
        )


@dataclass(frozen=True, slots=True)
class RouteCharts:
    """Everything charted of one route."""

    route: str
    figures: tuple[Figure, ...]
    design: Design
    alarms: tuple[Alarm, ...] = field(default=())

    @property
    def run_length(self) -> float:
        """Points between false alarms of each chart alone."""
        return self.design.run_length


def watch(
    observations: Observations,
    route: str,
    locked: Locked,
    plan: Watch,
    *,
    routes: int = 1,
    until: datetime | None = None,
) -> RouteCharts:
    """Chart a route from its arming until a time.

    Args:
        observations: of the store.
        route: whose.
        locked: its baseline.
        plan: what is watched.
        routes: that share the false alarms; where the design was locked, it holds.
        until: now where left out.

    Raises:
        Refused: no design was locked and no figure has a baseline.
    """
    former = {name: FORMER_FIGURES[name] for name in plan.figures if name in FORMER_FIGURES}
    base = observations.series(
        (*plan.figures, *former.values()), Selection({"route": route}, locked.since, locked.before)
    )
    since = observations.series(plan.figures, Selection({"route": route}, locked.armed, until))
    locked_design = locked.design or design(observations, route, locked.since, locked.before, plan, routes=routes)
    charts = tuple(Chart.design(kind, locked_design.run_length) for kind in plan.kinds)
    figures = tuple(
        _locked_before(name, former[name], base[name])
        if name in former and len(base[former[name]].values) > len(base[name].values) < LEAST_BASELINE
        else _figure(name, base[name], since[name], charts)
        for name in plan.figures
    )
    alarms = tuple(alarm for figure in figures for alarm in _alarms(figure))
    return RouteCharts(route, figures, locked_design, tuple(sorted(alarms, key=lambda alarm: alarm.day)))


def design(
    observations: Observations, route: str, since: datetime, before: datetime, plan: Watch, *, routes: int = 1
) -> Design:
    """Design the charts of a route for a baseline that is about to be locked.

    Raises:
        Refused: no figure has a baseline in that time.
    """
    table = observations.table(plan.figures, Selection({"route": route}, since, before))
    return design_charts(
        {name: table[name] for name in plan.figures},
        table["day"],
        table["study"],
        max((before - since) / timedelta(days=1), 1.0),
        plan.kinds,
        false_alarms_per_year=plan.false_alarms_per_year / routes,
        seed=f"{route} {since.isoformat()} {before.isoformat()}",
    )


def _locked_before(name: str, former: str, base: Series) -> Figure:
    """Say that a baseline is of the figure an earlier release kept: nothing is held against it."""
    why = f"its baseline is of {former.replace('_', ' ')}, which it cannot be compared with: lock the baseline anew"
    return Figure(name, len(base.values), float("nan"), float("nan"), (), (), absent=why)


def _figure(name: str, base: Series, since: Series, charts: Sequence[Chart]) -> Figure:
    try:
        baseline = Baseline.of(base.values, base.days)
    except Refused as error:
        few = len(base.values) < LEAST_BASELINE
        why = f"{len(base.values)} of {LEAST_BASELINE} cases at baseline" if few else str(error.args[0])
        return Figure(name, len(base.values), float("nan"), float("nan"), (), (), absent=why)
    points = baseline.points(since.values, since.days)
    usual = float(np.sqrt(np.unique(base.days, return_counts=True)[1]).mean())
    lines = tuple(Line(chart, chart.read(points), SHIFT * usual) for chart in charts)
    return Figure(name, baseline.cases, baseline.mean, baseline.spread, points, lines)


def _alarms(figure: Figure) -> list[Alarm]:
    alarms = []
    for line in figure.lines:
        if line.alarm is None:
            continue
        upto = figure.points[: line.alarm + 1]
        recent = upto[-_run(line, line.alarm) :]
        cases = sum(point.cases for point in recent)
        mean = sum(point.mean * point.cases for point in recent) / cases
        alarms.append(Alarm(figure.name, line.chart.kind, int(upto[-1].period), figure.baseline_mean, mean, cases))
    return alarms


def _run(line: Line, alarm: int) -> int:
    """Return how many points the chart has been on the side it signalled on: since the shift, about."""
    high = line.readings[alarm].up > line.chart.reach
    side = [(reading.up > 0) if high else (reading.down < 0) for reading in line.readings[: alarm + 1]]
    for length, on in enumerate(reversed(side)):
        if not on:
            return max(length, 1)
    return len(side)

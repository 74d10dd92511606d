"""The quality of one route as JSON: its charts, and its findings side by side by scanner, class, month and the like."""

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from node.audit.audit import Quality
from node.audit.view import View
from node.web.commissioned import Interval, Told
from node.web.guard import Guard
from reports.audit.charts.monitor import Control, Figure
from reports.audit.groups import Group
from reports.audit.observation import FIGURES

Grouping = Literal["month", "scanner", "protocol", "label", "method", "model"]
Value = Annotated[str, Field(max_length=400)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Filter(BaseModel):
    """Which cases of a route are looked at, as parameters of an address; empty: all."""

    model_config = ConfigDict(frozen=True)

    scanner: Value = ""
    protocol: Value = ""
    label: Value = ""
    """The class."""
    method: Value = ""
    model: Value = ""
    month: Annotated[str, Field(pattern=r"^(\d{4}-\d{2})?$")] = ""
    by: Grouping = "month"

    def view(self, quality: Quality, route: str) -> View:
        """Give the look at a route that this asks for."""
        named = {name: str(getattr(self, name)) for name in ("scanner", "protocol", "label", "method", "model")}
        return View(quality, route, tuple((name, value) for name, value in named.items() if value), self.month, self.by)


class ChartTold(Told):
    """One figure, a point for each day that has a case."""

    figure: str
    meaning: str
    absent: str
    """Why there is no chart; empty where there is one."""
    baseline_cases: int
    baseline_mean: float | None
    days: tuple[str, ...]
    cases: tuple[int, ...]
    means: tuple[float, ...]


class ShareTold(Told):
    """So many of so many; no interval where there are too few."""

    part: int
    of: int
    interval: Interval | None


class MeanTold(Told):
    """A mean with its 95 % interval."""

    value: float
    interval: Interval


class GroupTold(Told):
    """The findings of one scanner, say, or one month."""

    name: str
    cases: int
    shares: dict[str, ShareTold]
    means: dict[str, MeanTold | None]
    """None: too few cases to say."""


class RouteQuality(Told):
    """One look at a route."""

    route: str
    state: str
    reason: str
    filter: Filter
    false_alarms_every_days: float | None
    """Days with a case between two false alarms of one chart; None: no baseline is locked."""
    alarms: tuple[str, ...]
    charts: tuple[ChartTold, ...]
    groups: tuple[GroupTold, ...]
    choices: dict[str, tuple[str, ...]]
    """What the look can be narrowed by."""


def route_quality(quality: Quality, guard: Guard) -> APIRouter:
    """Give ``/api/quality/{route}``, with the parameters of :class:`Filter`."""
    routes = APIRouter()

    @routes.get("/api/quality/{route}", dependencies=[Depends(guard.read)])
    def one_route(route: str, asked: Annotated[Filter, Query()]) -> RouteQuality:
        quality.known(route)
        view, standing = asked.view(quality, route), quality.arming.standing(route)
        control = view.control
        return RouteQuality(
            route=route,
            state=standing.state.value,
            reason=standing.reason,
            filter=asked,
            false_alarms_every_days=control.run_length if control else None,
            alarms=tuple(alarm.sentence for alarm in control.alarms) if control else (),
            charts=_charts(control) if control else (),
            groups=tuple(_group(group) for group in view.groups()),
            choices=dict(view.choices()),
        )

    return routes


def _charts(control: Control) -> tuple[ChartTold, ...]:
    return tuple(_chart(figure) for figure in control.figures)


def _chart(figure: Figure) -> ChartTold:
    return ChartTold(
        figure=figure.name,
        meaning=FIGURES[figure.name],
        absent=figure.absent,
        baseline_cases=figure.baseline_cases,
        baseline_mean=figure.baseline_mean if math.isfinite(figure.baseline_mean) else None,
        days=tuple((_EPOCH + timedelta(days=int(point.period))).date().isoformat() for point in figure.points),
        cases=tuple(point.cases for point in figure.points),
        means=tuple(point.mean for point in figure.points),
    )


def _group(group: Group) -> GroupTold:
    shares = {
        one.name: ShareTold(part=one.part, of=one.whole, interval=one.interval if one.is_finding else None)
        for one in group.shares
    }
    means = {
        name: None if one is None else MeanTold(value=one.value, interval=(one.low, one.high))
        for name, one in group.means.items()
    }
    return GroupTold(name=group.name, cases=group.cases, shares=shares, means=means)

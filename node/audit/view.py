"""A view of a route's audit: a selection of cases, up to a month, grouped."""

from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from inference.errors import HeatproofError
from node.audit.audit import Audit
from node.audit.remembered import split
from reports.audit.charts.monitor import Figure, RouteCharts
from reports.audit.charts.picture import picture
from reports.audit.month.groups import Group, groups_from, sums_of
from reports.audit.month.month import range_of
from reports.audit.observation import FIGURES
from reports.audit.observations import Extent, Observations, Selection
from reports.audit.repeatability.page import repeatability_part

T = TypeVar("T")

CHOICES = ("scanner", "protocol", "label", "method", "model")
"""Groupings that a view can be filtered by, beside the month."""


@dataclass(frozen=True)
class View:
    """The selection and its results, which are cached until a case is added."""

    audit: Audit
    route: str
    where: tuple[tuple[str, str], ...] = ()
    """Groupings with the value that each case has."""
    month: str = ""
    """As 2026-10: charts end with it, groups are of it alone."""
    by: str = "month"
    """What the groups are of."""

    @property
    def within(self) -> tuple[datetime, datetime] | None:
        """Begin and end of the month.

        Raises:
            Refused: it is not a valid month.
        """
        return range_of(self.month) if self.month else None

    @property
    def control(self) -> RouteCharts | None:
        """The charts; None: the route has no baseline.

        Raises:
            Refused: the charts have no design, and the cases make none.
        """
        return self.audit.control(self.route, until=self.within[1] if self.within else None, where=self.where)

    def pictures(self) -> tuple[tuple[Figure, str], ...]:
        """Return every figure that has points with its picture, those with an alarm first."""
        control = self.control
        if control is None:
            return ()
        key = ("pictures", self.route, self.where, self.month, self._extent, self.audit.arming.locked(self.route))
        return self.audit.cached(key, lambda: _pictures(control))

    def groups(self) -> tuple[Group, ...]:
        """Return the groups of all that there is, or of the month."""
        seen = self.audit.observations.narrowed(dict(self.where))
        whole = Selection({"route": self.route}, *(self.within or (None, None)))
        parts = self._in_parts(("sums", self.where, self.by), seen, whole, lambda part: sums_of(seen, self.by, part))
        return groups_from(self.by, parts)

    def repeatability(self) -> str:
        """Return the route's repeatability as HTML; cached until the ledger grows."""
        key = ("repeatability", self.route, self.audit.ledger.head(), datetime.now(UTC).date())
        return self.audit.cached(key, lambda: repeatability_part(self.audit.repeatability(self.route)))

    def choices(self) -> Mapping[str, tuple[str, ...]]:
        """Return the filters of the route's cases: values of each grouping, and the months, newest first."""
        seen, whole = self.audit.observations, Selection({"route": self.route})
        parts = self._in_parts(("choices",), seen, whole, lambda part: seen.values(CHOICES, part))
        together = frozenset[tuple[str, ...]]().union(*parts)
        named = {name: tuple(sorted({row[n] for row in together} - {""})) for n, name in enumerate(CHOICES)}
        return {**named, "month": _months(self._extent)}

    def _in_parts(
        self, what: tuple[Hashable, ...], seen: Observations, whole: Selection, read: Callable[[Selection], T]
    ) -> list[T]:
        """Read the closed part through the cache, and the open part from the store."""
        closed, still_open = split(whole, datetime.now(UTC))
        parts = [read(still_open)] if still_open else []
        if closed:
            key = (*what, self.route, closed.since, closed.before, seen.extent(closed))
            parts.append(self.audit.cached(key, lambda: read(closed)))
        return parts

    @property
    def _extent(self) -> Extent:
        return self.audit.observations.extent(Selection({"route": self.route}))


def prepare_views(audit: Audit) -> None:
    """Compute the first view of every route, so that whoever opens its page after a start finds it in the cache."""
    for rule in audit.rules():
        view = View(audit, rule.name)
        with suppress(HeatproofError):  # its charts have no design: the page says so
            view.pictures()
        view.groups()
        view.choices()
        view.repeatability()


def _pictures(control: RouteCharts) -> tuple[tuple[Figure, str], ...]:
    drawn = sorted((figure for figure in control.figures if figure.points), key=lambda figure: not figure.alarmed)
    return tuple((figure, picture(figure, FIGURES[figure.name])) for figure in drawn)


def _months(extent: Extent) -> tuple[str, ...]:
    if not extent.cases:
        return ()
    first, last = (datetime.fromtimestamp(at, UTC) for at in (extent.first_seconds, extent.last_seconds))
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return tuple(f"{number // 12:04}-{number % 12 + 1:02}" for number in reversed(numbers))

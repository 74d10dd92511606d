"""The overview: everything at this node that needs attention, each with the page that deals with it; also as JSON."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from markupsafe import Markup
from sqlalchemy import ColumnElement, Engine, func, or_, select

from node.associations.refusals import refusals
from node.audit.tables import baselines, replays, route_states
from node.routing.rulebook import Rulebook
from node.settings.audit import RouteState
from node.store import DeliveryState, JobState, StudyState, deliveries, jobs, now, studies
from node.web.access.caller import Principal
from node.web.guard import Guard
from node.web.lists.figures import FiguresReader, OverviewFigures, studies_chart, verdicts_chart
from node.web.lists.study_lines import IS_CURRENT
from node.web.pages import Freshness, Pages
from reports.audit.ledger import Event
from reports.audit.ledger_page import Filter, newest

DAY = timedelta(days=1)
PATIENCE = timedelta(minutes=15)
"""A study that has waited longer, or a result that has not arrived for longer, is listed."""
FAILED_FOR = timedelta(days=7)
"""How long a failed analysis is listed here; the list of studies keeps it."""
MOST_ALARMS = 200
REFRESH_SECONDS = 60
CONCERN_EVENTS = (
    Event.STARTED, Event.REFUSED, Event.ASSOCIATION_REFUSED, Event.QUARANTINED, Event.RULES_REFUSED,
    Event.RULES_LOADED, Event.DELIVERY_FAILED, Event.DELIVERY_ABANDONED, Event.DELIVERY_RESENT, Event.REPLAY_FAILED,
    Event.ACCEPTED, Event.BASELINE_LOCKED, Event.ALARM, Event.ROUTE_STOPPED, Event.ROUTE_ARMED,
)  # fmt: skip
"""Events that begin or end a concern: where there is none, the last of them tells since when."""
Weight = Literal["act", "look"]


@dataclass(frozen=True)
class Concern:
    """One thing that needs attention."""

    weight: Weight
    """act: something is stopped or lost until somebody acts; look: something should be checked."""
    sentence: str
    since: datetime | None
    link: str
    """Address of the page where it is dealt with."""
    cure: str


@dataclass(frozen=True)
class OpenConcerns:
    """Everything that needs attention, what needs action first."""

    concerns: tuple[Concern, ...]
    quiet_since: datetime | None
    """Where there is none: the last time that a concern began or ended."""


class Concerns:
    """Collects them from the store; each query uses an index."""

    def __init__(self, engine: Engine, rulebook: Rulebook, obstacles: Callable[[], Sequence[str]]) -> None:
        """Bind to one node.

        Args:
            engine: the node's store.
            rulebook: the rules in force, and which bundles are commissioned.
            obstacles: reasons why the node receives no studies now.
        """
        self._engine = engine
        self._rulebook = rulebook
        self._obstacles = obstacles

    def all(self) -> OpenConcerns:
        """Run every check."""
        checks = (
            self._node(), self._routes(), self._alarms(),
            self._failed_deliveries(), self._late_deliveries(), self._unproven_deliveries(),
            self._studies(), self._analyses(), self._replays(), self._baselines(), self._passports(), self._refusals(),
        )  # fmt: skip
        concerns = sorted((concern for check in checks for concern in check), key=lambda concern: concern.weight)
        return OpenConcerns(tuple(concerns), None if concerns else self._last_event())

    def _node(self) -> Iterator[Concern]:
        for obstacle in self._obstacles():
            cure = "Fix this on the node's host; receiving resumes automatically."
            yield Concern("act", f"Studies are refused now. {obstacle}", None, "/readyz", cure)
        for problem in self._rulebook.problems:
            sentence = f"The new rules were refused, the old ones are in force. {problem}"
            yield Concern("act", sentence, None, "/rules", "Correct the settings file, then `heatproof rules reload`.")
        if self._rulebook.file_changed:
            sentence = "The settings file has been changed, and its rules are not in force."
            cure = "`heatproof rules reload` shows the difference and imports them."
            yield Concern("look", sentence, None, "/rules#versions", cure)

    def _routes(self) -> Iterator[Concern]:
        effects = {
            RouteState.HELD: "is held: its studies are not analysed",
            RouteState.SHADOW: "is in shadow mode: its studies are analysed, results are not sent",
            RouteState.WITHHOLD: "sends results without maps",
        }
        for row in self._rows(select(route_states).order_by(route_states.c.changed_at)):
            waiting = self._count(StudyState.HELD, row.route)
            held = f" {_many(waiting, 'study waits', 'studies wait')} for it." if waiting else ""
            sentence = f"Route {row.route} {effects[RouteState(row.state)]}. {row.reason}{held}"
            cure = "Find the cause, then arm the route."
            yield Concern("act", sentence, row.changed_at, _at("/audit", route=row.route), cure)

    def _alarms(self) -> Iterator[Concern]:
        """List the alarms since each route was armed, of routes that were not stopped for them."""
        armed = {row.route: row.armed_at for row in self._rows(select(baselines.c.route, baselines.c.armed_at))}
        stopped = {row.route for row in self._rows(select(route_states.c.route))}
        alarms: dict[str, list[tuple[datetime, str]]] = {}
        for entry in newest(self._engine, Filter((Event.ALARM,)), limit=MOST_ALARMS):
            route = str(entry.details.get("route"))
            if route in armed and route not in stopped and entry.at >= armed[route]:
                alarms.setdefault(route, []).append((entry.at, str(entry.details.get("problem"))))
        for route, of_route in alarms.items():
            others = len({problem for _, problem in of_route}) - 1
            sentence = f"Alarm on route {route}: {of_route[0][1]}{f' and {others} more' if others else ''}."
            cure = "Check its charts; stop the route, or arm it again once the cause is known."
            yield Concern("act", sentence, of_route[-1][0], _at("/audit", route=route), cure)

    def _failed_deliveries(self) -> Iterator[Concern]:
        for name, count, since, error in self._undelivered(deliveries.c.state == DeliveryState.FAILED):
            sentence = f"Delivery of {_many(count, 'result', 'results')} to {name} has failed. {error or ''}"
            link = _at("/deliveries", state="failed", destination=name)
            yield Concern("act", sentence, since, link, "Fix the destination, then send them again.")

    def _late_deliveries(self) -> Iterator[Concern]:
        late = or_(deliveries.c.last_error.is_not(None), deliveries.c.updated_at < now() - PATIENCE)
        for name, count, since, error in self._undelivered(deliveries.c.state == DeliveryState.QUEUED, late):
            sentence = f"{_many(count, 'result is', 'results are')} not delivered to {name} yet. {error or 'Queued.'}"
            link = _at("/deliveries", state="queued", destination=name)
            yield Concern("look", sentence, since, link, "Retries go on for days; the page shows why they fail.")

    def _unproven_deliveries(self) -> Iterator[Concern]:
        unproven = (deliveries.c.state == DeliveryState.SENT, deliveries.c.last_error.is_not(None))
        for name, count, since, error in self._undelivered(*unproven):
            said = f"{_many(count, 'result was', 'results were')} sent to {name}, which does not confirm to store them."
            link = _at("/deliveries", state="sent", destination=name)
            cure = f"`heatproof doctor {name}` says what it offers; `proof` in the settings says what is asked for."
            yield Concern("look", f"{said} {error}", since, link, cure)

    def _undelivered(self, *conditions: ColumnElement[bool]) -> Sequence[Any]:
        """Read name, number of objects, earliest change and an error of each destination."""
        changed = deliveries.c.updated_at
        columns = (deliveries.c.destination, func.count(), func.min(changed), func.max(deliveries.c.last_error))
        return self._rows(select(*columns).where(*conditions).group_by(deliveries.c.destination))

    def _studies(self) -> Iterator[Concern]:
        arrived, late, today = studies.c.first_received_at, now() - PATIENCE, now() - DAY
        checks = (
            (StudyState.RECEIVING, arrived < late, "waiting", "is still incomplete", "are still incomplete"),
            (StudyState.COMPLETE, arrived < late, "waiting", "waits for a decision", "wait for a decision"),
            (StudyState.NOT_ROUTED, arrived >= today, "not routed", "matched no rule", "matched no rule"),
        )
        for state, condition, show, single, several in checks:
            query = select(func.count(), func.min(arrived)).where(studies.c.state == state, condition)
            ((count, first),) = self._rows(query)
            if count:
                is_new = state is StudyState.NOT_ROUTED
                counted = _many(count, f"study {single}", f"studies {several}")
                cure = "The Rules page shows why, clause by clause." if is_new else "See the page of each study."
                yield Concern(
                    "look", f"{counted}{' since yesterday' if is_new else ''}.", first, _at("/studies", show=show), cure
                )

    def _analyses(self) -> Iterator[Concern]:
        aside = select(func.count(), func.min(studies.c.complete_at)).where(studies.c.state == StudyState.SET_ASIDE)
        ((count, first),) = self._rows(aside)
        if count:
            sentence = f"{_many(count, 'study', 'studies')} could not be decided, and will not be tried again."
            cure = "Each study's page has the reason; `heatproof rules retry` has it decided again."
            yield Concern("act", sentence, first, _at("/studies", show="set aside"), cure)
        failed = select(func.count(), func.min(jobs.c.finished_at)).where(
            jobs.c.state == JobState.FAILED, jobs.c.finished_at >= now() - FAILED_FOR, IS_CURRENT
        )
        ((count, first),) = self._rows(failed)
        if count:
            sentence = f"{_many(count, 'analysis', 'analyses')} failed in the last week."
            yield Concern("act", sentence, first, _at("/studies", show="failed"), "Each study's page has the reason.")

    def _replays(self) -> Iterator[Concern]:
        latest = select(func.max(replays.c.id)).group_by(replays.c.bundle)
        last = {row.bundle: row for row in self._rows(select(replays).where(replays.c.id.in_(latest)))}
        hours = self._rulebook.settings.audit.replay_hours
        for bundle in self._bundles():
            row = last.get(bundle)
            if row is None:
                sentence = f"No installation of {bundle} has been accepted: its golden set is not replayed."
                cure = "`heatproof audit accept --by NAME` records its present results as the reference."
                yield Concern("look", sentence, None, "/audit", cure)
            elif not row.passed:
                cure = "Find what changed; accept an intended change by `heatproof audit accept`."
                sentence = f"The golden set of {bundle} has changed: {row.sentence}"
                yield Concern("act", sentence, row.at, "/audit", cure)
            elif row.at < now() - timedelta(hours=hours) - PATIENCE:
                sentence = f"The golden-set replay of {bundle} is overdue: it is due every {hours:g} h."
                cure = "`heatproof audit replay` runs it now; the log tells why it did not run."
                yield Concern("look", sentence, row.at, "/audit", cure)

    def _baselines(self) -> Iterator[Concern]:
        locked = {row.route for row in self._rows(select(baselines.c.route))}
        for rule in self._rulebook.rules:
            if rule.name not in locked:
                cure = "Lock a period that is known to be good: `heatproof audit baseline`."
                sentence = f"Route {rule.name} has no baseline: its charts cannot alarm."
                yield Concern("look", sentence, None, _at("/audit", route=rule.name), cure)

    def _passports(self) -> Iterator[Concern]:
        for bundle in self._bundles():
            if bundle not in self._rulebook.warrants:
                cure = f"`heatproof commission {bundle}` on annotated cases of this site."
                sentence = f"{bundle} has no passport of this site: its overlays are UNCOMMISSIONED."
                yield Concern("look", sentence, None, f"/models/{bundle}", cure)

    def _refusals(self) -> Iterator[Concern]:
        columns = (func.count(refusals.c.peer_address.distinct()), func.count(), func.min(refusals.c.at))
        ((peers, kinds, first),) = self._rows(select(*columns).where(refusals.c.at >= now() - DAY))
        if kinds:
            different = _many(kinds, "refusal", "different refusals")
            sentence = f"{_many(peers, 'peer', 'peers')} had requests refused since yesterday: {different}."
            yield Concern("look", sentence, first, "/doctor", "The Doctor page tells what to do about each.")

    def _bundles(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(bundle for rule in self._rulebook.rules for bundle in rule.bundles))

    def _count(self, state: StudyState, route: str) -> int:
        ((count,),) = self._rows(select(func.count()).where(studies.c.state == state, studies.c.route == route))
        return int(count)

    def _last_event(self) -> datetime | None:
        last = newest(self._engine, Filter(CONCERN_EVENTS), limit=1)
        return last[0].at if last else None

    def _rows(self, query: Any) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()


def overview_routes(concerns: Concerns, reader: FiguresReader, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/``, ``/api/overview`` and ``/api/figures``."""
    routes = APIRouter()

    @routes.get("/")
    def show(request: Request, caller: Annotated[Principal, Depends(guard.page)]) -> Response:
        figures = reader.read()
        drawn = [("Studies a day", studies_chart(figures.studies_a_day))]
        if figures.verdicts:
            drawn.append(("Verdicts of the last 30 days", verdicts_chart(figures.verdicts)))
        return pages.show(
            "overview.html",
            caller=caller,
            here="/",
            open=concerns.all(),
            figures=figures,
            charts=[(title, Markup(chart)) for title, chart in drawn],  # noqa: S704 - every word escaped
            fresh=Freshness.of(request, REFRESH_SECONDS),
        )

    @routes.get("/api/figures", dependencies=[Depends(guard.read)])
    def figures() -> OverviewFigures:
        return reader.read()

    @routes.get("/api/overview", dependencies=[Depends(guard.read)])
    def overview() -> OpenConcerns:
        return concerns.all()

    return routes


def _many(count: int, single: str, several: str) -> str:
    return f"{count:,} {single if count == 1 else several}"


def _at(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"

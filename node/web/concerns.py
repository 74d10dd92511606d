"""What needs somebody: everything at this node that a person has to mend, each with where that is done; as JSON."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from sqlalchemy import Engine, func, or_, select

from node.associations.refusals import refusals
from node.audit.tables import baselines, replays, route_states
from node.routing.rulebook import Rulebook
from node.settings.audit import RouteState
from node.store import DeliveryState, JobState, StudyState, deliveries, jobs, now, studies
from node.web.guard import Guard
from reports.audit.ledger import Event
from reports.audit.ledger_page import Filter, newest

DAY = timedelta(days=1)
PATIENCE = timedelta(minutes=15)
"""A study that has waited longer, or a result that has not arrived for longer, needs somebody."""
FAILED_FOR = timedelta(days=7)
"""How long an analysis that failed is told; the list of studies keeps it."""
MOST_ALARMS = 200
TROUBLE = (
    Event.STARTED, Event.REFUSED, Event.ASSOCIATION_REFUSED, Event.QUARANTINED, Event.RULES_REFUSED,
    Event.RULES_LOADED, Event.DELIVERY_FAILED, Event.DELIVERY_ABANDONED, Event.DELIVERY_RESENT, Event.REPLAY_FAILED,
    Event.ACCEPTED, Event.BASELINE_LOCKED, Event.ALARM, Event.ROUTE_STOPPED, Event.ROUTE_ARMED,
)  # fmt: skip
"""What begins or ends a trouble: since the last of these nothing has needed anybody."""
Weight = Literal["act", "look"]


@dataclass(frozen=True)
class Concern:
    """One thing that needs somebody."""

    weight: Weight
    """act: something is stopped or lost until somebody acts; look: something should be looked at."""
    sentence: str
    since: datetime | None
    link: str
    """Address of the page where it is mended."""
    cure: str


@dataclass(frozen=True)
class Needs:
    """Everything that needs somebody, the heaviest first."""

    concerns: tuple[Concern, ...]
    quiet_since: datetime | None
    """Where there is none: the last time that a trouble began or ended."""


class Concerns:
    """Gathers them from the store; each question walks along an index."""

    def __init__(self, engine: Engine, rulebook: Rulebook, obstacles: Callable[[], Sequence[str]]) -> None:
        """Bind to one node.

        Args:
            engine: the node's store.
            rulebook: the rules in force, and which bundles are commissioned.
            obstacles: what keeps the node from taking studies.
        """
        self._engine = engine
        self._rulebook = rulebook
        self._obstacles = obstacles

    def all(self) -> Needs:
        """Ask everything there is to ask."""
        parts = (
            self._node(), self._routes(), self._alarms(), self._deliveries(), self._studies(), self._replays(),
            self._baselines(), self._passports(), self._refusals(),
        )  # fmt: skip
        found = sorted((one for part in parts for one in part), key=lambda one: one.weight)
        return Needs(tuple(found), None if found else self._last_trouble())

    def _node(self) -> Iterator[Concern]:
        for obstacle in self._obstacles():
            cure = "Mend this on the machine of the node; it takes studies again by itself."
            yield Concern("act", f"Studies are refused now. {obstacle}", None, "/readyz", cure)
        for problem in self._rulebook.problems:
            sentence = f"The new rules were refused, the old ones are in force. {problem}"
            yield Concern("act", sentence, None, "/rules", "Mend the settings file, then `heatproof rules reload`.")

    def _routes(self) -> Iterator[Concern]:
        told = {
            RouteState.HELD: "is held: nothing of it is analysed",
            RouteState.SHADOW: "is in shadow: analysed, not sent",
            RouteState.WITHHOLD: "is sent without maps",
        }
        for row in self._rows(select(route_states).order_by(route_states.c.changed_at)):
            waiting = self._count(StudyState.HELD, row.route)
            held = f" {_many(waiting, 'study waits', 'studies wait')} for it." if waiting else ""
            sentence = f"Route {row.route} {told[RouteState(row.state)]}. {row.reason}{held}"
            cure = "Find the cause, then arm the route."
            yield Concern("act", sentence, row.changed_at, _at("/quality", route=row.route), cure)

    def _alarms(self) -> Iterator[Concern]:
        """Tell alarms of routes that were not stopped for them, since each was armed."""
        armed = {row.route: row.armed_at for row in self._rows(select(baselines.c.route, baselines.c.armed_at))}
        stopped = {row.route for row in self._rows(select(route_states.c.route))}
        told: dict[str, list[tuple[datetime, str]]] = {}
        for entry in newest(self._engine, Filter((Event.ALARM,)), limit=MOST_ALARMS):
            route = str(entry.details.get("route"))
            if route in armed and route not in stopped and entry.at >= armed[route]:
                told.setdefault(route, []).append((entry.at, str(entry.details.get("problem"))))
        for route, alarms in told.items():
            sentences = sorted({sentence for _, sentence in alarms})
            more = f" and {len(sentences) - 1} more" if len(sentences) > 1 else ""
            sentence = f"Alarm on route {route}: {alarms[0][1]}{more}."
            cure = "Look at its charts; stop the route, or arm it again once the cause is known."
            yield Concern("act", sentence, alarms[-1][0], _at("/quality", route=route), cure)

    def _deliveries(self) -> Iterator[Concern]:
        one = (
            deliveries.c.destination,
            func.count(),
            func.min(deliveries.c.updated_at),
            func.max(deliveries.c.last_error),
        )
        failed = select(*one).where(deliveries.c.state == DeliveryState.FAILED).group_by(deliveries.c.destination)
        for name, count, since, error in self._rows(failed):
            sentence = f"{_many(count, 'result was', 'results were')} given up for {name}. {error or ''}"
            link = _at("/deliveries", state="failed", destination=name)
            yield Concern("act", sentence, since, link, "Mend the destination, then send them again.")
        late = select(*one).where(
            deliveries.c.state == DeliveryState.QUEUED,
            or_(deliveries.c.last_error.is_not(None), deliveries.c.updated_at < now() - PATIENCE),
        )
        for name, count, since, error in self._rows(late.group_by(deliveries.c.destination)):
            sentence = (
                f"{_many(count, 'result does', 'results do')} not arrive at {name}. {error or 'It waits its turn.'}"
            )
            link = _at("/deliveries", state="queued", destination=name)
            yield Concern("look", sentence, since, link, "They are tried again for days; the doctor tells what fails.")

    def _studies(self) -> Iterator[Concern]:
        at = now()
        told = (
            (StudyState.RECEIVING, at - PATIENCE, None, "is still incomplete", "are still incomplete", "waiting"),
            (StudyState.COMPLETE, at - PATIENCE, None, "waits for a decision", "wait for a decision", "waiting"),
            (StudyState.NOT_ROUTED, None, at - DAY, "was taken by no rule", "were taken by no rule", "not routed"),
        )
        for state, before, since, single, several, show in told:
            query = select(func.count(), func.min(studies.c.first_received_at)).where(studies.c.state == state)
            if before is not None:
                query = query.where(studies.c.first_received_at < before)
            if since is not None:
                query = query.where(studies.c.first_received_at >= since)
            ((count, first),) = self._rows(query)
            if count:
                sentence = (
                    f"{_many(count, f'study {single}', f'studies {several}')}{' since yesterday' if since else ''}."
                )
                cure = "The rules' page tells clause by clause why." if since else "A study's page tells."
                yield Concern("look", sentence, first, _at("/studies", show=show), cure)
        aside = select(func.count(), func.min(studies.c.complete_at)).where(studies.c.state == StudyState.SET_ASIDE)
        ((count, first),) = self._rows(aside)
        if count:
            sentence = f"{_many(count, 'study', 'studies')} could not be decided, and nothing more is tried."
            cure = "Each study's page has the reason; `heatproof rules retry` has it decided again."
            yield Concern("act", sentence, first, _at("/studies", show="set aside"), cure)
        failing = select(func.count(), func.min(jobs.c.finished_at)).where(
            jobs.c.state == JobState.FAILED, jobs.c.finished_at >= at - FAILED_FOR
        )
        ((count, first),) = self._rows(failing)
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
                cure = "`heatproof audit accept --by NAME` signs what its golden set gives now."
                yield Concern(
                    "look", f"No installation of {bundle} was accepted: it is not replayed.", None, "/quality", cure
                )
            elif not row.passed:
                cure = "Find what changed; accept a change that is meant by `heatproof audit accept`."
                yield Concern(
                    "act", f"The golden set of {bundle} has changed: {row.sentence}", row.at, "/quality", cure
                )
            elif row.at < now() - timedelta(hours=hours) - PATIENCE:
                cure = "`heatproof audit replay` runs it now; see the log for why it did not."
                yield Concern(
                    "look", f"The replay of {bundle} is due every {hours:g} h, and overdue.", row.at, "/quality", cure
                )

    def _baselines(self) -> Iterator[Concern]:
        locked = {row.route for row in self._rows(select(baselines.c.route))}
        for rule in self._rulebook.rules:
            if rule.name not in locked:
                cure = "Lock a time that is known to have been good: `heatproof audit baseline`."
                sentence = f"Route {rule.name} has no baseline: its charts cannot alarm."
                yield Concern("look", sentence, None, _at("/quality", route=rule.name), cure)

    def _passports(self) -> Iterator[Concern]:
        for bundle in self._bundles():
            if bundle not in self._rulebook.warrants:
                cure = f"`heatproof commission {bundle}` on annotated cases of this site."
                sentence = f"{bundle} has no passport of this site: its overlays are UNCOMMISSIONED."
                yield Concern("look", sentence, None, f"/models/{bundle}", cure)

    def _refusals(self) -> Iterator[Concern]:
        since = now() - DAY
        query = select(func.count(refusals.c.peer_address.distinct()), func.count(), func.min(refusals.c.at)).where(
            refusals.c.at >= since
        )
        ((peers, kinds, first),) = self._rows(query)
        if kinds:
            ways = _many(kinds, "way", "ways")
            sentence = f"{_many(peers, 'peer was', 'peers were')} refused something since yesterday, in {ways}."
            yield Concern("look", sentence, first, "/doctor", "The doctor has the cure of each.")

    def _bundles(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(bundle for rule in self._rulebook.rules for bundle in rule.bundles))

    def _count(self, state: StudyState, route: str) -> int:
        ((count,),) = self._rows(select(func.count()).where(studies.c.state == state, studies.c.route == route))
        return int(count)

    def _last_trouble(self) -> datetime | None:
        last = newest(self._engine, Filter(TROUBLE), limit=1)
        return last[0].at if last else None

    def _rows(self, query: Any) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()


def concern_routes(concerns: Concerns, guard: Guard) -> APIRouter:
    """Give ``/api/overview``."""
    routes = APIRouter(prefix="/api", dependencies=[Depends(guard.read)])

    @routes.get("/overview")
    def overview() -> Needs:
        return concerns.all()

    return routes


def _many(count: int, single: str, several: str) -> str:
    return f"{count:,} {single if count == 1 else several}"


def _at(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"

"""Routing decisions: the study's new state, the instances decided about and the jobs, written in one transaction."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, exists, func, select, update

from inference.options import AnalysisOptions
from node.audit.arming import Arming, Standing
from node.audit.tables import route_states
from node.jobs.contents import keep_content
from node.routing.rulebook import Rulebook
from node.rules.decide import Decision, Route
from node.settings.audit import RouteState
from node.store import JobState, StudyState, insert_new, jobs, studies
from node.studies.studies import Snapshot, Studies, content_digest
from reports.audit.ledger import Event, Ledger

_EVENTS = {
    StudyState.ROUTED: Event.ROUTED,
    StudyState.NOT_ROUTED: Event.NOT_ROUTED,
    StudyState.SET_ASIDE: Event.SET_ASIDE,
}
NOT_ROUTED = Route(name="", bundles=("",), destinations=(), method=None, planes_explained=1)


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What the jobs of one decision have in common."""

    study_instance_uid: str
    content: str
    """Digest of the instances decided about."""
    route: Route
    destinations: tuple[str, ...]
    withheld: str
    """Why the audit withholds the maps of the route; empty where it does not."""
    reason: str | None
    """Why the study is not analysed; None where it is."""
    at: datetime
    asked: int = 0
    """How often the analysis was asked for again: each time is another job of the same content."""


class Decisions:
    """Writes decisions down."""

    def __init__(
        self, rulebook: Rulebook, engine: Engine, ledger: Ledger, studies_here: Studies, arming: Arming
    ) -> None:
        self._rulebook = rulebook
        self._engine = engine
        self._ledger = ledger
        self._studies = studies_here
        self._arming = arming
        self._log = structlog.get_logger("decisions")

    def record(self, study: Snapshot, decision: Decision, at: datetime, *, state: StudyState) -> tuple[str, ...]:
        """Write a decision and its jobs down.

        Args:
            study: as it was when it was decided about.
            decision: a route, or the reason for none.
            at: when it was made.
            state: the study's new one.

        Returns:
            The jobs' identifiers; none where an instance has arrived since, the audit holds the route, or nothing but
            results of other nodes is here, about which there is nothing to say.
        """
        route = decision.route or NOT_ROUTED
        standing = self._arming.standing(route.name)
        if standing.state is RouteState.HELD:
            self._hold(study, route, standing.reason)
            return ()
        kept = [
            instance
            for instance in self._studies.instances_of(study.study_instance_uid)
            if route.takes_results or not instance.foreign_result
        ]
        order = self._order(study, decision, standing, content_digest(kept), at)
        with self._engine.begin() as connection:
            row = _change_state(connection, study, decision, state)
            if row is None:
                return ()
            keep_content(connection, order.content, order.study_instance_uid, kept)
            missing = _missing(row.missing, decision)
            rows = self._job_rows(connection, replace(order, asked=row.asked), missing) if kept else ()
            new = insert_new(connection, jobs, rows)
        self._log_decision(order, standing)
        if state is StudyState.SET_ASIDE:
            self._append(order, state, decision.reason)
        elif new:
            self._append(order, state, f"missing: {missing}" if missing else None)
        return tuple(row["id"] for row in rows)

    def _log_decision(self, order: JobOrder, standing: Standing) -> None:
        told = {
            "study_instance_uid": order.study_instance_uid,
            "route": order.route.name or None,
            "bundle": ", ".join(filter(None, order.route.bundles)) or None,
            "destination": ", ".join(order.destinations) or None,
        }
        if order.reason is None:
            self._log.info("study_routed", **told, state=standing.state.value)
        else:
            self._log.info("study_not_routed", **told)

    def _order(self, study: Snapshot, decision: Decision, standing: Standing, content: str, at: datetime) -> JobOrder:
        destinations = decision.route.destinations if decision.route else self._rulebook.unrouted_destinations
        return JobOrder(
            study_instance_uid=study.study_instance_uid,
            content=content,
            route=decision.route or NOT_ROUTED,
            destinations=() if standing.state is RouteState.SHADOW else destinations,
            withheld=standing.reason if standing.state is RouteState.WITHHOLD else "",
            reason=None if decision.route else decision.reason,
            at=at,
        )

    def _job_rows(self, connection: Connection, order: JobOrder, missing: str | None) -> Sequence[dict[str, Any]]:
        """Return one row for each bundle; all are of the study's next generation."""
        generation = _next_generation(connection, order.study_instance_uid)
        return [
            {
                "id": self._job_id(order, bundle),
                "study_instance_uid": order.study_instance_uid,
                "route": order.route.name,
                "bundle": bundle,
                "options": {
                    "content": order.content,
                    "method": order.route.method,
                    "planes_explained": order.route.planes_explained,
                    "stack_contains": list(order.route.stack_contains),
                    "destinations": list(order.destinations),
                    "withheld": order.withheld,
                    "model": self._model(bundle),
                },
                "state": JobState.QUEUED,
                "reason": order.reason,
                "missing": missing,
                "generation": generation,
                "created_at": order.at,
            }
            for bundle in dict.fromkeys(order.route.bundles)
        ]

    def _append(self, order: JobOrder, state: StudyState, problem: str | None) -> None:
        self._ledger.append(
            _EVENTS[state],
            study_instance_uid=order.study_instance_uid,
            details={
                "route": order.route.name,
                "bundles": ", ".join(order.route.bundles),
                "content": order.content,
                "problem": problem,
            },
        )

    def _hold(self, study: Snapshot, route: Route, reason: str) -> None:
        """Leave a study where it is until its route is armed; one armed just now is decided at the next tick."""
        held = (
            update(studies)
            .where(
                _undecided(study),
                exists().where(route_states.c.route == route.name, route_states.c.state == RouteState.HELD),
            )
            .values(
                state=StudyState.HELD,
                route=route.name,
                reason=f"The route is held by the audit: {reason}",
                attempts=0,
            )
        )
        with self._engine.begin() as connection:
            if connection.execute(held).rowcount:
                self._log.warning(
                    "study_held", study_instance_uid=study.study_instance_uid, route=route.name, problem=reason
                )

    def _model(self, bundle: str) -> str:
        return self._rulebook.bundles[bundle].identity.digest if bundle else ""

    def _job_id(self, order: JobOrder, bundle: str) -> str:
        """Return the digest of everything the result depends on, so that the same study again is the same job."""
        parts = [order.content, bundle, *order.destinations, *([order.withheld] if order.withheld else [])]
        parts += [*order.route.stack_contains, *([f"asked for again {order.asked}"] if order.asked else [])]
        if bundle:
            options = AnalysisOptions(
                method=order.route.method or self._rulebook.bundles[bundle].manifest.method,
                planes_explained=order.route.planes_explained,
            )
            parts += [self._model(bundle), options.digest]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _change_state(connection: Connection, study: Snapshot, decision: Decision, state: StudyState) -> Row[Any] | None:
    """Give the study its new state; return what it lacks and how often it was asked for; None: changed since."""
    decided = (
        update(studies)
        .where(_undecided(study))
        .values(
            state=state,
            route=decision.route.name if decision.route else None,
            reason=decision.reason,
            answers=[asdict(answer) for answer in decision.answers],
            attempts=0,
        )
        .returning(studies.c.missing, studies.c.asked)
    )
    return connection.execute(decided).one_or_none()


def _undecided(study: Snapshot) -> ColumnElement[bool]:
    """Select the study if it is still complete and unchanged."""
    return and_(
        studies.c.study_instance_uid == study.study_instance_uid,
        studies.c.state == StudyState.COMPLETE,
        studies.c.arrivals == study.arrivals,
    )


def _next_generation(connection: Connection, study_instance_uid: str) -> int:
    """Count the decisions about a study: the later decision supersedes, whatever the clock."""
    query = select(func.max(jobs.c.generation)).where(jobs.c.study_instance_uid == study_instance_uid)
    return int(connection.execute(query).scalar() or 0) + 1


def _missing(known: str | None, decision: Decision) -> str | None:
    """Add the expected series that the study lacks to those recorded as missing."""
    recorded = known or ""
    series = (f"a series that matches {expression!r}" for expression in decision.missing_series)
    return (
        "; ".join([*([recorded] if recorded else []), *(sentence for sentence in series if sentence not in recorded)])
        or None
    )

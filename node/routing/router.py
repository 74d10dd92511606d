"""The router: the thread that evaluates the rules for complete studies and starts the workflows of their jobs."""

import hashlib
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

import structlog
from dbos import error as workflow_error
from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, func, select, update
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError

from inference.errors import DAMAGE, HeatproofError, NotAnalysed
from inference.options import AnalysisOptions
from node.audit.arming import Arming
from node.audit.tables import route_states
from node.jobs.contents import keep_content
from node.jobs.job import Jobs
from node.priors.fetch import Fetching, prior_requirement_of
from node.routing.rulebook import Rulebook
from node.rules.decide import Decision, Route, decide
from node.rules.series_header import SeriesHeader
from node.settings.audit import RouteState
from node.store import JobState, StudyState, insert_new, jobs, now, studies
from node.studies.attempts import MOST_ATTEMPTS, Attempts
from node.studies.completeness import Completeness
from node.studies.studies import Snapshot, Studies, content_digest
from reports.audit.ledger import Event, Ledger

TICK_SECONDS = 0.5
RECOVERY_TICKS = 60
"""Ticks between two recoveries of stalled jobs and deliveries."""
_TRIED_AGAIN = (*DAMAGE, HeatproofError, SQLAlchemyError, workflow_error.DBOSException)
_STORE_AWAY = (OperationalError, InterfaceError, InternalError, workflow_error.DBOSException)
"""Errors of the store, not of the study: retried without counting an attempt."""
_DIED = f"The node ended {MOST_ATTEMPTS} times while it routed this study; it is not retried."
_EVENTS = {
    StudyState.ROUTED: Event.ROUTED,
    StudyState.NOT_ROUTED: Event.NOT_ROUTED,
    StudyState.SET_ASIDE: Event.SET_ASIDE,
}
NOT_ROUTED = Route(name="", bundles=("",), destinations=(), method=None, planes_explained=1)


class Router(threading.Thread):
    """Asks twice a second which studies are complete, decides, and starts their jobs.

    A decision and its jobs are one transaction; starting a workflow comes after it and may be repeated, so a crash
    between the two loses nothing: ``resume`` starts what was decided but not finished. A study that cannot be decided
    is set aside after ``MOST_ATTEMPTS``, with a report "not analysed" for the destinations of what no rule takes.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        engine: Engine,
        ledger: Ledger,
        studies_here: Studies,
        completeness: Completeness,
        started: Jobs,
        arming: Arming,
        attempts: Attempts,
        priors: Fetching | None = None,
    ) -> None:
        super().__init__(name="router", daemon=True)
        self._rulebook = rulebook
        self._engine = engine
        self._ledger = ledger
        self._studies = studies_here
        self._completeness = completeness
        self._jobs = started
        self._arming = arming
        self._attempts = attempts
        self._priors = priors
        self._stopping = threading.Event()
        self._log = structlog.get_logger("router")

    def run(self) -> None:
        """Tick until stopped."""
        ticks = 0
        while not self._stopping.wait(TICK_SECONDS):
            ticks += 1
            try:
                self.tick()
                if ticks % RECOVERY_TICKS == 0:
                    self._jobs.recover_stalled()
            except _TRIED_AGAIN as error:
                self._log.error("not_routed_yet", error=type(error).__name__)

    def stop(self) -> None:
        """End after the tick that is under way."""
        self._stopping.set()
        self.join()

    def resume(self) -> None:
        """Start the workflow of every job that is not finished, as after a crash."""
        with self._engine.connect() as connection:
            unfinished = connection.execute(
                select(jobs.c.id).where(jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]))
            ).scalars()
            for job_id in list(unfinished):
                self._jobs.enqueue(job_id)

    def tick(self) -> None:
        """Route every study that has become complete."""
        at = now()
        for study in self._completeness.close(at, seconds=time.monotonic()):
            if self._priors and self._priors.awaits(study.study_instance_uid):
                continue
            with self._attempts.counted(study.study_instance_uid, StudyState.COMPLETE) as attempt:
                if attempt > MOST_ATTEMPTS:
                    self._set_aside(study, _DIED, at)
                elif attempt:
                    self._try(study, at, attempt)

    def _try(self, study: Snapshot, at: datetime, attempt: int) -> None:
        """Decide about a study; where that cannot be done, set it aside now, or after the last attempt."""
        try:
            self._decide(study, at)
        except _STORE_AWAY:
            with suppress(*_STORE_AWAY):
                self._attempts.clear(study.study_instance_uid)
            raise
        except NotAnalysed as error:
            self._set_aside(study, str(error), at)
        except (*DAMAGE, HeatproofError, SQLAlchemyError) as error:  # one that cannot be decided stops no other
            kind = type(error).__name__
            self._log.exception("not_decided", study_instance_uid=study.study_instance_uid, error=kind)
            if attempt >= MOST_ATTEMPTS:
                reason = f"Deciding about this study failed {attempt} times ({kind}); see the node's log."
                self._set_aside(study, reason, at)

    def _decide(self, study: Snapshot, at: datetime) -> None:
        rules, headers = self._rulebook.rules, self._studies.series_headers(study.study_instance_uid)
        decision = decide(rules, headers, at)
        if self._wants_priors(study, decision, headers):
            self._attempts.clear(study.study_instance_uid)
            return
        state = StudyState.ROUTED if decision.route else StudyState.NOT_ROUTED
        for job_id in self._record(study, decision, at, state=state):
            self._jobs.enqueue(job_id)

    def _set_aside(self, study: Snapshot, reason: str, at: datetime) -> None:
        """End the attempts at a study: its reason is recorded and reported as that of one that no rule takes."""
        self._log.error("set_aside", study_instance_uid=study.study_instance_uid, problem=reason)
        for job_id in self._record(study, Decision(None, note=reason), at, state=StudyState.SET_ASIDE):
            self._jobs.enqueue(job_id)

    def _wants_priors(self, study: Snapshot, decision: Decision, headers: Sequence[SeriesHeader]) -> bool:
        """Have the priors fetched that the rule asks for; say whether the study is to wait for them."""
        route = decision.route
        requirement = next(
            (prior_requirement_of(rule) for rule in self._rulebook.rules if route and rule.name == route.name), None
        )
        return bool(self._priors and requirement and self._priors.begin(study.study_instance_uid, requirement, headers))

    def _record(self, study: Snapshot, decision: Decision, at: datetime, *, state: StudyState) -> tuple[str, ...]:
        """Write the decision and its jobs down in one transaction; nothing where an image has come since."""
        uid = study.study_instance_uid
        route = decision.route or NOT_ROUTED
        standing = self._arming.standing(route.name)
        if standing.state is RouteState.HELD:
            self._hold(study, route, standing.reason)
            return ()
        destinations = route.destinations if decision.route else self._rulebook.unrouted_destinations
        if standing.state is RouteState.SHADOW:
            destinations = ()
        withheld = standing.reason if standing.state is RouteState.WITHHOLD else ""
        kept = self._studies.instances_of(uid)
        content = content_digest(kept)
        decided = (
            update(studies)
            .where(_undecided(study))
            .values(
                state=state,
                route=route.name or None,
                reason=decision.reason,
                answers=[asdict(answer) for answer in decision.answers],
                attempts=0,
            )
            .returning(studies.c.missing)
        )
        with self._engine.begin() as connection:
            row = connection.execute(decided).one_or_none()
            if row is None:
                return ()
            keep_content(connection, content, uid, kept)
            missing = _missing(row.missing, decision)
            options = {
                "content": content,
                "method": route.method,
                "planes_explained": route.planes_explained,
                "stack_contains": list(route.stack_contains),
                "destinations": list(destinations),
                "withheld": withheld,
            }
            common = {
                "study_instance_uid": uid,
                "route": route.name,
                "state": JobState.QUEUED,
                "reason": None if decision.route else decision.reason,
                "missing": missing,
                "generation": _next_generation(connection, uid),
                "created_at": at,
            }
            ids = {bundle: self._job_id(content, route, bundle, destinations, withheld) for bundle in route.bundles}
            rows: list[dict[str, Any]] = [
                {**common, "id": ids[bundle], "bundle": bundle, "options": {**options, "model": self._model(bundle)}}
                for bundle in ids
            ]
            new = insert_new(connection, jobs, rows)
        if new or state is StudyState.SET_ASIDE:
            problem = decision.reason if state is StudyState.SET_ASIDE else f"missing: {missing}" if missing else None
            self._ledger.append(
                _EVENTS[state],
                study_instance_uid=uid,
                details={
                    "route": route.name,
                    "bundles": ", ".join(route.bundles),
                    "content": content,
                    "problem": problem,
                },
            )
        return tuple(ids.values())

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
            connection.execute(held)

    def _model(self, bundle: str) -> str:
        return self._rulebook.bundles[bundle].identity.digest if bundle else ""

    def _job_id(self, content: str, route: Route, bundle: str, destinations: tuple[str, ...], withheld: str) -> str:
        """Digest of everything the result depends on, so that the same study again is the same job."""
        parts = [content, bundle, *destinations, *([withheld] if withheld else []), *route.stack_contains]
        if bundle:
            options = AnalysisOptions(
                method=route.method or self._rulebook.bundles[bundle].manifest.method,
                planes_explained=route.planes_explained,
            )
            parts += [self._model(bundle), options.digest]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


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

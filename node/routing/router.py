"""The router: the thread that evaluates the rules for complete studies and starts the workflows of their jobs."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import structlog
from dbos import error as workflow_error
from sqlalchemy import Engine, select
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError

from inference.errors import DAMAGE, HeatproofError, NotAnalysed
from node.jobs.job import Jobs
from node.priors.fetch import Fetching, prior_requirement_of
from node.routing.decisions import Decisions
from node.routing.rulebook import Rulebook
from node.rules.decide import Decision, decide, decide_by
from node.rules.series_header import SeriesHeader
from node.store import JobState, StudyState, jobs, now
from node.studies.attempts import MOST_ATTEMPTS, Attempts
from node.studies.completeness import Completeness
from node.studies.studies import Snapshot, Studies
from node.waking import WORK

TICK_SECONDS = 0.5
RECOVERY_SECONDS = 30.0
"""Between two recoveries of stalled jobs and deliveries."""
_TRIED_AGAIN = (*DAMAGE, HeatproofError, SQLAlchemyError, workflow_error.DBOSException)
_STORE_AWAY = (OperationalError, InterfaceError, InternalError, workflow_error.DBOSException)
"""Errors of the store, not of the study: retried without counting an attempt."""
_DIED = f"The node ended {MOST_ATTEMPTS} times while it routed this study; it is not retried."


class Router(threading.Thread):
    """Asks twice a second, while there are any, which studies are complete, decides, and starts their jobs.

    A decision and its jobs are one transaction; starting a workflow comes after it and may be repeated, so a crash
    between the two loses nothing: ``resume`` starts what was decided but not finished. A study that cannot be decided
    is set aside after ``MOST_ATTEMPTS``, with a report "not analysed" for the destinations of what no rule takes.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        engine: Engine,
        studies_here: Studies,
        completeness: Completeness,
        decisions: Decisions,
        started: Jobs,
        attempts: Attempts,
        priors: Fetching | None = None,
    ) -> None:
        super().__init__(name="router", daemon=True)
        self._rulebook = rulebook
        self._engine = engine
        self._studies = studies_here
        self._completeness = completeness
        self._decisions = decisions
        self._jobs = started
        self._attempts = attempts
        self._priors = priors
        self._stopping = threading.Event()
        self._has_work = True
        self._log = structlog.get_logger("router")

    def run(self) -> None:
        """Tick until stopped."""
        recovered_at_seconds = time.monotonic()
        while not self._rest():
            try:
                self.tick()
                if time.monotonic() - recovered_at_seconds >= RECOVERY_SECONDS:
                    recovered_at_seconds = time.monotonic()
                    self._jobs.recover_stalled()
            except _TRIED_AGAIN as error:
                self._log.error("not_routed_yet", error=type(error).__name__)

    def stop(self) -> None:
        """End after the tick that is under way."""
        self._stopping.set()
        WORK.release()
        self.join()

    def _rest(self) -> bool:
        """Wait for the next tick, longer where no study is under way; say whether to stop."""
        if self._has_work:
            return self._stopping.wait(TICK_SECONDS)
        return WORK.wait(self._stopping, TICK_SECONDS)

    def resume(self) -> None:
        """Start the workflow of every job that is not finished, as after a crash."""
        with self._engine.connect() as connection:
            unfinished = connection.execute(
                select(jobs.c.id).where(jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]))
            ).scalars()
            for job_id in list(unfinished):
                self._jobs.enqueue(job_id)

    def tick(self) -> None:
        """Take the rules in force, and route every study that has become complete."""
        self._rulebook.follow()
        at = now()
        self._has_work = True
        waiting = self._completeness.close(at, seconds=time.monotonic())
        self._has_work = bool(waiting) or self._completeness.is_watching
        for study in waiting:
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
        asked = self._studies.asked_route_of(study.study_instance_uid)
        named = next((rule for rule in rules if rule.name == asked), None)
        decision = decide_by(named, headers) if named else decide(rules, headers, at)
        if self._wants_priors(study, decision, headers):
            self._attempts.clear(study.study_instance_uid)
            return
        state = StudyState.ROUTED if decision.route else StudyState.NOT_ROUTED
        for job_id in self._decisions.record(study, decision, at, state=state):
            self._jobs.enqueue(job_id)

    def _set_aside(self, study: Snapshot, reason: str, at: datetime) -> None:
        """End the attempts at a study: its reason is recorded and reported as that of one that no rule takes."""
        self._log.error("set_aside", study_instance_uid=study.study_instance_uid, problem=reason)
        for job_id in self._decisions.record(study, Decision(None, note=reason), at, state=StudyState.SET_ASIDE):
            self._jobs.enqueue(job_id)

    def _wants_priors(self, study: Snapshot, decision: Decision, headers: Sequence[SeriesHeader]) -> bool:
        """Have the priors fetched that the rule asks for; say whether the study is to wait for them."""
        route = decision.route
        requirement = next(
            (prior_requirement_of(rule) for rule in self._rulebook.rules if route and rule.name == route.name), None
        )
        return bool(self._priors and requirement and self._priors.begin(study.study_instance_uid, requirement, headers))

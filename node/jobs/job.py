"""The durable workflow of one study and one bundle: read, classify, explain, trust, report, deliver.

DBOS Transact checkpoints each step: after a crash the node resumes at the unfinished step. The workflow's id
is the job's, which is a digest of the study's content, the bundle and the settings, so a study sent twice runs once.
"""

import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

import structlog
from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID, WorkflowStatus
from sqlalchemy import Engine, select, update

from inference.batches import is_lost
from inference.errors import HeatproofError, NotAnalysed
from node.delivery.delivery import Deliveries
from node.jobs.job_row import Job
from node.jobs.lost_device import begin_anew
from node.jobs.steps import Steps
from node.metrics import Metrics
from node.store import JobState, jobs, now
from node.waking import WORK
from reports.audit.ledger import Event, Ledger

QUEUE = "analysis"
ENDED = {
    "ERROR": "The job was aborted by a fault of the node or of its store; see the log.",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "The node crashed repeatedly on this study; it is not retried.",
    "CANCELLED": "The job was cancelled.",
}
"""States of a workflow (DBOS Transact) in which nothing more is done, and what the report says then."""


@DBOS.dbos_class()
class Jobs(DBOSConfiguredInstance):
    """The workflow, bound to one node's steps, ledger and deliveries."""

    def __init__(
        self,
        steps: Steps,
        engine: Engine,
        ledger: Ledger,
        deliveries: Deliveries,
        metrics: Metrics,
        *,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        """Bind to one node; ``end`` ends the process by a status, when its GPU has failed."""
        super().__init__("node")
        self._steps = steps
        self._engine = engine
        self._ledger = ledger
        self._deliveries = deliveries
        self._metrics = metrics
        self._end = end
        self._log = structlog.get_logger("job")

    def enqueue(self, job_id: str) -> None:
        """Start the workflow of this job, or join it if it has been started before."""
        with SetWorkflowID(job_id):
            DBOS.enqueue_workflow(QUEUE, self.run, job_id)
        WORK.ring()

    @DBOS.workflow(name="job", max_recovery_attempts=5)
    def run(self, job_id: str) -> str:
        """Run the steps of one job; give its final state."""
        ending = None
        for name in Steps.ORDER:
            ending = DBOS.run_step({"name": name}, self.attempt, name, job_id)
            if ending is not None and ending["state"] == JobState.TAKEN_BACK:
                return str(DBOS.run_step({"name": "finish"}, self.finish, job_id, ending))
            if ending is not None:
                ending = DBOS.run_step({"name": "decline"}, self.decline, job_id, ending)
                break
        self.deliver(job_id, DBOS.run_step({"name": "address"}, self.address, job_id))
        return str(DBOS.run_step({"name": "finish"}, self.finish, job_id, ending))

    def recover_stalled(self) -> None:
        """Recover stalled work: unfinished jobs whose workflow has ended, and deliveries without a workflow.

        A workflow ends so where the node died at it too often, or where the store failed in the middle.
        """
        unfinished = select(jobs.c.id).where(jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]))
        with self._engine.connect() as connection:
            ids = list(connection.execute(unfinished).scalars())
        for ended in _listed(ids, ENDED):
            ending = {"state": JobState.FAILED.value, "reason": ENDED[ended.status]}
            with SetWorkflowID(f"{ended.workflow_id}:failed"):
                handle = DBOS.start_workflow(self.report_failed, ended.workflow_id, ending)
            if _listed([handle.workflow_id], ENDED):  # not even a report could be written
                self.finish(ended.workflow_id, ending)
        self._deliveries.resume()

    @DBOS.workflow(name="failed job", max_recovery_attempts=2)
    def report_failed(self, job_id: str, ending: dict[str, str]) -> str:
        """Write the "not analysed" report instead of an analysis."""
        ending = DBOS.run_step({"name": "decline"}, self.decline, job_id, ending)
        self.deliver(job_id, DBOS.run_step({"name": "address"}, self.address, job_id))
        return str(DBOS.run_step({"name": "finish"}, self.finish, job_id, ending))

    def attempt(self, name: str, job_id: str, *arguments: str) -> dict[str, str] | None:
        """Run one step; give None, or the state and the reason with which the analysis ends here."""
        WORK.ring()
        job = self._steps.job(job_id)
        if name in Steps.ORDER and self._steps.take_back(job):
            reason = "The bundle was replaced while this job waited; the study is decided again."
            return {"state": JobState.TAKEN_BACK.value, "reason": reason}
        self._mark(job_id, state=JobState.RUNNING)
        try:
            with self._steps.turn(name), self._metrics.job_seconds(name):
                getattr(self._steps, name)(job, *arguments)
        except NotAnalysed as error:
            return {"state": JobState.NOT_ANALYSED.value, "reason": str(error)}
        except HeatproofError as error:
            self._leave_if_lost(name, job_id, error)
            return {"state": JobState.FAILED.value, "reason": f"The {name} step failed: {error}"}
        except Exception as error:  # noqa: BLE001 - the worker's boundary: no study may end in silence
            self._leave_if_lost(name, job_id, error)
            self._log.exception("step failed", step=name, job=job_id, error=type(error).__name__)
            reason = f"The {name} step failed inside the node ({type(error).__name__}); see its log, job {job_id[:12]}."
            return {"state": JobState.FAILED.value, "reason": reason}
        self._finish_step(job_id, name)
        return None

    def _leave_if_lost(self, name: str, job_id: str, error: Exception) -> None:
        if is_lost(error):
            begin_anew(self._ledger, f"the {name} step of job {job_id[:12]}", error, end=self._end)

    def decline(self, job_id: str, ending: dict[str, str]) -> dict[str, str]:
        """Write the "not analysed" report; should even that fail, both reasons are kept."""
        worse = self.attempt("decline", job_id, ending["reason"])
        return {**worse, "reason": f"{ending['reason']} {worse['reason']}"} if worse else ending

    def finish(self, job_id: str, ending: dict[str, str] | None) -> str:
        """Say in the store, the ledger and the metrics how it ended; once, however often the step is run."""
        WORK.ring()  # the next job's turn
        state = ending["state"] if ending else JobState.DONE.value
        reason = ending["reason"] if ending else None
        job = self._steps.job(job_id)
        with self._engine.begin() as connection:
            unfinished = update(jobs).where(jobs.c.id == job_id, jobs.c.finished_at.is_(None))
            if not connection.execute(unfinished.values(state=state, reason=reason, finished_at=now())).rowcount:
                return state
            self._ledger.append(
                Event.ANALYSED if ending is None else Event.NOT_ANALYSED,
                study_instance_uid=job.study_instance_uid,
                details={"job": job_id, "bundle": job.bundle, "state": state, "verdicts": ", ".join(job.verdicts)},
                connection=connection,
            )
        self._log_end(job, state)
        for verdict in job.verdicts:
            self._metrics.verdict(job.bundle, verdict)
        for said in job.said if ending is None else ():
            self._metrics.said(job.bundle, said)
        self._steps.clear(job_id)
        return state

    def _log_end(self, job: Job, state: str) -> None:
        told = {
            "study_instance_uid": job.study_instance_uid,
            "job": job.id,
            "route": job.route or None,
            "bundle": job.bundle or None,
            "state": state,
        }
        if state == JobState.DONE:
            self._log.info("study_analysed", **told, verdict=", ".join(job.verdicts) or None)
        else:
            self._log.warning("study_not_analysed", **told)

    def address(self, job_id: str) -> tuple[str, ...]:
        """Say where the results go."""
        return self._steps.job(job_id).destinations

    def deliver(self, job_id: str, destinations: Sequence[str]) -> None:
        """Start one delivery workflow for each destination; part of the workflow itself, not a step of it."""
        for destination in destinations:
            self._deliveries.start(job_id, destination)

    def _mark(self, job_id: str, **values: Any) -> None:
        unfinished = (jobs.c.id == job_id) & jobs.c.finished_at.is_(None)
        with self._engine.begin() as connection:
            connection.execute(update(jobs).where(unfinished).values(**values))

    def _finish_step(self, job_id: str, name: str) -> None:
        unfinished = (jobs.c.id == job_id) & jobs.c.finished_at.is_(None)
        with self._engine.begin() as connection:
            times = connection.execute(select(jobs.c.step_times).where(unfinished)).scalar() or {}
            step_times = {**times, name: now().isoformat()}
            connection.execute(update(jobs).where(unfinished).values(step=name, step_times=step_times))


def _listed(workflow_ids: Sequence[str], states: Collection[str]) -> list[WorkflowStatus]:
    """Return those of some workflows that are in one of these states, without their inputs and outputs."""
    if not workflow_ids:
        return []
    return DBOS.list_workflows(
        workflow_ids=list(workflow_ids), status=list(states), load_input=False, load_output=False
    )

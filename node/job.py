"""The durable workflow of one study and one bundle: read, classify, explain, trust, report, deliver.

DBOS Transact checkpoints each arrow: killed at any moment, the node goes on at the unfinished step. The workflow's id
is the job's, which is a digest of the study's content, the bundle and the settings, so a study sent twice runs once.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID
from sqlalchemy import Engine, update

from inference.errors import HeatproofError, NotAnalysed
from node.delivery import Deliveries
from node.metrics import Metrics
from node.steps import Steps
from node.store import JobState, jobs, now
from reports.audit.ledger import Event, Ledger

QUEUE = "analysis"


@DBOS.dbos_class()
class Jobs(DBOSConfiguredInstance):
    """The workflow, bound to one node's steps, ledger and deliveries."""

    def __init__(self, steps: Steps, engine: Engine, ledger: Ledger, deliveries: Deliveries, metrics: Metrics) -> None:
        super().__init__("node")
        self._steps = steps
        self._engine = engine
        self._ledger = ledger
        self._deliveries = deliveries
        self._metrics = metrics
        self._log = structlog.get_logger("job")

    def enqueue(self, job_id: str) -> None:
        """Start the workflow of this job, or join it if it has been started before."""
        with SetWorkflowID(job_id):
            DBOS.enqueue_workflow(QUEUE, self.run, job_id)

    @DBOS.workflow(name="job", max_recovery_attempts=5)
    def run(self, job_id: str) -> str:
        """Take one job through its arrows; give its final state."""
        ending = None
        for name in Steps.ORDER:
            ending = DBOS.run_step({"name": name}, self.attempt, name, job_id)
            if ending is not None:
                ending = DBOS.run_step({"name": "decline"}, self.decline, job_id, ending)
                break
        self.deliver(job_id, DBOS.run_step({"name": "address"}, self.address, job_id))
        return str(DBOS.run_step({"name": "finish"}, self.finish, job_id, ending))

    def attempt(self, name: str, job_id: str, *arguments: str) -> dict[str, str] | None:
        """Run one arrow; give None, or the state and the reason with which the analysis ends here."""
        job = self._steps.job(job_id)
        self._mark(job_id, state=JobState.RUNNING)
        try:
            with self._metrics.job_seconds(name):
                getattr(self._steps, name)(job, *arguments)
        except NotAnalysed as error:
            return {"state": JobState.NOT_ANALYSED.value, "reason": str(error)}
        except HeatproofError as error:
            return {"state": JobState.FAILED.value, "reason": f"The {name} step failed: {error}"}
        except Exception as error:  # noqa: BLE001 - the worker's boundary: no study may end in silence
            self._log.exception("step failed", step=name, job=job_id, error=type(error).__name__)
            reason = f"The {name} step failed inside the node ({type(error).__name__}); see its log, job {job_id[:12]}."
            return {"state": JobState.FAILED.value, "reason": reason}
        self._mark(job_id, step=name)
        return None

    def decline(self, job_id: str, ending: dict[str, str]) -> dict[str, str]:
        """Write the "not analysed" report; should even that fail, both reasons are kept."""
        worse = self.attempt("decline", job_id, ending["reason"])
        return {**worse, "reason": f"{ending['reason']} {worse['reason']}"} if worse else ending

    def finish(self, job_id: str, ending: dict[str, str] | None) -> str:
        """Say in the store, the ledger and the metrics how it ended."""
        state = ending["state"] if ending else JobState.DONE.value
        self._mark(job_id, state=state, reason=ending["reason"] if ending else None, finished_at=now())
        job = self._steps.job(job_id)
        for verdict in job.verdicts:
            self._metrics.verdict(job.bundle, verdict)
        self._ledger.append(
            Event.ANALYSED if ending is None else Event.NOT_ANALYSED,
            study_instance_uid=job.study_instance_uid,
            details={"job": job_id, "bundle": job.bundle, "state": state, "verdicts": ", ".join(job.verdicts)},
        )
        return state

    def address(self, job_id: str) -> tuple[str, ...]:
        """Say where the results go."""
        return self._steps.job(job_id).destinations

    def deliver(self, job_id: str, destinations: Sequence[str]) -> None:
        """Start one delivery workflow for each destination; part of the workflow itself, not a step of it."""
        for destination in destinations:
            self._deliveries.start(job_id, destination)

    def _mark(self, job_id: str, **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**values))

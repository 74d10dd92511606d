"""Delivery of results to a destination: queued, sent, and stored once that is proven; retried for days.

A consignment is what one job has for one destination. Each attempt is a short durable workflow that starts the next
one with a delay, so a waiting retry takes no slot of the queue, and a destination that is down delays no other.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import structlog
from dbos import DBOS, DBOSConfiguredInstance, SetEnqueueOptions, SetWorkflowID, WorkflowStatus
from sqlalchemy import Connection, Engine

from inference.errors import DeliveryFailed, HeatproofError, UnknownName
from node.delivery.commitment import CommitmentReport, Commitments, mark_stored
from node.delivery.consignments import Consignments
from node.delivery.kinds import proofs, transports
from node.delivery.transport import Parcel
from node.settings.destination import Destination
from node.settings.settings import Settings
from node.store import DeliveryState
from node.waking import WORK
from node.workflow_store import LIVE, WORKFLOW_VERSION
from reports.audit.ledger import Detail, Event, Ledger

QUEUE = "delivery"
AT_ONCE = 2
"""Consignments under way to one destination."""


@dataclass(frozen=True)
class Patience:
    """The retry policy: delays and number of attempts."""

    first_delay_seconds: float = 5.0
    longest_delay_seconds: float = 3600.0
    most_attempts: int = 120
    """With an hour between the later ones: about five days."""
    linger_seconds: float = 3.0
    """How long the association that asked for storage commitment is kept for an answer on it."""

    def delay_seconds(self, attempt: int, *, seed: str) -> float:
        """Return the delay after an attempt: exponential backoff up to the longest, less a jitter of up to a quarter.

        Args:
            attempt: 1 after the first.
            seed: what the jitter is drawn from, so that consignments of one outage do not come back all at once.
        """
        full = min(self.first_delay_seconds * 2.0 ** min(attempt - 1, 30), self.longest_delay_seconds)
        return full * (1.0 - 0.25 * Random(f"{seed}:{attempt}").random())


@DBOS.dbos_class()
class Deliveries(DBOSConfiguredInstance):
    """The durable sender: one chain of workflows for one consignment."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        ledger: Ledger,
        outbox: Path,
        *,
        patience: Patience | None = None,
    ) -> None:
        """Bind to one node.

        Args:
            settings: the whole file.
            engine: the node's store.
            ledger: what happened is written there.
            outbox: folder that the paths of ``results`` are relative to.
            patience: the retry policy.
        """
        super().__init__("node")
        self._own_title = settings.node.ae_title
        self._destinations = {destination.name: destination for destination in settings.destinations}
        self._engine = engine
        self._ledger = ledger
        self._patience = patience or Patience()
        self._consignments = Consignments(engine, outbox)
        self._commitments = Commitments(
            engine, self._own_title, self._heard, linger_seconds=self._patience.linger_seconds
        )
        self._away: set[str] = set()
        self._log = structlog.get_logger("delivery")
        self._transports = transports(self._own_title)
        self._proofs = proofs(self._own_title, self._commitments)

    def start(self, job_id: str, destination: str) -> None:
        """Start the first attempt, or join it where it has been started before."""
        self._enqueue(job_id, destination, chain=0, attempt=1)

    def resend(self, job_id: str, destination: str) -> int:
        """Resend now what a destination is not proven to store; give the number of objects."""
        live = [workflow for workflow in self._live(f"{job_id}:") if workflow.queue_partition_key == destination]
        for workflow in live:  # first: what still runs of it begins no further step, such as to give up
            DBOS.cancel_workflow(workflow.workflow_id)
        count = self._consignments.requeue(job_id, destination)
        if count:
            self._tell(Event.DELIVERY_RESENT, job_id, destination, objects=count)
            is_sending = any(workflow.status == "PENDING" for workflow in live)
            delay_seconds = self._patience.first_delay_seconds if is_sending else None
            self._enqueue(job_id, destination, time.time_ns(), 1, delay_seconds=delay_seconds)
        return count

    def resume(self) -> None:
        """Start a chain for every consignment that needs one: after an upgrade, or when the store failed meanwhile."""
        awaiting_proof = [name for name in self._destinations if self._is_proven(name)]
        unsettled = self._consignments.unsettled(awaiting_proof)
        if not unsettled:
            return
        live = {(workflow.workflow_id.partition(":")[0], workflow.queue_partition_key) for workflow in self._live()}
        for job_id, destination in unsettled:
            if (job_id, destination) not in live:
                first = _id(job_id, destination, chain=0, attempt=1)
                begun = bool(DBOS.list_workflows(workflow_ids=[first], load_input=False, load_output=False))
                # Of several nodes that look at once, the first one's chain is joined by the others.
                self._enqueue(job_id, destination, int(time.time() // 60) if begun else 0, 1)

    def reported(self, event: Any) -> tuple[int, None]:
        """Answer the N-EVENT-REPORT of a storage commitment."""
        return self._commitments.reported(event)

    @DBOS.workflow(name="delivery")
    def run(self, job_id: str, destination: str, chain: int, attempt: int) -> int:
        """Make one attempt, and schedule a retry where objects are left; give how many are."""
        left = int(DBOS.run_step({"name": "send"}, self.send, job_id, destination, attempt))
        WORK.ring()  # the next consignment's turn
        if left and attempt >= self._patience.most_attempts:
            DBOS.run_step({"name": "give up"}, self.give_up, job_id, destination)
        elif left:
            delay_seconds = self._patience.delay_seconds(attempt, seed=f"{job_id}:{destination}")
            self._enqueue(job_id, destination, chain, attempt + 1, delay_seconds=delay_seconds)
        return left

    def send(self, job_id: str, destination: str, attempt: int = 1) -> int:
        """Send what is queued, ask for proof of what is sent; give how many objects are not delivered yet.

        Args:
            job_id: whose results.
            destination: where to.
            attempt: which attempt it is, for the log.
        """
        proven = self._is_proven(destination)
        if proven:
            patience_seconds = self._destinations[destination].proof_seconds
            self._consignments.expire(job_id, destination, older_than_seconds=patience_seconds)
        queued = self._consignments.parcels(job_id, destination, DeliveryState.QUEUED)
        if queued:
            self._hand_over(job_id, destination, queued, attempt)
        unproven = self._consignments.parcels(job_id, destination, DeliveryState.SENT) if proven else ()
        if unproven:
            self._prove(job_id, self._destinations[destination], unproven)
        return self._consignments.left(job_id, destination, proven=proven)

    def give_up(self, job_id: str, destination: str) -> None:
        """Mark what never arrived, or was never proven, as failed; it stays in the outbox for a resend."""
        count = self._consignments.abandon(job_id, destination, proven=self._is_proven(destination))
        self._log.error("delivery_given_up", job=job_id, destination=destination, objects=count)
        self._tell(Event.DELIVERY_ABANDONED, job_id, destination, objects=count)

    def _hand_over(self, job_id: str, destination: str, parcels: Sequence[Parcel], attempt: int) -> None:
        try:
            outcomes = self._store(destination, parcels)
            self._answers(destination)
        except (DeliveryFailed, UnknownName) as error:
            outcomes = {parcel.sop_instance_uid: str(error) for parcel in parcels}
            self._is_away(destination, error)
        for sop_instance_uid, problem in outcomes.items():
            self._record(sop_instance_uid, destination, problem)
        problem = "; ".join(sorted({problem for problem in outcomes.values() if problem}))
        told = {
            "study_instance_uid": parcels[0].study_instance_uid,
            "destination": destination,
            "objects": len(parcels),
            "attempts": attempt,
        }
        if problem:
            self._log.warning("delivery_failed", **told, problem=problem)
        else:
            self._log.info("study_delivered", **told)
        event = Event.DELIVERY_FAILED if problem else Event.DELIVERED
        self._tell(event, job_id, destination, objects=len(parcels), problem=problem)

    def _is_away(self, destination: str, error: HeatproofError) -> None:
        """Log once for each outage that a destination takes nothing."""
        if destination not in self._away:
            self._away.add(destination)
            self._log.warning("destination_away", destination=destination, problem=str(error.args[0]), cure=error.cure)

    def _answers(self, destination: str) -> None:
        if destination in self._away:
            self._away.discard(destination)
            self._log.info("destination_back", destination=destination)

    def _store(self, destination: str, parcels: Sequence[Parcel]) -> dict[str, str]:
        if destination not in self._destinations:
            raise UnknownName(
                f"There is no destination {destination!r} in the settings any more.",
                cure="Add it again, or the results stay in the outbox.",
            )
        named = self._destinations[destination]
        return self._transports[named.protocol].store(named, parcels)

    def _record(self, sop_instance_uid: str, destination: str, problem: str) -> None:
        awaits_proof = self._is_proven(destination)
        self._consignments.sent(sop_instance_uid, destination, problem, awaits_proof=awaits_proof)

    def _prove(self, job_id: str, destination: Destination, parcels: Sequence[Parcel]) -> None:
        """Ask a destination what it stores; a failure is recorded as the last error and retried."""
        proof = self._proofs[destination.proof]
        try:
            held = proof.held(job_id, destination, parcels)
        except DeliveryFailed as error:
            self._complain(parcels, destination.name, str(error))
            return
        if held is None:
            return
        missing = [parcel for parcel in parcels if parcel.sop_instance_uid not in held]
        problem = f"{destination.name} accepted this object, but does not find it when queried by {proof.name}."
        if missing:
            self._complain(missing, destination.name, problem)
        if held:
            with self._engine.begin() as connection:
                mark_stored(connection, destination.name, sorted(held), proof=proof.name)
                self._tell(
                    Event.DELIVERY_PROVEN,
                    job_id,
                    destination.name,
                    connection=connection,
                    objects=len(held),
                    proof=proof.name,
                )

    def _complain(self, parcels: Sequence[Parcel], destination: str, problem: str) -> None:
        self._consignments.complain(parcels, destination, problem)
        told = {"destination": destination, "objects": len(parcels), "problem": problem}
        self._log.warning("delivery_not_proven", study_instance_uid=parcels[0].study_instance_uid, **told)

    def _heard(self, connection: Connection, report: CommitmentReport) -> None:
        """Record the result of a storage commitment."""
        ledger_rows: list[tuple[Event, int, dict[str, str]]] = [
            (Event.DELIVERY_PROVEN, len(report.stored), {"proof": self._commitments.name}),
            (Event.DELIVERY_UNCOMMITTED, len(report.failed), {"problem": "; ".join(sorted({*report.failed.values()}))}),
        ]
        for event, count, details in ledger_rows:
            if count:
                self._tell(event, report.job_id, report.destination, connection=connection, objects=count, **details)

    def _tell(
        self, event: Event, job_id: str, destination: str, *, connection: Connection | None = None, **details: Detail
    ) -> None:
        study = self._consignments.study(job_id)
        self._ledger.append(
            event, study_instance_uid=study, details={"destination": destination, **details}, connection=connection
        )
        if event is Event.DELIVERY_PROVEN:
            told = {"destination": destination, "objects": details["objects"], "proof": details["proof"]}
            self._log.info("study_stored", study_instance_uid=study, **told)

    def _is_proven(self, destination: str) -> bool:
        """Whether this destination needs a proof of storage after "sent"."""
        return destination in self._destinations and self._destinations[destination].proof != "none"

    def _live(self, prefix: str | None = None) -> list[WorkflowStatus]:
        """Return the workflows, of all consignments or of those that begin so, that will still do something."""
        return DBOS.list_workflows(
            name="delivery",
            status=LIVE,
            workflow_id_prefix=prefix,
            app_version=WORKFLOW_VERSION,
            load_input=False,
            load_output=False,
        )

    def _enqueue(
        self, job_id: str, destination: str, chain: int, attempt: int, *, delay_seconds: float | None = None
    ) -> None:
        with (
            SetWorkflowID(_id(job_id, destination, chain=chain, attempt=attempt)),
            SetEnqueueOptions(queue_partition_key=destination, delay_seconds=delay_seconds),
        ):
            DBOS.enqueue_workflow(QUEUE, self.run, job_id, destination, chain, attempt)
        WORK.ring()


def _id(job_id: str, destination: str, *, chain: int, attempt: int) -> str:
    return f"{job_id}:{chain}.{attempt}:{destination}"

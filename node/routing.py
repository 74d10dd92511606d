"""From complete studies to jobs: the thread that asks the rules and starts the workflows."""

import hashlib
import threading
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import Engine, select, update

from inference.bundle import Bundle
from inference.options import AnalysisOptions
from node.job import Jobs
from node.rules import Decision, Route, decide
from node.settings import Settings
from node.store import JobState, StudyState, insert_new, jobs, now, studies
from node.studies import Studies
from reports.audit.ledger import Event, Ledger

TICK_SECONDS = 0.5
NOT_ROUTED = Route(name="", bundles=("",), destinations=(), method=None, planes_explained=1)


class Router(threading.Thread):
    """Asks twice a second which studies are complete, decides, and starts their jobs.

    A decision and its jobs are one transaction; starting a workflow comes after it and may be repeated, so a crash
    between the two loses nothing: ``resume`` starts what was decided but not finished.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        ledger: Ledger,
        studies_here: Studies,
        bundles: Mapping[str, Bundle],
        started: Jobs,
    ) -> None:
        super().__init__(name="router", daemon=True)
        self._settings = settings
        self._engine = engine
        self._ledger = ledger
        self._studies = studies_here
        self._bundles = bundles
        self._jobs = started
        self._stopping = threading.Event()
        self._log = structlog.get_logger("router")

    def run(self) -> None:
        """Tick until stopped."""
        while not self._stopping.wait(TICK_SECONDS):
            self.tick()

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
        for study_instance_uid in self._studies.completed(now()):
            decision = decide(self._settings.rules, self._studies.series_headers(study_instance_uid))
            for job_id in self._record(study_instance_uid, decision):
                self._jobs.enqueue(job_id)

    def _record(self, study_instance_uid: str, decision: Decision) -> list[str]:
        route = decision.route or NOT_ROUTED
        destinations = route.destinations if decision.route else self._settings.unrouted.destinations
        content = self._studies.content_digest(study_instance_uid)
        rows: list[dict[str, Any]] = [
            {
                "id": self._job_id(content, route, bundle, destinations),
                "study_instance_uid": study_instance_uid,
                "route": route.name,
                "bundle": bundle,
                "options": {
                    "method": route.method,
                    "planes_explained": route.planes_explained,
                    "destinations": list(destinations),
                },
                "state": JobState.QUEUED,
                "reason": None if decision.route else decision.reason,
                "created_at": now(),
            }
            for bundle in route.bundles
        ]
        state = StudyState.ROUTED if decision.route else StudyState.NOT_ROUTED
        with self._engine.begin() as connection:
            decided = connection.execute(
                update(studies)
                .where(studies.c.study_instance_uid == study_instance_uid, studies.c.state == StudyState.COMPLETE)
                .values(state=state, route=route.name or None, reason=decision.reason)
            ).rowcount
            if not decided:  # a late image has opened the study again: it is decided when it is quiet once more
                return []
            new = insert_new(connection, jobs, rows)
        if new:
            self._ledger.append(
                Event.ROUTED if decision.route else Event.NOT_ROUTED,
                study_instance_uid=study_instance_uid,
                details={"route": route.name, "bundles": ", ".join(route.bundles), "content": content},
            )
        return [row["id"] for row in rows]

    def _job_id(self, content: str, route: Route, bundle: str, destinations: tuple[str, ...]) -> str:
        """Digest of everything the result depends on, so that the same study again is the same job."""
        parts = [content, bundle, *destinations]
        if bundle:
            options = AnalysisOptions(
                method=route.method or self._bundles[bundle].manifest.method, planes_explained=route.planes_explained
            )
            parts += [self._bundles[bundle].identity.digest, options.digest]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

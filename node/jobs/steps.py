"""The steps of a job. Each reads the files of the step before and writes its own.

A step that is run again after a crash writes the same files under the same names: nothing comes twice.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from inference.analyse import assemble, with_study_answer
from inference.analysis import Analysis
from inference.bundle.bundle import Bundle
from inference.devices import choose_device, turn
from inference.errors import OutOfScope, Unavailable
from inference.explain import explain_findings
from inference.options import AnalysisOptions
from inference.prepare.bounded import prepare_bounded
from inference.reading.account import Disposition
from inference.selection import Declined, account_for
from inference.trust.warrant import Warrant
from node.delivery.outbox import Outbox
from node.jobs.contents import content_of
from node.jobs.history import History
from node.jobs.job_row import Job, job_of
from node.jobs.stacks import classify_stacks, judge_stacks
from node.jobs.step_files import StepFiles
from node.jobs.succession import predecessors, succeed
from node.jobs.summary import account_of, line_of, summarise
from node.settings.settings import Settings
from node.store import StudyState, instances, jobs, studies
from reports.audit.ledger import Event, Ledger
from reports.audit.observation import Observation, observe
from reports.audit.observations import Observations
from reports.audit.repeatability.pair import replicate_pairs
from reports.audit.repeatability.pairs import keep
from reports.objects.results import ResultObject, write_not_analysed, write_results
from reports.wording import account_sentences


class Steps:
    """The steps of a job: read, classify, explain, trust, report."""

    ORDER = ("read", "classify", "explain", "trust", "report")

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        home: Path,
        bundles: dict[str, Bundle],
        warrants: dict[str, Warrant],
        ledger: Ledger,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._inbox = home / "inbox"
        self._work = home / "jobs"
        self._outbox = Outbox(home / "outbox", settings.destinations)
        self._bundles = bundles
        self._warrants = warrants
        self._ledger = ledger
        self._observations = Observations(engine)
        self._history = History(engine, self._work)

    def job(self, job_id: str) -> Job:
        """Read the job from the store."""
        with self._engine.connect() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one()
        return job_of(row)

    def paths(self, job: Job) -> tuple[Path, ...]:
        """Return the files that the decision saw, by SOP Instance UID: an image that came later is the next job's."""
        decided = content_of(self._engine, job.content)
        query = (
            select(instances.c.sop_instance_uid, instances.c.path)
            .where(instances.c.study_instance_uid == job.study_instance_uid)
            .order_by(instances.c.sop_instance_uid)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return tuple(self._inbox / path for uid, path in rows if decided is None or uid in decided)

    def take_back(self, job: Job) -> bool:
        """Have a study decided again whose bundle was replaced while its job waited: another model, another job.

        Returns:
            whether that is so.
        """
        bundle = self._bundles.get(job.bundle)
        if bundle is None or not job.model or bundle.identity.digest == job.model:
            return False
        of_study = (studies.c.study_instance_uid == job.study_instance_uid) & (studies.c.state == StudyState.ROUTED)
        with self._engine.begin() as connection:
            connection.execute(update(studies).where(of_study).values(state=StudyState.COMPLETE))
        return True

    def read(self, job: Job) -> None:
        """Study to images: those stacks that the bundle accepts, and the account of every instance.

        Raises:
            NotAnalysed: no route, no image, or no stack that the bundle accepts; the message says why.
            Unavailable: an image that the study was decided with is gone.
        """
        if not job.bundle:
            raise OutOfScope(job.reason or "No rule routes this study to a bundle.")
        paths = self.paths(job)
        decided = content_of(self._engine, job.content)
        if decided is not None and len(paths) < len(decided):
            raise Unavailable(f"Of the {len(decided)} images this was decided with only {len(paths)} are here.")
        bundle, limits = self._bundles[job.bundle], self._settings.limits.decoding
        selection = account_for(paths, bundle, limits=limits, wanted=job.stack_contains)
        self._files(job).keep("account", replace(selection, reading=replace(selection.reading, images=())))
        if not selection.reading.images:
            reasons = (*(declined.reason for declined in selection.declined), *selection.reading.reasons(*Disposition))
            raise OutOfScope(f"{job.bundle} analyses no series of this study. " + " ".join(dict.fromkeys(reasons)))
        self._files(job).keep("images", selection.reading.images)

    def classify(self, job: Job) -> None:
        """Images to findings; a stack that cannot be prepared is declined, and the others go on.

        Raises:
            NotAnalysed: none is left; the message says why.
            BundleRefused: none is left, and the bundle itself is at fault.
        """
        classify_stacks(self._bundles[job.bundle], self._files(job), self.options(job))

    def explain(self, job: Job) -> None:
        """Findings to the saliency maps that are assessed."""
        bundle, options, files = self._bundles[job.bundle], self.options(job), self._files(job)
        maps = tuple(
            explain_findings(bundle, image, prepare_bounded(bundle, image), classification.findings, options=options)
            for image, classification in zip(files.images, files.classifications, strict=True)
        )
        self._files(job).keep("assessed", maps)

    def trust(self, job: Job) -> None:
        """Maps to how far they can be trusted and which of them are shown, and stacks to what is said of them."""
        judge_stacks(self._bundles[job.bundle], self._files(job), self.options(job), self._warrant(job), job.withheld)

    def report(self, job: Job) -> None:
        """Analyses to DICOM objects in the outbox, a row for each, and a queued delivery for each destination."""
        analyses, selection = self._analyses(job), self._files(job).account
        account = account_sentences(selection.reading)
        folder, roles = self._outbox.folder(job.id), self._outbox.wanted(job.destinations)
        with self._engine.connect() as connection:
            before = [predecessors(connection, job, analysis.image.series_instance_uid) for analysis in analyses]
        objects = tuple(
            write_results(
                analysis,
                folder,
                created=job.created_at,
                predecessors=replaced,
                missing=job.missing,
                account=account,
                objects=roles,
            )
            for analysis, replaced in zip(analyses, before, strict=True)
        )
        rows = [
            observe(analysis, route=job.route, at=job.created_at, key=self._ledger.pseudonym) for analysis in analyses
        ]
        seen = [row for of_series in rows for row in of_series]
        again = [
            pair
            for analysis, of_series in zip(analyses, rows, strict=True)
            for pair in (*self._history.pairs(analysis, of_series), *replicate_pairs(analysis, of_series))
        ]
        with self._engine.begin() as connection:
            for analysis, written in zip(analyses, objects, strict=True):
                self._queue(connection, job, written, analysis.image.series_instance_uid)
            for declined in selection.declined:
                self._queue(connection, job, self._declined(job, declined, account), declined.series_instance_uid)
            self._summarise(connection, job, summarise(analyses, objects, roles, selection.reading))
            if self._observations.add(job.id, seen, connection):
                keep(connection, again)
                self._tell(job, seen, connection)

    def decline(self, job: Job, reason: str) -> None:
        """Instead of an analysis: one structured report "not analysed" with the reason."""
        with self._engine.connect() as connection:
            before = predecessors(connection, job, None)
        reading = self._files(job).account.reading if self._files(job).has_account else None
        written = write_not_analysed(
            self.paths(job),
            self._outbox.folder(job.id),
            reason=reason,
            created=job.created_at,
            predecessors=before,
            missing=job.missing,
            account=account_sentences(reading) if reading else (),
        )
        with self._engine.begin() as connection:
            self._queue(connection, job, written, None)
            if reading:
                self._summarise(connection, job, {"reading": account_of(reading)})

    def _declined(self, job: Job, declined: Declined, account: Sequence[str]) -> tuple[ResultObject, ...]:
        """Write the report "not analysed" of one stack of a study whose other stacks are analysed."""
        return write_not_analysed(
            declined.paths,
            self._outbox.folder(job.id),
            reason=f"stack {declined.stack}: {declined.reason}" if declined.stack else declined.reason,
            created=job.created_at,
            missing=job.missing,
            account=account,
        )

    def _queue(
        self, connection: Connection, job: Job, written: Sequence[ResultObject], source_series_uid: str | None
    ) -> None:
        """Queue results for delivery, and mark the earlier ones that they replace."""
        self._outbox.queue(
            connection,
            written,
            job_id=job.id,
            created_at=job.created_at,
            destinations=job.destinations,
            source_series_uid=source_series_uid,
        )
        succeed(connection, job, source_series_uid, written)

    def clear(self, job_id: str) -> None:
        """Remove the files of a job that has ended, unless the settings keep them for the patient's next one."""
        if not self._settings.retention.job_files_days:
            rmtree(self._work / job_id, ignore_errors=True)

    def turn(self, name: str) -> AbstractContextManager[object]:
        """Return what to hold during a step: those that compute take turns on a GPU, with replays too."""
        computes = name in ("classify", "explain", "trust")
        return turn(choose_device(self._settings.inference.device)) if computes else nullcontext()

    def options(self, job: Job) -> AnalysisOptions:
        """Return the settings that shape this job's result."""
        inference = self._settings.inference
        return AnalysisOptions(
            method=job.method or self._bundles[job.bundle].manifest.method,
            planes_explained=job.planes_explained,
            device=inference.device,
            budget_mebibytes=inference.budget_mebibytes,
            trust_budget=inference.trust_budget,
            warrant=warrant.identity if (warrant := self._warrant(job)) else "",
        )

    def _warrant(self, job: Job) -> Warrant | None:
        """Return what the site's passport allows to be said of as many planes as the job's rule shows."""
        warrant = self._warrants.get(job.bundle)
        return warrant and warrant.showing(job.planes_explained)

    def _summarise(self, connection: Connection, job: Job, summary: dict[str, Any]) -> None:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(summary=summary, **line_of(summary)))

    def _files(self, job: Job) -> StepFiles:
        return StepFiles(self._work / job.id)

    def _analyses(self, job: Job) -> tuple[Analysis, ...]:
        bundle, options, files = self._bundles[job.bundle], self.options(job), self._files(job)
        analyses = tuple(
            assemble(image, bundle, classification, maps, trusts, statement, options=options)
            for image, classification, maps, trusts, statement in zip(
                files.images, files.classifications, files.maps, files.trusts, files.statements, strict=True
            )
        )
        return with_study_answer(bundle, analyses)

    def _tell(self, job: Job, seen: Sequence[Observation], connection: Connection) -> None:
        """Write every map into the ledger, in the transaction that keeps it."""
        for observation in seen:
            details = {
                "job": job.id,
                "bundle": observation.bundle,
                "weights": observation.model,
                "maps": observation.map_digest,
                "trust": observation.figures.get("trust"),
                "verdicts": observation.verdict,
            }
            self._ledger.append(
                Event.EXPLAINED,
                study_instance_uid=job.study_instance_uid,
                details=details,
                connection=connection,
            )

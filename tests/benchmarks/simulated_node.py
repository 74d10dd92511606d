"""A node that lives by an injected clock, in one process: its own parts do everything to a study but schedule it.

What DBOS Transact does in the service, calling the steps one after the other, is done by plain calls.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, tzinfo
from pathlib import Path

from pydicom import dcmread
from sqlalchemy import event, select

import reports.audit.ledger
from inference.phantom.phantom import make_phantom
from node import logs, store
from node.audit.arming import Arming
from node.delivery.delivery import Deliveries
from node.delivery.outbox import Outbox
from node.delivery.transport import Parcel
from node.home import enclose, site_key
from node.jobs.installation import routed_bundles
from node.jobs.job import Jobs
from node.jobs.steps import Steps
from node.metrics import Metrics
from node.receiving.inbox import Inbox
from node.receiving.inspection import Arrival
from node.retention.leftovers import used_bytes
from node.retention.retention import Retention
from node.routing.decisions import Decisions
from node.routing.rulebook import Rulebook
from node.rules.decide import decide
from node.settings.destination import Destination
from node.settings.settings import Settings
from node.store import StudyState, instances, results
from node.studies.studies import Snapshot, Studies
from reports.audit.ledger import Ledger
from reports.audit.observation import FIGURES, Observation
from reports.audit.observations import Observations
from reports.objects.phantom_study import write_study
from reports.objects.results import ResultObject
from tests.benchmarks.copied_study import Template, exchanged, renewed, template_of
from tests.node.receiving.intake import arrival

DESTINATION = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}
RULE = {
    "name": "flair", "when": [{"attribute": "Modality", "equals": "MR"}], "bundles": ["glioma_flair"],
    "destinations": ["pacs"], "planes_explained": 1,
}  # fmt: skip
EVERY_REAL, EVERY_UNDELIVERED = 500, 1000
IMAGES = 2
"""Of a study that is not real; of the phantom's five."""


class Clock:
    """The time that the product reads, from ``inject`` on."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def inject(self) -> None:
        """Take the place of the clock in every module of the product, those imported later among them."""
        clock, real = self, store.now

        class Simulated(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> "Simulated":
                return cls.fromtimestamp(clock.at.timestamp(), tz)

        for module in tuple(sys.modules.values()):
            if getattr(module, "now", None) is real:
                module.now = lambda: clock.at  # type: ignore[attr-defined]
        reports.audit.ledger.datetime = Simulated  # type: ignore[attr-defined]
        os.fsync = lambda _descriptor: None  # type: ignore[assignment]


class StandInTransport:
    """A destination that takes everything, or nothing while it is away."""

    def __init__(self) -> None:
        self.away = False

    def store(self, _destination: Destination, parcels: Sequence[Parcel]) -> dict[str, str]:
        assert all(parcel.path.is_file() for parcel in parcels)
        return {parcel.sop_instance_uid: "The destination is away." if self.away else "" for parcel in parcels}


class SimulatedNode:
    """One node's store and folders, and what was seen of them."""

    def __init__(self, home: Path, clock: Clock, *, watermark_studies: int) -> None:
        self._clock, self._home = clock, home
        for folder in (home, *(home / name for name in ("inbox", "outbox", "jobs"))):
            enclose(folder)
        self.settings = self._settings({})
        self._engine = store.open_engine(store.sqlite_url(home))
        event.listen(self._engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        store.migrate(self._engine)
        self._ledger = Ledger(self._engine, site_key(home))
        logs.configure(study_key=self._ledger.pseudonym, level="error")
        self._studies = Studies(self._engine, home / "inbox")
        self._inbox = Inbox(self.settings.node, self._engine, self._ledger, self._studies)
        self._transport = StandInTransport()
        self._deliveries = Deliveries(self.settings, self._engine, self._ledger, home / "outbox")
        self._deliveries._transports = {"dimse": self._transport}
        bundles = routed_bundles(self.settings)
        self._rulebook = Rulebook(self.settings, bundles, {}, self._ledger)
        self._decisions = Decisions(
            self._rulebook, self._engine, self._ledger, self._studies, Arming(self._engine, self._ledger)
        )
        self._steps = Steps(self.settings, self._engine, home, bundles, {}, self._ledger)
        self._outbox = Outbox(home / "outbox", self.settings.destinations)
        self._jobs = Jobs(self._steps, self._engine, self._ledger, self._deliveries, Metrics(self._engine, home))
        self._waiting: deque[tuple[str, str]] = deque()
        """Job and study, for a destination that is away."""
        self.undelivered: dict[str, str] = {}
        """Job of each study that is never delivered."""
        self.made = self.real = self.removed = self.removed_too_early = self.most_used = 0
        self.seconds_a_study = 0.0
        self._template = self._real_study(-EVERY_REAL, deliver=True)
        before = used_bytes(self.settings)
        self._copied_study(-EVERY_REAL + 1, deliver=True)
        size = used_bytes(self.settings) - before
        self.watermark_mebibytes = round(size * watermark_studies / (1 << 20))
        self._retention = Retention(
            self._settings({"most_mebibytes": self.watermark_mebibytes}), self._engine, self._ledger
        )

    def _settings(self, room: dict[str, int]) -> Settings:
        ages = {"originals_days": 60, "unanalysed_days": 7, "results_days": 90, "rows_days": 730}
        return Settings.model_validate(
            {
                "node": {"home": self._home, "minimum_free_bytes": 0},
                "http": {"token_file": self._home / "token"},
                "inference": {"device": "cpu", "threads": 1, "trust_budget": "fast"},
                "destinations": [DESTINATION],
                "rules": [RULE],
                "unrouted": {"destinations": ["pacs"]},
                "retention": {**ages, **room},
            }
        )

    def study(self, number: int, *, away: bool) -> None:
        """Receive, decide, analyse and deliver one study."""
        began = time.perf_counter()
        self._transport.away = away
        if number % EVERY_REAL == EVERY_REAL - 1:
            self._real_study(number, deliver=not away)
        else:
            self._copied_study(number, deliver=not away)
        self.seconds_a_study += (time.perf_counter() - began - self.seconds_a_study) / (self.made or 1)

    def deliver_waiting(self) -> None:
        """Send what a destination that was away has not taken."""
        self._transport.away = False
        while self._waiting:
            job_id, _ = self._waiting.popleft()
            assert self._deliveries.send(job_id, "pacs", 2) == 0

    def rest(self) -> None:
        """Close the store: another process may have it now, and then this one again.

        A second engine on a file of SQLite in one process drops the locks that the first one holds on it.
        """
        self._engine.dispose()

    def retain(self) -> None:
        """Remove what is due, and look whether it was due."""
        cleared = self._retention.run()
        kept = {*self.undelivered, *(study for _, study in self._waiting)}
        self.removed += len(cleared.removed)
        self.removed_too_early += sum(item.study_instance_uid in kept for item in cleared.removed)
        self.most_used = max(self.most_used, used_bytes(self.settings))

    def lost_undelivered(self) -> int:
        """Count the undelivered studies of which an image, a result or a row is gone."""
        lost = 0
        with self._engine.connect() as connection:
            for study, job_id in self.undelivered.items():
                images = select(instances.c.path).where(instances.c.study_instance_uid == study)
                made = select(results.c.path).where(results.c.job_id == job_id, results.c.removed_at.is_(None))
                files = [self._home / "inbox" / path for path in connection.execute(images).scalars()]
                outgoing = [self._home / "outbox" / path for path in connection.execute(made).scalars()]
                lost += not (files and outgoing and all(path.is_file() for path in (*files, *outgoing)))
        return lost

    def _real_study(self, number: int, *, deliver: bool) -> Template:
        folder = self._home.parent / "phantom"
        phantom = make_phantom(number % 7, rows=128, columns=128, slices=5)
        paths = write_study(phantom, folder, study_key=str(number), patient_id=f"P-{number // 3}")
        images = tuple(arrival(dcmread(path)) for path in paths)
        header = dcmread(paths[0], stop_before_pixels=True)
        job_id = self._decide(str(header.StudyInstanceUID), images)
        for name in Steps.ORDER:
            ending = self._jobs.attempt(name, job_id)
            assert ending is None, ending
        self._end(number, job_id, str(header.StudyInstanceUID), deliver=deliver)
        self.real += 1
        uids = str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
        return template_of(self._engine, self._home / "outbox", job_id, uids, images[:IMAGES])

    def _copied_study(self, number: int, *, deliver: bool) -> None:
        """Write the template's bytes under new UIDs, each as long as the one before."""
        template = self._template
        known = (template.study, template.series, *(image.sop_instance_uid for image in template.images))
        new = {old: renewed(old, number, index) for index, old in enumerate(known)}
        images = tuple(
            replace(
                image,
                sop_instance_uid=new[image.sop_instance_uid],
                encoded=exchanged(image.encoded, new),
            )
            for image in template.images
        )
        study = new[template.study]
        job_id = self._decide(study, images)
        made = tuple(
            replace(
                item,
                sop_instance_uid=renewed(item.sop_instance_uid, number, 10 + index),
                series_instance_uid=renewed(item.series_instance_uid, number, 20 + index),
                path=self._outbox.folder(job_id) / item.path.name,
            )
            for index, item in enumerate(template.results)
        )
        self._outbox.folder(job_id).mkdir()
        for item, content in zip(made, template.contents, strict=True):
            item.path.write_bytes(exchanged(content, new))
        self._record(job_id, study, new[template.series], made)
        self._end(number, job_id, study, deliver=deliver)

    def _record(self, job_id: str, study: str, series: str, made: Sequence[ResultObject]) -> None:
        """Write what the step "report" writes."""
        template = self._template
        keyed = {"study": self._ledger.pseudonym(study), "patient": self._ledger.pseudonym(study[:-2])}
        names = {field.name for field in fields(Observation)}
        figures = {name: template.observed[name] for name in FIGURES if template.observed[name] is not None}
        shared = {name: value for name, value in template.observed.items() if name in names} | keyed
        seen = Observation(**{**shared, "at": self._clock.at, "peak_mm": None, "figures": figures})
        job = self._steps.job(job_id)
        with self._engine.begin() as connection:
            self._outbox.queue(
                connection,
                made,
                job_id=job_id,
                created_at=self._clock.at,
                destinations=job.destinations,
                source_series_uid=series,
            )
            self._steps._summarise(connection, job, template.summary)
            assert Observations(self._engine).add(job_id, [seen], connection)
            self._steps._tell(job, [seen], connection)

    def _decide(self, study: str, images: Sequence[Arrival]) -> str:
        """Receive images, find their study complete and decide about it; give its job."""
        for image in images:
            self._inbox.keep(replace(image, received_at=self._clock.at))
        snapshot = Snapshot(study, len(images))
        assert self._studies.close(snapshot, self._clock.at, proof="quiet for 10 s")
        decision = decide(self._rulebook.rules, self._studies.series_headers(study), self._clock.at)
        (job_id,) = self._decisions.record(snapshot, decision, self._clock.at, state=StudyState.ROUTED)
        return job_id

    def _end(self, number: int, job_id: str, study: str, *, deliver: bool) -> None:
        """End a job and send its results."""
        self._jobs.finish(job_id, None)
        self.made += 1
        if number % EVERY_UNDELIVERED == EVERY_UNDELIVERED - 2:
            self.undelivered[study] = job_id
        elif not deliver:
            assert self._deliveries.send(job_id, "pacs") > 0
            self._waiting.append((job_id, study))
        else:
            assert self._deliveries.send(job_id, "pacs") == 0

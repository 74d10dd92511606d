"""The running node: everything started in order, and stopped in the opposite one."""

import hashlib
import signal
import threading
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
import torch
from dbos import DBOS
from pynetdicom import evt

from inference.devices import fingerprint
from inference.errors import Misconfigured
from node import logs, store, workflow_store
from node.associations.peers import Peers
from node.associations.refusals import Refusals
from node.audit.arming import Arming
from node.audit.audit import Quality
from node.audit.auditor import Auditor
from node.audit.constancy import Constancy
from node.audit.monthly import Monthly
from node.audit.opinions import Opinions
from node.audit.returned import Returned
from node.delivery import delivery
from node.delivery.consignments import Consignments
from node.delivery.delivery import Deliveries
from node.home import lock, site_key
from node.jobs import job
from node.jobs.fleet import Fleet
from node.jobs.installation import routed_bundles, warrants_of
from node.jobs.job import Jobs
from node.jobs.steps import Steps
from node.metrics import Metrics
from node.priors.fetch import Fetching
from node.priors.records import PriorRecords
from node.receiving.inbox import Inbox
from node.receiving.listener import Listener, prior_listener
from node.routing.router import Router
from node.routing.rulebook import Rulebook
from node.settings.settings import Settings
from node.studies.attempts import Attempts
from node.studies.completeness import Completeness
from node.studies.counting import Counting
from node.studies.performed_steps import PerformedSteps
from node.studies.studies import Studies
from node.web.app import create_app
from node.web.audit import audit_routes
from node.web.deliveries import DeliveryDesk, delivery_routes
from node.web.limits import bounded_server
from node.web.models import model_routes
from node.web.opinions import opinion_routes
from node.web.pages import Pages
from node.web.priors import prior_routes
from node.web.stow import StowBounds, stow_routes
from node.web.study_records import StudyRecords
from reports.audit.ledger import Event, Ledger
from reports.audit.observations import Observations


class Node:
    """One DICOM node. ``start`` returns when studies are accepted; ``stop`` leaves nothing half-done."""

    def __init__(self, settings: Settings, path: Path | None = None) -> None:
        home, shared = settings.node.home, settings.node.files
        for folder in (home, *(shared / name for name in ("inbox", "outbox", "jobs"))):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock(home)
        self._settings = settings
        self._asked = threading.Event()
        self._replaced = False
        self._log = structlog.get_logger("node")
        if settings.inference.threads:
            torch.set_num_threads(settings.inference.threads)
        bundles = routed_bundles(settings)
        warrants = warrants_of(settings, bundles)
        self.engine = store.open_engine(settings.node.database_url or store.sqlite_url(home))
        store.migrate(self.engine)
        self.ledger = Ledger(self.engine, site_key(shared))
        metrics = Metrics(self.engine, shared)
        studies = Studies(self.engine, shared / "inbox")
        performed_steps = PerformedSteps(self.engine)
        further = performed_steps.handlers if settings.completeness.performed_steps else []
        logs.configure(study_key=self.ledger.pseudonym, level=settings.node.log_level)
        inbox = Inbox(settings.node, self.engine, self.ledger, studies, limits=settings.limits, peers=settings.peers)
        fetching = Fetching(settings, PriorRecords(self.engine, settings.node.worker), inbox, self.ledger)
        DBOS(config=workflow_store.configure(settings.node))
        self.deliveries = Deliveries(settings, self.engine, self.ledger, shared / "outbox")
        self.listener = Listener(
            settings.node,
            inbox,
            metrics,
            Refusals(self.engine, self.ledger),
            peers=Peers.of(settings),
            tls=settings.tls,
            handlers=[(evt.EVT_N_EVENT_REPORT, self.deliveries.reported), *further],
        )
        self._prior_listener = prior_listener(settings, inbox, metrics, Refusals(self.engine, self.ledger))
        steps = Steps(settings, self.engine, shared, bundles, warrants, self.ledger)
        jobs = Jobs(steps, self.engine, self.ledger, self.deliveries, metrics)
        self.rulebook = Rulebook(
            settings, bundles, warrants, self.ledger, path=path, warrants_of=lambda new: warrants_of(settings, new)
        )
        counting = Counting(settings, self.engine)
        attempts = Attempts(self.engine)
        completeness = Completeness(settings, studies, performed_steps, counting, lambda: self.rulebook.rules, attempts)
        arming = Arming(self.engine, self.ledger)
        self.router = Router(
            self.rulebook, self.engine, self.ledger, studies, completeness, jobs, arming, attempts, fetching
        )
        quality = Quality(
            settings,
            lambda: self.rulebook.rules,
            self.engine,
            self.ledger,
            arming,
            Constancy(home, self.engine, self.ledger, site_key(shared), settings.audit.golden_folder),
            Observations(self.engine),
            self.rulebook.bundles,
            self.rulebook.warrants,
        )
        returned = Returned(self.engine, self.ledger, shared, self.rulebook.bundles)
        self.auditor = Auditor(quality, [returned.read_new, Monthly(quality).send_due])
        self.fleet = Fleet(settings.node, self.engine, self.ledger, resume=self._resume, replaced=self._give_way)
        desk = DeliveryDesk(Consignments(self.engine, shared / "outbox"), self.deliveries.resend, self.ledger)
        stow_bounds = StowBounds(part_bytes=settings.node.maximum_message_mebibytes << 20)
        records, pages = StudyRecords(self.engine, self.ledger, shared / "outbox"), Pages(settings.node.ae_title)
        application = create_app(
            self.engine,
            settings,
            metrics,
            self.ledger,
            listening=lambda: self.listener.running,
            rulebook=self.rulebook,
            extra_routers=[
                partial(delivery_routes, desk, pages),
                partial(stow_routes, inbox, metrics, bounds=stow_bounds),
                partial(prior_routes, fetching, studies, lambda: self.rulebook.rules, records.uid),
                partial(opinion_routes, Opinions(self.engine, self.ledger)),
                partial(audit_routes, quality, pages),
                partial(model_routes, quality, pages),
            ],
        )
        self._http = bounded_server(application, settings.http.host, settings.http.port)

    def start(self) -> None:
        """Resume what a crash left, then accept associations, then answer HTTP."""
        self.fleet.enter()
        self.auditor.hold_what_changed()
        DBOS.launch()
        DBOS.register_queue(job.QUEUE, worker_concurrency=1, polling_interval_sec=0.2)
        DBOS.register_queue(delivery.QUEUE, partition_worker_concurrency=delivery.AT_ONCE, polling_interval_sec=0.2)
        self._resume()
        self.auditor.start()
        self.fleet.start()
        self.listener.start()  # it sweeps the inbox: nothing may be on its way into it before
        if self._prior_listener:
            self._prior_listener.start()
        self.router.start()
        threading.Thread(target=self._http.run, name="http", daemon=True).start()
        self.ledger.append(Event.STARTED, details=self._told())
        self._log.info("started", ae_title=self._settings.node.ae_title, port=self._settings.node.port)

    def stop(self) -> None:
        """Accept nothing new, finish the step under way, leave the rest for the next start."""
        self.listener.stop()
        if self._prior_listener:
            self._prior_listener.stop()
        self.router.stop()
        self.auditor.stop()
        self._http.should_exit = True
        DBOS.destroy(workflow_completion_timeout_sec=10)
        self.fleet.leave()
        self.ledger.append(Event.STOPPED)
        self.engine.dispose()
        self._log.info("stopped")

    def run(self) -> None:
        """Start, read the rules again at SIGHUP, and stop at SIGTERM or SIGINT.

        Raises:
            Misconfigured: another node has started under this one's name; the work goes on there.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._asked.set())
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=self.rulebook.reload, name="reload").start())
        self.start()
        self._asked.wait()
        self.stop()
        if self._replaced:
            raise Misconfigured(
                f"Another node of this store has started as {self._settings.node.worker}.",
                cure="Give each node a node.slot of its own.",
            )

    def _told(self) -> dict[str, str]:
        """Say what this process is: release, device, libraries, and the digest of all settings."""
        here = fingerprint(self._settings.inference.device)
        return {
            "version": version("heatproof"),
            "device": here.device,
            "libraries": " ".join(f"{name} {release}" for name, release in here.libraries),
            "settings": hashlib.sha256(self._settings.model_dump_json().encode()).hexdigest(),
        }

    def _resume(self) -> None:
        older = workflow_store.discard_older()
        if older:
            self._log.warning("begun_again", workflows=older)
        self.router.resume()
        self.deliveries.resume()

    def _give_way(self) -> None:
        self._replaced = True
        self._asked.set()

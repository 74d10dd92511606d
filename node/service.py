"""The running node: everything started in order, and stopped in the opposite one."""

import secrets
import signal
import threading
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import structlog
import torch
import uvicorn
from dbos import DBOS, DBOSConfig
from sqlalchemy import create_engine, event

from inference.bundle import Bundle, load_named
from inference.errors import SettingsInvalid, UnknownName
from inference.passport import load_passport
from inference.trust.warrant import Warrant
from node import delivery, job, logs, store
from node.api.app import create_app
from node.delivery import Deliveries
from node.inbox import Inbox
from node.job import Jobs
from node.listener import Listener
from node.metrics import Metrics
from node.routing import Router
from node.settings import Settings
from node.steps import Steps
from node.studies import Studies
from reports.audit.ledger import Event, Ledger

WORKFLOW_VERSION = "1"
"""Counts up when the steps of a workflow change: only jobs of the same version are resumed."""


class Node:
    """One DICOM node. ``start`` returns when studies are accepted; ``stop`` leaves nothing half-done."""

    def __init__(self, settings: Settings) -> None:
        home = settings.node.home
        for folder in ("inbox", "outbox", "jobs"):
            (home / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._settings = settings
        self._log = structlog.get_logger("node")
        if settings.inference.threads:
            torch.set_num_threads(settings.inference.threads)
        bundles = routed_bundles(settings)
        self.engine = store.open_engine(settings.node.database_url or store.sqlite_url(home))
        store.migrate(self.engine)
        self.ledger = Ledger(self.engine, site_key(home))
        metrics = Metrics(self.engine, home)
        studies = Studies(self.engine, home / "inbox", quiet_seconds=settings.node.quiet_seconds)
        logs.configure(study_key=self.ledger.pseudonym)
        inbox = Inbox(settings.node, self.engine, self.ledger, studies)
        inbox.sweep()
        self.listener = Listener(settings.node, inbox, metrics)
        DBOS(config=_workflow_store(settings))
        deliveries = Deliveries(settings, self.engine, self.ledger, home / "outbox")
        steps = Steps(settings, self.engine, home, bundles, warrants_of(settings, bundles))
        jobs = Jobs(steps, self.engine, self.ledger, deliveries, metrics)
        self.router = Router(settings, self.engine, self.ledger, studies, bundles, jobs)
        application = create_app(self.engine, settings, metrics, self.ledger, listening=lambda: self.listener.running)
        self._http = uvicorn.Server(
            uvicorn.Config(application, settings.http.host, settings.http.port, log_config=None, access_log=False)
        )

    def start(self) -> None:
        """Resume what a crash left, then accept associations, then answer HTTP."""
        DBOS.launch()
        DBOS.register_queue(job.QUEUE, worker_concurrency=1, polling_interval_sec=0.2)
        DBOS.register_queue(delivery.QUEUE, worker_concurrency=4, polling_interval_sec=0.2)
        self.router.resume()
        self.router.start()
        self.listener.start()
        threading.Thread(target=self._http.run, name="http", daemon=True).start()
        self.ledger.append(Event.STARTED, details={"version": version("heatproof")})
        self._log.info("started", ae_title=self._settings.node.ae_title, port=self._settings.node.port)

    def stop(self) -> None:
        """Accept nothing new, finish the step under way, leave the rest for the next start."""
        self.listener.stop()
        self.router.stop()
        self._http.should_exit = True
        DBOS.destroy(workflow_completion_timeout_sec=10)
        self.ledger.append(Event.STOPPED)
        self.engine.dispose()
        self._log.info("stopped")

    def run(self) -> None:
        """Start, and stop at SIGTERM or SIGINT."""
        asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked.set())
        self.start()
        asked.wait()
        self.stop()


def routed_bundles(settings: Settings) -> dict[str, Bundle]:
    """Load every bundle that a rule names.

    Raises:
        SettingsInvalid: a rule names a bundle that is not there.
        BundleRefused: one of them is not sealed, altered, or asks for code that is not allowed.
    """
    found: dict[str, Bundle] = {}
    problems: list[str] = []
    for rule in settings.rules:
        for name in rule.bundles:
            try:
                found.setdefault(name, load_named(name, settings.inference.bundle_folders))
            except UnknownName as error:
                problems.append(f"rules[{rule.name!r}].bundles: {error}")
    if problems:
        raise SettingsInvalid(tuple(problems))
    return found


def warrants_of(settings: Settings, bundles: Mapping[str, Bundle]) -> dict[str, Warrant]:
    """Read the site's passports, by bundle; a bundle without one stays UNCOMMISSIONED.

    Raises:
        PassportRefused: a passport is altered, has no verdict, or cannot be read.
    """
    chosen = settings.inference
    if chosen.passport_folder is None:
        return {}
    paths = {name: chosen.passport_folder / name / "passport.json" for name in bundles}
    return {
        name: Warrant.of(load_passport(path), alpha=chosen.alpha, delta=chosen.delta)
        for name, path in paths.items()
        if path.is_file()
    }


def site_key(home: Path) -> bytes:
    """Give the secret that identifiers in ledger, log and URLs are hashed with; made on the first start, mode 0600."""
    path = home / "site.key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
    return path.read_bytes()


def _workflow_store(settings: Settings) -> DBOSConfig:
    common: DBOSConfig = {
        "name": "heatproof",
        "executor_id": settings.node.ae_title,
        "application_version": WORKFLOW_VERSION,
        "log_level": "ERROR",
        "console_log_level": "ERROR",
    }
    if settings.node.database_url:
        return {**common, "system_database_url": settings.node.database_url}
    engine = create_engine(f"sqlite:///{settings.node.home / 'workflows.sqlite'}")
    event.listen(engine, "connect", store.durable_sqlite)
    return {**common, "system_database_engine": engine}

"""The running node: everything started in order, and stopped in the opposite one."""

import hashlib
import os
import signal
import threading
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
import torch
from dbos import DBOS

from inference.devices import fingerprint
from inference.errors import Misconfigured
from node import workflow_store
from node.assembly import make_application, make_audit, make_ground, make_receiving, make_router
from node.associations import exchanges
from node.audit.arming import Arming
from node.audit.auditor import Auditor
from node.audit.monthly import Monthly
from node.audit.returned import Returned
from node.delivery import delivery
from node.delivery.delivery import Deliveries
from node.home import enclose, lock
from node.jobs import job
from node.jobs.fleet import Fleet
from node.jobs.installation import warrants_of
from node.retention.retention import Retention, RetentionThread
from node.routing.rulebook import Rulebook
from node.settings.settings import Settings
from node.web.limits import bounded_server
from reports.audit.ledger import Event

STOP_SECONDS = 45.0
"""After this a node that was told to stop ends, whatever it is doing; systemd and Compose give it 60 s."""


class Node:
    """One DICOM node. ``start`` returns when studies are accepted; ``stop`` leaves nothing half-done."""

    def __init__(self, settings: Settings, path: Path | None = None) -> None:
        home, shared = settings.node.home, settings.node.files
        for folder in (home, shared, *(shared / name for name in ("inbox", "outbox", "jobs"))):
            enclose(folder, settings.node.group)
        self._lock = lock(home)
        self._settings = settings
        self._asked = threading.Event()
        self._replaced = False
        self._log = structlog.get_logger("node")
        if settings.inference.threads:
            torch.set_num_threads(settings.inference.threads)
        ground = make_ground(settings)
        self.engine, self.ledger = ground.engine, ground.ledger
        DBOS(config=workflow_store.configure(settings.node))
        self.deliveries = Deliveries(settings, self.engine, self.ledger, ground.outbox)
        receiving = make_receiving(ground, self.deliveries)
        self.listener, self._prior_listener = receiving.listener, receiving.prior_listener
        self.rulebook = Rulebook(
            settings,
            ground.bundles,
            ground.warrants,
            self.ledger,
            path=path,
            warrants_of=partial(warrants_of, settings),
        )
        arming = Arming(self.engine, self.ledger)
        self.router = make_router(ground, receiving, self.rulebook, arming, self.deliveries)
        audit = make_audit(ground, self.rulebook, arming)
        returned = Returned(self.engine, self.ledger, shared, self.rulebook.bundles)
        self._counted = receiving.counted
        self.auditor = Auditor(audit, [returned.read_new, Monthly(audit).send_due, self._counted.write_due])
        self.fleet = Fleet(settings.node, self.engine, self.ledger, resume=self._resume, replaced=self._give_way)
        self.retention = RetentionThread(
            Retention(settings, self.engine, self.ledger), interval_seconds=60.0 * settings.retention.check_minutes
        )
        application = make_application(ground, receiving, self.rulebook, audit, self.deliveries)
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
        self.retention.start()
        threading.Thread(target=self._http.run, name="http", daemon=True).start()
        self.ledger.append(Event.STARTED, details=self._told())
        self._log.info("started", ae_title=self._settings.node.ae_title, port=self._settings.node.port)

    def stop(self) -> None:
        """Accept nothing new, finish the step under way, leave the rest for the next start."""
        self.listener.stop()
        if self._prior_listener:
            self._prior_listener.stop()
        exchanges.end_all()
        self.router.stop()
        self.auditor.stop()
        self.retention.stop()
        self._http.should_exit = True
        DBOS.destroy(workflow_completion_timeout_sec=10)
        self.fleet.leave()
        self._counted.write_due(older_than_seconds=0.0)
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
        forced = threading.Timer(STOP_SECONDS, self._end_by_force)
        forced.daemon = True  # it is not waited for where everything has ended by itself
        forced.start()
        self.stop()
        if self._replaced:
            raise Misconfigured(
                f"Another node of this store has started as {self._settings.node.worker}.",
                cure="Give each node a node.slot of its own.",
            )

    def _end_by_force(self) -> None:
        """End the process whatever still runs in it: what is not done is done after the next start."""
        running = [thread.name for thread in threading.enumerate() if not thread.daemon]
        self._log.error("stopped_by_force", problem=", ".join(running))
        os._exit(0)

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

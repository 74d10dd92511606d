"""The running node: everything started in order, and stopped in the opposite one.

What receives is up within seconds. The libraries of the networks are imported after it, and a study waits until then.
"""

import hashlib
import os
import signal
import threading
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from dbos import DBOS

from inference.errors import Misconfigured
from node import workflow_store
from node.associations import exchanges
from node.delivery import delivery
from node.delivery.delivery import Deliveries
from node.home import enclose, lock
from node.jobs.fleet import Fleet
from node.pieces import pieces
from node.pieces.pieces import Pieces
from node.reception import make_ground, make_receiving
from node.settings.settings import Settings
from node.settings.started import record_started
from node.web.access.security import Authenticator
from node.web.access.server import Doorway, bounded_server
from node.web.guard import Guard
from node.web.health import Readiness, probe_application
from reports.audit.ledger import Event

if TYPE_CHECKING:
    from node.assembly import Analysing

LOADING = "The models are being loaded; what is received meanwhile is kept and analysed afterwards."
STOP_SECONDS = 45.0
"""After this a node that was told to stop ends, whatever it is doing; systemd and Compose give it 60 s."""


class Node:
    """One DICOM node. ``start`` returns when studies are analysed; ``stop`` leaves nothing half-done."""

    def __init__(self, settings: Settings, path: Path | None = None) -> None:
        home, shared = settings.node.home, settings.node.files
        for folder in (home, shared, *(shared / name for name in ("inbox", "outbox", "jobs"))):
            enclose(folder, settings.node.group)
        self._lock = lock(home)
        self._settings = settings
        self._path = path
        self._asked = threading.Event()
        self._reload_asked = threading.Event()
        self._replaced = False
        self._log = structlog.get_logger("node")
        self._ground = ground = make_ground(settings)
        self.engine, self.ledger = ground.engine, ground.ledger
        DBOS(config=workflow_store.configure(settings.node))
        self.deliveries = Deliveries(settings, self.engine, self.ledger, ground.outbox)
        self._receiving = make_receiving(ground, self.deliveries)
        self.listener, self._prior_listener = self._receiving.listener, self._receiving.prior_listener
        self.pieces = Pieces(settings.node, self.engine)
        self.fleet = Fleet(settings.node, self.engine, self.ledger, resume=self._resume, replaced=self._give_way)
        self._analysing: Analysing | None = None
        record_started(settings)
        readiness = Readiness(self.engine, settings.node, lambda: self.listener.running, loading=lambda: LOADING)
        guard = Guard(Authenticator(settings.http, self.engine))
        self._doorway = Doorway(probe_application(readiness, ground.metrics, guard.probe), settings.http.names)
        self._http = bounded_server(self._doorway, settings.http.host, settings.http.port)

    def start(self) -> None:
        """Accept associations at once; load the models, resume what a crash left, then route and open the console.

        Raises:
            Misconfigured: a bundle or a passport cannot be used; nothing is accepted any more.
        """
        with ExitStack() as undo:
            undo.callback(self._stop_receiving)
            self.listener.start()  # it sweeps the inbox: nothing may be on its way into it before
            if self._prior_listener:
                self._prior_listener.start()
            threading.Thread(target=self._http.run, name="http", daemon=True).start()
            self._log.info("receiving", ae_title=self._settings.node.ae_title, port=self._settings.node.port)
            analysing = self._load()
            undo.pop_all()
        if analysing is not None:
            self._analyse(analysing)

    def _load(self) -> "Analysing | None":
        """Import what analyses, some 10 s of a processor, and load the bundles; None where the node is to stop."""
        began = time.monotonic()
        self._log.info("loading_models")
        if self._asked.is_set():
            return None
        import torch

        if self._asked.is_set():
            return None
        from node.assembly import make_analysing

        if self._settings.inference.threads:
            torch.set_num_threads(self._settings.inference.threads)
        made = make_analysing(self._ground, self._receiving, self.deliveries, self._path)
        self._log.info(
            "models_loaded",
            bundle=", ".join(made.rulebook.bundles) or None,
            seconds=round(time.monotonic() - began, 1),
        )
        return made

    def _analyse(self, made: "Analysing") -> None:
        """Resume what a crash left, then route what waits, then open the console."""
        self._analysing = made
        self.fleet.enter()
        made.rulebook.begin(self._settings.node.worker)
        made.auditor.hold_what_changed()
        from node.jobs import job

        takes_part = self._settings.node.commissioning_folder is not None
        DBOS.listen_queues([job.QUEUE, delivery.QUEUE, *([pieces.QUEUE] if takes_part else [])])
        DBOS.launch()
        DBOS.register_queue(job.QUEUE, worker_concurrency=1, polling_interval_sec=0.2)
        DBOS.register_queue(delivery.QUEUE, partition_worker_concurrency=delivery.AT_ONCE, polling_interval_sec=0.2)
        DBOS.register_queue(pieces.QUEUE, worker_concurrency=1, polling_interval_sec=0.2)
        self._resume()
        made.auditor.start()
        self.fleet.start()
        made.router.start()
        made.retention.start()
        self._doorway.open(made.application)
        self._ground.metrics.analysing()
        self.ledger.append(Event.STARTED, details=self._told())
        self._log.info("started", ae_title=self._settings.node.ae_title, port=self._settings.node.port)
        if self._reload_asked.is_set():
            self._reload()

    def stop(self) -> None:
        """Accept nothing new, finish the step under way, leave the rest for the next start."""
        self._stop_receiving()
        exchanges.end_all()
        if self._analysing is not None:
            self._analysing.router.stop()
            self._analysing.auditor.stop()
            self._analysing.retention.stop()
        self._http.should_exit = True
        self.pieces.stop()
        if self._analysing is not None:
            DBOS.destroy(workflow_completion_timeout_sec=10)
            self.fleet.leave()
        self._receiving.counted.write_due(older_than_seconds=0.0)
        if self._analysing is not None:
            self.ledger.append(Event.STOPPED)
        self.engine.dispose()
        self._log.info("stopped")

    def _stop_receiving(self) -> None:
        self.listener.stop()
        if self._prior_listener:
            self._prior_listener.stop()

    def run(self) -> None:
        """Start, read the rules again at SIGHUP, and stop at SIGTERM or SIGINT.

        Raises:
            Misconfigured: another node has started under this one's name; the work goes on there.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._asked.set())
        signal.signal(signal.SIGHUP, lambda *_: self._reload())
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
        from inference.devices import fingerprint

        here = fingerprint(self._settings.inference.device)
        return {
            "version": version("heatproof"),
            "device": here.device,
            "libraries": " ".join(f"{name} {release}" for name, release in here.libraries),
            "settings": hashlib.sha256(self._settings.model_dump_json().encode()).hexdigest(),
        }

    def _reload(self) -> None:
        """Read the rules again, beside what is under way; while the node starts, once it has."""
        if self._analysing is None:
            self._reload_asked.set()
        else:
            threading.Thread(target=self._analysing.rulebook.reload, name="reload").start()

    def _resume(self) -> None:
        older = workflow_store.discard_older()
        if older:
            self._log.warning("begun_again", workflows=older)
        if self._analysing is not None:
            self._analysing.router.resume()
        self.deliveries.resume()

    def _give_way(self) -> None:
        self._replaced = True
        self._asked.set()

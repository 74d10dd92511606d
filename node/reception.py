"""What takes images in, made of the settings; nothing that a network needs is imported for it.

It is ready a few seconds after the start, while the libraries of the networks are still being loaded.
"""

from dataclasses import dataclass
from pathlib import Path

from pynetdicom import evt
from sqlalchemy import Engine

from node import logs, store
from node.associations.acceptor import memory_of
from node.associations.peers import Peers
from node.associations.refusals import Refusals
from node.associations.shares import Shares
from node.delivery.delivery import Deliveries
from node.home import site_key
from node.metrics import Metrics
from node.priors.fetch import Fetching
from node.priors.records import PriorRecords
from node.receiving.inbox import Inbox
from node.receiving.listener import Listener, prior_listener
from node.settings.settings import Settings
from node.studies.performed_steps import PerformedSteps
from node.studies.studies import Studies
from reports.audit.counted import CountedEvents
from reports.audit.ledger import Ledger


@dataclass(frozen=True)
class Ground:
    """What every part of a node stands on."""

    settings: Settings
    engine: Engine
    ledger: Ledger
    metrics: Metrics

    @property
    def outbox(self) -> Path:
        """Where results lie until they are delivered."""
        return self.settings.node.files / "outbox"


@dataclass(frozen=True)
class Receiving:
    """What takes images in."""

    studies: Studies
    inbox: Inbox
    performed_steps: PerformedSteps
    fetching: Fetching
    listener: Listener
    prior_listener: Listener | None
    """Takes only priors; None where the settings want none."""
    counted: CountedEvents
    """What peers can cause at will, on its way into the ledger."""
    memory: Shares
    """Bytes for what is being received, by whichever port."""


def make_ground(settings: Settings) -> Ground:
    """Open and migrate the store, and configure the logs, which name studies by keyed hashes."""
    engine = store.open_engine(store.store_url(settings.node))
    store.migrate(engine)
    ledger = Ledger(engine, site_key(settings.node.files))
    logs.configure(study_key=ledger.pseudonym, level=settings.node.log_level)
    metrics = Metrics(engine, settings.node.files, minimum_free_bytes=settings.node.minimum_free_bytes)
    return Ground(settings, engine, ledger, metrics)


def make_receiving(ground: Ground, deliveries: Deliveries) -> Receiving:
    """Make the listeners and the inbox; answers to storage commitment go to ``deliveries``."""
    settings, engine, ledger = ground.settings, ground.engine, ground.ledger
    studies, performed_steps = Studies(engine, settings.node.files / "inbox"), PerformedSteps(engine)
    counted, memory = CountedEvents(ledger, settings.node.home / "counted"), memory_of(settings.node)
    inbox = Inbox(settings.node, engine, ledger, studies, limits=settings.limits, peers=settings.peers, counted=counted)
    further = performed_steps.handlers if settings.completeness.performed_steps else []
    listener = Listener(
        settings.node,
        inbox,
        ground.metrics,
        Refusals(engine, counted),
        peers=Peers.of(settings),
        tls=settings.tls,
        handlers=[(evt.EVT_N_EVENT_REPORT, deliveries.reported), *further],
        memory=memory,
    )
    return Receiving(
        studies=studies,
        inbox=inbox,
        performed_steps=performed_steps,
        fetching=Fetching(settings, PriorRecords(engine, settings.node.worker), inbox, ledger),
        listener=listener,
        prior_listener=prior_listener(settings, inbox, ground.metrics, Refusals(engine, counted), memory),
        counted=counted,
        memory=memory,
    )

"""The parts of a node, made of its settings: what takes images in, what routes them, what audits, and the web side."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from pynetdicom import evt
from sqlalchemy import Engine

from inference.bundle.bundle import Bundle
from inference.trust.warrant import Warrant
from node import logs, store
from node.associations.acceptor import memory_of
from node.associations.peers import Peers
from node.associations.refusals import Refusals
from node.associations.shares import Shares
from node.audit.arming import Arming
from node.audit.audit import Audit
from node.audit.constancy import Constancy
from node.audit.opinions import Opinions
from node.delivery.consignments import Consignments
from node.delivery.delivery import Deliveries
from node.home import site_key
from node.jobs.installation import routed_bundles, warrants_of
from node.jobs.job import Jobs
from node.jobs.steps import Steps
from node.metrics import Metrics
from node.priors.fetch import Fetching
from node.priors.records import PriorRecords
from node.receiving.inbox import Inbox
from node.receiving.listener import Listener, prior_listener
from node.retention.retention import Retention
from node.routing.decisions import Decisions
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
from node.web.keeping.page import KeepingDesk, keeping_routes
from node.web.models import model_routes
from node.web.opinions import opinion_routes
from node.web.pages import Pages
from node.web.priors import prior_routes
from node.web.stow import StowBounds, stow_routes
from node.web.study_records import StudyRecords
from reports.audit.counted import CountedEvents
from reports.audit.ledger import Ledger
from reports.audit.observations import Observations


@dataclass(frozen=True)
class Ground:
    """What every part of a node stands on."""

    settings: Settings
    engine: Engine
    ledger: Ledger
    metrics: Metrics
    bundles: dict[str, Bundle]
    """Those that the rules name."""
    warrants: dict[str, Warrant]

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
    """Load the bundles, open and migrate the store, and configure the logs, which name studies by keyed hashes."""
    bundles = routed_bundles(settings)
    warrants = warrants_of(settings, bundles)
    engine = store.open_engine(settings.node.database_url or store.sqlite_url(settings.node.home))
    store.migrate(engine)
    ledger = Ledger(engine, site_key(settings.node.files))
    logs.configure(study_key=ledger.pseudonym, level=settings.node.log_level)
    return Ground(settings, engine, ledger, Metrics(engine, settings.node.files), bundles, warrants)


def make_receiving(ground: Ground, deliveries: Deliveries) -> Receiving:
    """Make the listeners and the inbox; answers to storage commitment go to ``deliveries``."""
    settings, engine, ledger = ground.settings, ground.engine, ground.ledger
    studies, performed_steps = Studies(engine, settings.node.files / "inbox"), PerformedSteps(engine)
    counted, memory = CountedEvents(ledger), memory_of(settings.node)
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


def make_router(
    ground: Ground, receiving: Receiving, rulebook: Rulebook, arming: Arming, deliveries: Deliveries
) -> Router:
    """Make the router with the jobs that it starts."""
    settings, engine, ledger, studies = ground.settings, ground.engine, ground.ledger, receiving.studies
    steps = Steps(settings, engine, settings.node.files, ground.bundles, ground.warrants, ledger)
    attempts = Attempts(engine)
    completeness = Completeness(
        settings,
        studies,
        receiving.performed_steps,
        Counting(settings, engine),
        lambda: rulebook.rules,
        attempts,
    )
    return Router(
        rulebook,
        engine,
        studies,
        completeness,
        Decisions(rulebook, engine, ledger, studies, arming),
        Jobs(steps, engine, ledger, deliveries, ground.metrics),
        attempts,
        receiving.fetching,
    )


def make_audit(ground: Ground, rulebook: Rulebook, arming: Arming) -> Audit:
    """Make the audit of the routes in force."""
    node, engine, ledger = ground.settings.node, ground.engine, ground.ledger
    golden = ground.settings.audit.golden_folder
    return Audit(
        ground.settings,
        lambda: rulebook.rules,
        engine,
        ledger,
        arming,
        Constancy(node.home, engine, ledger, site_key(node.files), golden),
        Observations(engine),
        rulebook.bundles,
        rulebook.warrants,
    )


def make_application(
    ground: Ground, receiving: Receiving, rulebook: Rulebook, audit: Audit, deliveries: Deliveries
) -> FastAPI:
    """Make the console and the API."""
    settings, engine, ledger = ground.settings, ground.engine, ground.ledger
    pages, records = Pages(settings.node.ae_title), StudyRecords(engine, ledger, ground.outbox)
    desk = DeliveryDesk(Consignments(engine, ground.outbox), deliveries.resend, ledger)
    stow_bounds = StowBounds(part_bytes=settings.node.maximum_message_mebibytes << 20)
    return create_app(
        engine,
        settings,
        ground.metrics,
        ledger,
        listening=lambda: receiving.listener.running,
        rulebook=rulebook,
        extra_routers=[
            partial(delivery_routes, desk, pages),
            partial(stow_routes, receiving.inbox, ground.metrics, receiving.memory, bounds=stow_bounds),
            partial(prior_routes, receiving.fetching, receiving.studies, lambda: rulebook.rules, records.uid),
            partial(opinion_routes, Opinions(engine, ledger)),
            partial(audit_routes, audit, pages),
            partial(model_routes, audit, pages),
            partial(keeping_routes, KeepingDesk(settings, Retention(settings, engine, ledger), ledger), pages),
        ],
    )

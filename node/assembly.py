"""What routes, analyses, audits and shows the studies that are received, made of the settings."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi import FastAPI

from node.audit.arming import Arming
from node.audit.audit import Audit
from node.audit.auditor import Auditor
from node.audit.constancy import Constancy
from node.audit.monthly import Monthly
from node.audit.opinions import Opinions
from node.audit.returned import Returned
from node.audit.view import prepare_views
from node.delivery.consignments import Consignments
from node.delivery.delivery import Deliveries
from node.home import site_key
from node.jobs.installation import routed_bundles, warrants_of
from node.jobs.job import Jobs
from node.jobs.steps import Steps
from node.reception import Ground, Receiving
from node.retention.retention import Retention, RetentionThread
from node.routing.decisions import Decisions
from node.routing.router import Router
from node.routing.rulebook import Rulebook
from node.routing.versions import RuleVersions
from node.studies.attempts import Attempts
from node.studies.completeness import Completeness
from node.studies.counting import Counting
from node.studies.numbers import Numbers
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
from reports.audit.observations import Observations


@dataclass(frozen=True)
class Analysing:
    """What routes, analyses and audits the studies that are received, and shows it."""

    rulebook: Rulebook
    router: Router
    auditor: Auditor
    retention: RetentionThread
    application: FastAPI


def make_analysing(ground: Ground, receiving: Receiving, deliveries: Deliveries, path: Path | None) -> Analysing:
    """Load the bundles that the rules name, and make all that needs them.

    Args:
        ground: what every part stands on.
        receiving: what takes images in.
        deliveries: the durable sender.
        path: the settings file, for a reload of the rules.

    Raises:
        Misconfigured: a bundle or a passport cannot be used.
    """
    settings, engine, ledger = ground.settings, ground.engine, ground.ledger
    bundles = routed_bundles(settings)
    warrants = warrants_of(settings, bundles)
    rulebook = Rulebook(
        settings,
        bundles,
        warrants,
        ledger,
        path=path,
        warrants_of=partial(warrants_of, settings),
        versions=RuleVersions(engine),
    )
    arming = Arming(engine, ledger)
    router = make_router(ground, receiving, rulebook, arming, deliveries)
    audit = make_audit(ground, rulebook, arming)
    returned = Returned(engine, ledger, settings.node.files, rulebook.bundles)
    numbers = Numbers(engine, ledger.pseudonym, settings.node.files / "inbox")
    prepare = partial(prepare_views, audit)
    auditor = Auditor(
        audit, [returned.read_new, Monthly(audit).send_due, receiving.counted.write_due, numbers.fill, prepare]
    )
    retention = RetentionThread(
        Retention(settings, engine, ledger), interval_seconds=60.0 * settings.retention.check_minutes
    )
    application = make_application(ground, receiving, rulebook, audit, deliveries)
    return Analysing(rulebook, router, auditor, retention, application)


def make_router(
    ground: Ground, receiving: Receiving, rulebook: Rulebook, arming: Arming, deliveries: Deliveries
) -> Router:
    """Make the router with the jobs that it starts."""
    settings, engine, ledger, studies = ground.settings, ground.engine, ground.ledger, receiving.studies
    steps = Steps(settings, engine, settings.node.files, rulebook.bundles, rulebook.warrants, ledger)
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

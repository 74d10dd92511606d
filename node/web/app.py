"""The web application of one node: health, REST API and console behind one guard."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError
from starlette.exceptions import HTTPException

from inference.errors import HeatproofError
from node.metrics import Metrics
from node.routing.rulebook import Rulebook
from node.settings.settings import Settings
from node.studies.numbers import Numbers
from node.web import stow
from node.web.access.security import Authenticator
from node.web.dry_run import DryRunDesk, dry_run_routes
from node.web.guard import Guard, add_headers
from node.web.health import Readiness, health_routes
from node.web.ledger import LedgerDesk, ledger_routes
from node.web.limits import BodyCap, NamedHosts
from node.web.lists.figures import FiguresReader
from node.web.lists.study_lines import StudyLines
from node.web.overview import Concerns, overview_routes
from node.web.pages import ErrorAnswers, Pages, login_routes
from node.web.refusals import refusal_routes
from node.web.rules import RulesDesk, rule_routes
from node.web.studies import study_routes
from node.web.study_records import StudyRecords
from reports.audit.ledger import Ledger

LONG_BODIES = {stow.PATH: stow.BOUNDS.request_bytes}
"""Beginnings of paths that accept longer bodies than the others, each with its limit in bytes."""


def create_app(
    engine: Engine,
    settings: Settings,
    metrics: Metrics,
    ledger: Ledger,
    *,
    listening: Callable[[], bool],
    rulebook: Rulebook | None = None,
    extra_routers: Sequence[Callable[[Guard], APIRouter]] = (),
) -> FastAPI:
    """Build the application; it only reads the store.

    Args:
        engine: the node's store.
        settings: the whole file.
        metrics: what ``/metrics`` shows.
        ledger: makes the keys of studies and has their events.
        listening: whether the DICOM listener accepts associations.
        rulebook: the rules in force; those of the settings, never reloaded, where left out.
        extra_routers: functions of the guard that make routes which need more of the node than its store.

    Raises:
        SettingsInvalid: other machines could connect, and nobody chose a token.
    """
    guard, pages = Guard(Authenticator(settings.http, engine)), Pages(settings.node.ae_title)
    answers = ErrorAnswers(pages, guard.caller)
    app = FastAPI(title="heatproof", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(NamedHosts, answers=answers, names=settings.http.names)
    app.add_middleware(BodyCap, answers=answers, long_bodies=LONG_BODIES)
    app.middleware("http")(add_headers)  # outside of the one before
    readiness = Readiness(engine, settings.node, listening)
    records = StudyRecords(engine, ledger, settings.node.files / "outbox")
    numbers = Numbers(engine, ledger.pseudonym, settings.node.files / "inbox")
    figures = FiguresReader(engine, settings.node.files, settings.node.minimum_free_bytes)
    book = rulebook or Rulebook(settings, {}, {}, ledger)
    for router in (
        health_routes(readiness, metrics, guard.probe),
        login_routes(pages, guard),
        overview_routes(Concerns(engine, book, readiness.obstacles), figures, pages, guard),
        study_routes(
            records,
            StudyLines(engine, ledger),
            numbers,
            lambda: [rule.name for rule in book.rules],
            readiness.obstacles,
            pages,
            guard,
        ),
        refusal_routes(engine, settings.node.home / "quarantine", pages, guard),
        rule_routes(RulesDesk(book, records, ledger), records, pages, guard),
        dry_run_routes(DryRunDesk(book, records), pages, guard),
        ledger_routes(LedgerDesk(engine, ledger), book, pages, guard),
        *(make(guard) for make in extra_routers),
    ):
        app.include_router(router)
    app.add_api_route("/api/openapi.json", app.openapi, dependencies=[Depends(guard.read)], include_in_schema=False)
    _answer_errors(app, answers)
    return app


def _answer_errors(app: FastAPI, answers: ErrorAnswers) -> None:
    app.add_exception_handler(HeatproofError, answers.ours)
    app.add_exception_handler(HTTPException, answers.http)
    app.add_exception_handler(RequestValidationError, answers.invalid)
    app.add_exception_handler(OverflowError, answers.beyond)
    app.add_exception_handler(DataError, answers.beyond)
    app.add_exception_handler(DBAPIError, answers.store_away)
    app.add_exception_handler(Exception, answers.unforeseen)

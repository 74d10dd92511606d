"""The web application of one node: health, API and console behind one door."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Engine
from starlette.exceptions import HTTPException

from inference.errors import HeatproofError
from node.associations.refusals import Refusals
from node.metrics import Metrics
from node.routing.rulebook import Rulebook
from node.settings.settings import Settings
from node.web import stow
from node.web.access.security import Door
from node.web.concerns import Concerns
from node.web.doctor_page import doctor_page
from node.web.faults import ErrorAnswers
from node.web.guard import Guard, add_headers
from node.web.health import Readiness, health_routes
from node.web.ledger import LedgerDesk
from node.web.ledger_page import ledger_page
from node.web.limits import BodyCap
from node.web.overview import Overview
from node.web.overview_page import overview_page
from node.web.pages import Pages, console_pages
from node.web.refusals import refusal_routes
from node.web.routes import api_routes
from node.web.rules import RulesDesk
from node.web.rules_page import rules_page
from reports.audit.ledger import Ledger

LONG_BODIES = {stow.PATH: stow.BOUNDS.request_bytes}
"""Paths that take longer bodies than the others, by their beginning, each with its limit in bytes."""


def create_app(
    engine: Engine,
    settings: Settings,
    metrics: Metrics,
    ledger: Ledger,
    *,
    listening: Callable[[], bool],
    rulebook: Rulebook | None = None,
    further: Sequence[Callable[[Guard], APIRouter]] = (),
) -> FastAPI:
    """Build the application; it only reads the store.

    Args:
        engine: the node's store.
        settings: the whole file.
        metrics: what ``/metrics`` shows.
        ledger: names studies by their keys and tells their events.
        listening: whether the DICOM listener accepts associations.
        rulebook: the rules in force; those of the settings, never read again, where left out.
        further: routes that do more than read, made of the guard they ask.

    Raises:
        SettingsInvalid: the console could be reached from elsewhere and nobody chose a token.
    """
    guard = Guard(Door(settings.http, engine))
    overview = Overview(engine, ledger, settings.node.files / "outbox")
    pages = Pages(settings.node.ae_title)
    answer = ErrorAnswers(pages)
    app = FastAPI(title="heatproof", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyCap, answers=answer, long_bodies=LONG_BODIES)
    app.middleware("http")(add_headers)  # outside of the one before
    readiness = Readiness(engine, settings.node, listening)
    app.include_router(health_routes(readiness, metrics, guard.probe))
    book = rulebook or Rulebook(settings, {}, {}, ledger)
    app.include_router(api_routes(overview, guard))
    app.include_router(overview_page(Concerns(engine, book, readiness.obstacles), pages, guard))
    app.include_router(console_pages(overview, guard, pages, readiness.obstacles))
    refusals = Refusals(engine)
    app.include_router(refusal_routes(refusals, guard))
    app.include_router(doctor_page(refusals, guard, pages))
    app.include_router(rules_page(RulesDesk(book, overview, ledger), overview, pages, guard))
    app.include_router(ledger_page(LedgerDesk(engine, ledger), book, pages, guard))
    for make in further:
        app.include_router(make(guard))
    app.add_api_route("/api/openapi.json", app.openapi, dependencies=[Depends(guard.read)], include_in_schema=False)
    app.add_exception_handler(HeatproofError, answer.ours)
    app.add_exception_handler(HTTPException, answer.http)
    app.add_exception_handler(RequestValidationError, answer.invalid)
    app.add_exception_handler(Exception, answer.unforeseen)
    return app

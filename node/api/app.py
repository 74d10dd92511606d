"""The web application of one node: health, API and console behind one door."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Engine
from starlette.exceptions import HTTPException

from inference.errors import HeatproofError
from node.access.security import Door
from node.api import stow
from node.api.faults import ErrorAnswers
from node.api.guard import Guard, add_headers
from node.api.health import Readiness, health_routes
from node.api.limits import BodyCap
from node.api.overview import Overview
from node.api.refusals import refusal_routes
from node.api.routes import api_routes
from node.associations.refusals import Refusals
from node.console.doctor import doctor_page
from node.console.pages import Pages, console_pages
from node.metrics import Metrics
from node.settings import Settings
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
    further: Sequence[Callable[[Guard], APIRouter]] = (),
) -> FastAPI:
    """Build the application; it only reads the store.

    Args:
        engine: the node's store.
        settings: the whole file.
        metrics: what ``/metrics`` shows.
        ledger: names studies by their keys and tells their events.
        listening: whether the DICOM listener accepts associations.
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
    app.include_router(api_routes(overview, ledger, guard))
    app.include_router(console_pages(overview, guard, pages, readiness.obstacles))
    refusals = Refusals(engine)
    app.include_router(refusal_routes(refusals, guard))
    app.include_router(doctor_page(refusals, guard, pages))
    for make in further:
        app.include_router(make(guard))
    app.add_exception_handler(HeatproofError, answer.ours)
    app.add_exception_handler(HTTPException, answer.http)
    app.add_exception_handler(RequestValidationError, answer.invalid)
    app.add_exception_handler(Exception, answer.unforeseen)
    return app

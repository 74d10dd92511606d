"""Health: liveness, readiness to receive studies, and Prometheus metrics."""

import shutil
from collections.abc import Callable

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from node.metrics import Metrics
from node.settings.node import NodeSettings
from node.web.guard import add_headers
from reports.wording import size_in_words


class Readiness:
    """Whether a C-STORE request would be answered with success now."""

    def __init__(
        self,
        engine: Engine,
        settings: NodeSettings,
        listening: Callable[[], bool],
        *,
        loading: Callable[[], str] = str,
    ) -> None:
        """Bind to a node.

        Args:
            engine: its store, which is asked each time.
            settings: where its files are, and how much must be free.
            listening: whether the listener accepts associations.
            loading: says what an analysis waits for while the node starts; empty: nothing.
        """
        self.loading = loading
        self._engine = engine
        self._settings = settings
        self._listening = listening

    def obstacles(self) -> list[str]:
        """List the reasons why not; none means ready."""
        reasons = []
        if not self._listening():
            reasons.append("The listener does not accept associations.")
        if not self._store_answers():
            reasons.append("The database does not answer.")
        free = shutil.disk_usage(self._settings.files).free
        if free < self._settings.minimum_free_bytes:
            reasons.append(
                f"Only {size_in_words(free)} of disk space is free; node.minimum_free_bytes keeps "
                f"{size_in_words(self._settings.minimum_free_bytes)} free."
            )
        return reasons

    def _store_answers(self) -> bool:
        try:
            with self._engine.connect() as connection:
                connection.execute(select(1))
        except SQLAlchemyError:
            return False
        return True


def health_routes(readiness: Readiness, metrics: Metrics, guard: Callable[..., object]) -> APIRouter:
    """Make ``/livez``, ``/readyz`` and ``/metrics``."""
    routes = APIRouter(dependencies=[Depends(guard)])

    @routes.get("/livez")
    async def alive() -> dict[str, bool]:
        return {"alive": True}

    @routes.get("/readyz")
    def ready() -> JSONResponse:
        obstacles = readiness.obstacles()
        loading = readiness.loading()
        answer = {"ready": not obstacles, "reasons": obstacles, "analysing": not loading}
        return JSONResponse(answer | ({"waits": loading} if loading else {}), status_code=503 if obstacles else 200)

    @routes.get("/metrics")
    def scrape() -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes


def probe_application(readiness: Readiness, metrics: Metrics, guard: Callable[..., object]) -> FastAPI:
    """Make the application of a node that is starting: the three probes behind the same guard, and nothing else."""
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    application.middleware("http")(add_headers)
    application.include_router(health_routes(readiness, metrics, guard))
    return application

"""The first page: what needs somebody, and where it is mended."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from node.web.access.caller import Caller
from node.web.concerns import Concerns, concern_routes
from node.web.guard import Guard
from node.web.pages import IDLE_SECONDS, Pages


def overview_page(concerns: Concerns, pages: Pages, guard: Guard) -> APIRouter:
    """Give ``/``, and its JSON under ``/api/overview``."""
    routes = APIRouter()
    routes.include_router(concern_routes(concerns, guard))

    @routes.get("/")
    def show(caller: Annotated[Caller, Depends(guard.page)]) -> Response:
        return pages.show("overview.html", caller=caller, here="/", needs=concerns.all(), refresh_seconds=IDLE_SECONDS)

    return routes

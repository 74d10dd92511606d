"""The form on a study's page with which a radiologist accepts or rejects an overlay."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from node.access.caller import Caller
from node.api.form import read_form
from node.api.guard import Guard
from node.quality.opinions import Opinions


def opinion_routes(opinions: Opinions, guard: Guard) -> APIRouter:
    """Give ``POST /studies/{key}/opinion``."""
    routes = APIRouter()

    @routes.post("/studies/{key}/opinion")
    async def give(key: str, request: Request, caller: Annotated[Caller, Depends(guard.operate)]) -> Response:
        form = await read_form(request)
        await run_in_threadpool(opinions.give, form.get("result", ""), form.get("word", ""), by_whom=caller.name)
        return RedirectResponse(f"/studies/{key}", status_code=303)

    return routes

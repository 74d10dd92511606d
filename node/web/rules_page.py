"""The page of rules: those in force in words, why a study went where it went, and what other rules would change."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from inference.errors import SettingsInvalid, Unavailable
from node.web.access.caller import Caller
from node.web.form import read_form
from node.web.guard import Guard
from node.web.overview import Overview
from node.web.pages import Pages
from node.web.rules import STUDIES_TRIED, RulesDesk, rule_routes

STUDIES_OFFERED = 30
RUNNING_SECONDS = 2
"""How often the page shows itself anew during a dry run."""


def rules_page(desk: RulesDesk, overview: Overview, pages: Pages, guard: Guard) -> APIRouter:
    """Give ``/rules``, its forms, and the JSON under ``/api/rules``."""
    routes = APIRouter()
    routes.include_router(rule_routes(desk, guard))

    @routes.get("/rules")
    def show(
        caller: Annotated[Caller, Depends(guard.page)], study: Annotated[str, Query(max_length=64)] = ""
    ) -> Response:
        return pages.show(
            "rules.html",
            caller=caller,
            here="/rules",
            force=desk.in_force,
            offered=overview.newest(STUDIES_OFFERED),
            study=overview.study(study)[0] if study else None,
            answers=desk.answers(study) if study else None,
        )

    def trial(caller: Caller, *, candidate: str = "", problems: tuple[str, ...] = ()) -> Response:
        dry_run = desk.dry_run
        return pages.show(
            "dry_run.html",
            caller=caller,
            here="/rules",
            status_code=422 if problems else 200,
            force=desk.in_force,
            dry_run=dry_run,
            candidate=candidate,
            problems=problems,
            tried=STUDIES_TRIED,
            refresh_seconds=RUNNING_SECONDS if dry_run.state == "running" and not problems else 0,
        )

    @routes.get("/rules/dry-run")
    def show_trial(caller: Annotated[Caller, Depends(guard.page)]) -> Response:
        return trial(caller)

    @routes.post("/rules/dry-run")
    async def try_out(request: Request, caller: Annotated[Caller, Depends(guard.operate)]) -> Response:
        text = (await read_form(request)).get("candidate", "")
        try:
            with suppress(Unavailable):  # one is under way: the page shows it
                await run_in_threadpool(desk.try_out, text, caller.name)
        except SettingsInvalid as error:
            return await run_in_threadpool(trial, caller, candidate=text, problems=error.problems)
        return RedirectResponse("/rules/dry-run", status_code=303)

    return routes

"""The dry run: what other rules would change of the last studies, which nothing is loaded for; page and JSON."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from inference.errors import Refused, SettingsInvalid, Unavailable
from node.routing.candidate import candidate_of
from node.routing.dry_run import DecisionChange, compare
from node.routing.rulebook import Rulebook
from node.rules.decide import Decision
from node.settings.settings import Settings
from node.web.access.caller import Principal
from node.web.background import BackgroundTask, Progress, ReportProgress
from node.web.guard import Guard, read_form
from node.web.pages import Pages
from node.web.rules import RuleInWords, in_words
from node.web.study_records import StudyRecords

STUDIES_TRIED = 500
MOST_CHANGES = 200
"""Changes that the result keeps, of the newest studies."""
LONGEST_CANDIDATE = 60_000
RUNNING_SECONDS = 2
"""How often the page refreshes during a dry run."""


@dataclass(frozen=True)
class RoutingChange:
    """One study that other rules would have decided otherwise; by its key, since its UID is not published."""

    key: str
    at: datetime
    before: str
    after: str
    why: str
    """The last clause of the other rules that was evaluated."""


@dataclass(frozen=True)
class DryRunResult:
    """What other rules would change."""

    rules: tuple[RuleInWords, ...]
    studies: int
    changed: int
    changes: tuple[RoutingChange, ...]
    """At most ``MOST_CHANGES``, of the newest studies."""


class CandidateRules(BaseModel):
    """Rules to try."""

    toml: Annotated[str, Field(max_length=LONGEST_CANDIDATE)]
    """With [[rules]], as in the settings file, or the whole file: other tables are ignored."""
    last: Annotated[int, Field(ge=1, le=STUDIES_TRIED)] = STUDIES_TRIED


class DryRunDesk:
    """What page and API ask of the dry run."""

    def __init__(self, rulebook: Rulebook, records: StudyRecords) -> None:
        self.rulebook = rulebook
        self._records = records
        self._task: BackgroundTask[DryRunResult] = BackgroundTask("dry run")

    def start(self, text: str, by_whom: str, *, last: int = STUDIES_TRIED) -> Progress[DryRunResult]:
        """Begin to decide the last studies by other rules too, in the background; nothing is loaded.

        Raises:
            SettingsInvalid: the rules could not be loaded; all that is wrong is listed.
            Unavailable: a dry run is in progress.
        """
        settings = self.rulebook.settings
        fresh = candidate_of(text, settings, known=self.rulebook.bundles)

        def work(report: ReportProgress) -> DryRunResult:
            return self._compare(settings, fresh, last, report)

        return self._task.start(work, of=last, by_whom=by_whom)

    @property
    def progress(self) -> Progress[DryRunResult]:
        """How far the dry run is, or its result."""
        return self._task.progress

    def _compare(self, settings: Settings, fresh: Settings, last: int, report: ReportProgress) -> DryRunResult:
        tried = changed = 0
        changes: list[RoutingChange] = []
        for compared in compare(self._records.engine, settings, fresh, last=last):
            tried += 1
            report(tried)
            if compared.changed:
                changed += 1
                if len(changes) < MOST_CHANGES:
                    changes.append(self._change(compared))
        return DryRunResult(tuple(in_words(rule) for rule in fresh.rules), tried, changed, tuple(changes))

    def _change(self, compared: DecisionChange) -> RoutingChange:
        key, after = self._records.key(compared.study_instance_uid), compared.after
        return RoutingChange(key, compared.at, _outcome(compared.before), _outcome(after), after.trace[-1])


def dry_run_routes(desk: DryRunDesk, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/rules/dry-run`` with its form, and ``/api/rules/dry-run``."""
    routes = APIRouter()
    routes.include_router(_api(desk, guard))

    def trial(caller: Principal, *, candidate: str = "", problems: tuple[str, ...] = ()) -> Response:
        dry_run = desk.progress
        return pages.show(
            "dry_run.html",
            caller=caller,
            here="/rules",
            status_code=422 if problems else 200,
            file=desk.rulebook.path.name if desk.rulebook.path else "",
            dry_run=dry_run,
            candidate=candidate,
            problems=problems,
            tried=STUDIES_TRIED,
            refresh_seconds=RUNNING_SECONDS if dry_run.state == "running" and not problems else 0,
        )

    @routes.get("/rules/dry-run")
    def show_trial(caller: Annotated[Principal, Depends(guard.page)]) -> Response:
        return trial(caller)

    @routes.post("/rules/dry-run")
    async def try_out(request: Request, caller: Annotated[Principal, Depends(guard.operate)]) -> Response:
        text = (await read_form(request)).get("candidate", "")
        try:
            with suppress(Unavailable):  # one is in progress: the page shows it
                await run_in_threadpool(desk.start, text, caller.name)
        except SettingsInvalid as error:
            return await run_in_threadpool(trial, caller, candidate=text, problems=error.problems)
        return RedirectResponse("/rules/dry-run", status_code=303)

    return routes


def _api(desk: DryRunDesk, guard: Guard) -> APIRouter:
    routes = APIRouter(prefix="/api/rules/dry-run")

    @routes.get("", dependencies=[Depends(guard.read)])
    def last_run() -> Progress[DryRunResult]:
        return desk.progress

    @routes.post("", status_code=202)
    def begin(
        candidate: CandidateRules, caller: Annotated[Principal, Depends(guard.operate)]
    ) -> Progress[DryRunResult]:
        try:
            return desk.start(candidate.toml, caller.name, last=candidate.last)
        except SettingsInvalid as error:
            raise Refused(str(error.args[0]), cure="Nothing was tried. Correct the rules first.") from error

    return routes


def _outcome(decision: Decision) -> str:
    route = decision.route
    if route is None:
        return "not analysed"
    missing = "".join(f"; {pattern!r} missing" for pattern in decision.missing_series)
    return f"{route.name}: {', '.join(route.bundles)} → {', '.join(route.destinations) or 'nowhere'}{missing}"

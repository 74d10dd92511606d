"""Other rules: what they would change of the last studies, and putting them into force; page and JSON."""

import hashlib
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
from node.settings.text.written import rules_as_toml
from node.web.access.caller import Principal, Scope
from node.web.background import BackgroundTask, Progress, ReportProgress
from node.web.guard import Guard, read_form
from node.web.pages import Freshness, Pages
from node.web.rules import RuleInWords, in_words
from node.web.study_records import StudyRecords

STUDIES_TRIED = 500
MOST_CHANGES = 200
"""Changes that the result keeps, of the newest studies."""
LONGEST_CANDIDATE = 60_000
RUNNING_SECONDS = 2
"""How often the page can refresh during a dry run."""


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


@dataclass(frozen=True)
class TriedRules:
    """The rules of the last dry run: they alone can be put into force."""

    digest: str
    """What the form names them by."""
    toml: str
    after: int
    """The version that they were compared with."""


class NumberedVersion(BaseModel):
    """The version in force."""

    version: int


class DryRunDesk:
    """What page and API ask of the dry run."""

    def __init__(self, rulebook: Rulebook, records: StudyRecords) -> None:
        self.rulebook = rulebook
        self._records = records
        self._task: BackgroundTask[DryRunResult] = BackgroundTask("dry run")
        self._tried: TriedRules | None = None

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

        started = self._task.start(work, of=last, by_whom=by_whom)
        toml = rules_as_toml(fresh.rules, fresh.unrouted)
        digest = hashlib.sha256(toml.encode()).hexdigest()
        self._tried = TriedRules(digest, toml, self.rulebook.version)
        return started

    @property
    def tried(self) -> TriedRules | None:
        """The rules of the last dry run, once it has ended well."""
        return self._tried if self.progress.result is not None else None

    @property
    def draft(self) -> str:
        """The text to go on editing: what was tried last, unless other rules are in force since; else these."""
        tried, book = self.tried, self.rulebook
        return tried.toml if tried and tried.after == book.version else book.toml

    def put_into_force(self, digest: str, by_whom: str) -> NumberedVersion:
        """Put the rules of the last dry run into force, at every node on the store.

        Raises:
            Refused: they are not those that were tried last, or other rules have been put into force since.
        """
        tried = self.tried
        if tried is None or tried.digest != digest:
            raise Refused("These are not the rules that were tried last.", cure="Try them first.")
        if self.rulebook.version != tried.after:
            raise Refused("Other rules have been put into force since these were tried.", cure="Try them again.")
        return self._force(tried.toml, by_whom)

    def put_tried(self, toml: str, by_whom: str) -> NumberedVersion:
        """Put a text into force that has been tried.

        Raises:
            Refused: it cannot be loaded, is not what was tried last, or is outdated.
        """
        try:
            fresh = candidate_of(toml, self.rulebook.settings, known=self.rulebook.bundles)
        except SettingsInvalid as error:
            raise Refused(str(error.args[0]), cure="Correct the rules, and try them first.") from error
        text = rules_as_toml(fresh.rules, fresh.unrouted)
        return self.put_into_force(hashlib.sha256(text.encode()).hexdigest(), by_whom)

    def back_to(self, number: int, by_whom: str) -> NumberedVersion:
        """Put the rules of an earlier version into force again, as the next version.

        Raises:
            UnknownName: there is no such version.
            Refused: they cannot be loaded any more.
        """
        versions = self.rulebook.versions
        if versions is None:
            raise Refused("This node keeps no versions of its rules.", cure="Edit the settings file.")
        return self._force(versions.version(number).toml, by_whom)

    def _force(self, toml: str, by_whom: str) -> NumberedVersion:
        try:
            return NumberedVersion(version=self.rulebook.put_into_force(toml, by_whom, after=self.rulebook.version))
        except SettingsInvalid as error:
            raise Refused(str(error.args[0]), cure="The rules in force stay as they are.") from error

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

    def trial(request: Request, caller: Principal, *, candidate: str = "", problems: tuple[str, ...] = ()) -> Response:
        dry_run = desk.progress
        return pages.show(
            "dry_run.html",
            caller=caller,
            here="/rules",
            status_code=422 if problems else 200,
            file=desk.rulebook.path.name if desk.rulebook.path else "",
            dry_run=dry_run,
            tried_rules=desk.tried if desk.rulebook.versions else None,
            candidate=candidate or (desk.draft if caller.may(Scope.OPERATE) else ""),
            problems=problems,
            tried=STUDIES_TRIED,
            fresh=Freshness.of(request, RUNNING_SECONDS if dry_run.state == "running" and not problems else 0),
        )

    @routes.get("/rules/dry-run")
    def show_trial(request: Request, caller: Annotated[Principal, Depends(guard.page)]) -> Response:
        return trial(request, caller)

    @routes.post("/rules/dry-run")
    async def try_out(request: Request, caller: Annotated[Principal, Depends(guard.operate)]) -> Response:
        text = (await read_form(request)).get("candidate", "")
        try:
            with suppress(Unavailable):  # one is in progress: the page shows it
                await run_in_threadpool(desk.start, text, caller.name)
        except SettingsInvalid as error:
            return await run_in_threadpool(trial, request, caller, candidate=text, problems=error.problems)
        return RedirectResponse("/rules/dry-run?refresh=on", status_code=303)

    @routes.post("/rules/put-into-force")
    async def put(request: Request, caller: Annotated[Principal, Depends(guard.operate)]) -> Response:
        digest = (await read_form(request)).get("digest", "")
        await run_in_threadpool(desk.put_into_force, digest, caller.name)
        return RedirectResponse("/rules", status_code=303)

    @routes.post("/rules/versions/{number}")
    def back(number: int, caller: Annotated[Principal, Depends(guard.operate)]) -> Response:
        desk.back_to(number, caller.name)
        return RedirectResponse("/rules", status_code=303)

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

    @routes.post("/put-into-force")
    def put(candidate: CandidateRules, caller: Annotated[Principal, Depends(guard.operate)]) -> NumberedVersion:
        return desk.put_tried(candidate.toml, caller.name)

    return routes


def _outcome(decision: Decision) -> str:
    route = decision.route
    if route is None:
        return "not analysed"
    missing = "".join(f"; {pattern!r} missing" for pattern in decision.missing_series)
    return f"{route.name}: {', '.join(route.bundles)} → {', '.join(route.destinations) or 'nowhere'}{missing}"

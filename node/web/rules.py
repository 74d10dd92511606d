"""Rules: those in force in words, what every clause says to one study, and deciding again; pages and JSON."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from inference.errors import Refused
from node.routing.again import MOST_LISTED, Reanalysis
from node.routing.rulebook import Rulebook
from node.routing.versions import NodeVersion, RuleVersion
from node.rules.decide import RuleAnswer, decide, requirement
from node.settings.rule import Rule
from node.store import now, studies
from node.studies.attempts import Attempts
from node.studies.studies import Studies
from node.web.access.caller import Principal
from node.web.guard import Guard, read_form
from node.web.pages import Pages
from node.web.study_records import StudyRecords
from reports.audit.ledger import Event, Ledger

STUDIES_OFFERED = 30


@dataclass(frozen=True)
class RuleInWords:
    """A rule as it may be published: without the values that its clauses ask of attributes of the patient."""

    name: str
    when: tuple[str, ...]
    """All must hold on one series; none: every study."""
    hours: str
    """When the rule applies; empty: always."""
    expected_series: tuple[str, ...]
    bundles: tuple[str, ...]
    destinations: tuple[str, ...]
    method: str
    """Saliency method; empty: the bundle's own."""
    planes_explained: int


@dataclass(frozen=True)
class RulesInForce:
    """The routing table, in order, and where it was read from."""

    file: str
    """Name of the settings file, without its folder; empty: there is none, and nothing to reload."""
    loaded_at: datetime
    problems: tuple[str, ...]
    """Of the last attempt to reload the file: where there are any, the older rules stay in force."""
    rules: tuple[RuleInWords, ...]
    version: int
    """Number of the version in force at this node; 0: it keeps none."""
    file_differs: bool
    """Whether the settings file has other rules."""
    nodes: tuple[NodeVersion, ...]
    """The nodes that run on this store, each with its version."""
    unrouted: tuple[str, ...]
    """Destinations of the report "not analysed" of a study that no rule matches."""


@dataclass(frozen=True)
class StudyAnswers:
    """What the rules in force say to one study, as of the moment it was complete."""

    key: str
    at: datetime
    decides: str | None
    """Name of the rule; None: none matches."""
    missing_series: tuple[str, ...]
    rules: tuple[RuleAnswer, ...]


@dataclass(frozen=True)
class RetriedStudy:
    """A study that is decided again."""

    key: str


@dataclass(frozen=True)
class RoutableByKey:
    """A study that no rule took then, and that one takes now."""

    key: str
    received_at: datetime
    route: str


class RulesDesk:
    """What page and API ask of the rules."""

    def __init__(self, rulebook: Rulebook, records: StudyRecords, ledger: Ledger) -> None:
        self._rulebook = rulebook
        self._records = records
        self._ledger = ledger
        self._again = Reanalysis(records.engine, ledger, rulebook)

    @property
    def versions(self) -> tuple[RuleVersion, ...]:
        """The latest versions, the one in force first."""
        return self._rulebook.versions.latest() if self._rulebook.versions else ()

    @property
    def in_force(self) -> RulesInForce:
        """The rules in force."""
        book = self._rulebook
        return RulesInForce(
            file=book.path.name if book.path else "",
            loaded_at=book.loaded_at,
            problems=book.problems,
            rules=tuple(in_words(rule) for rule in book.rules),
            version=book.version,
            file_differs=book.file_differs,
            nodes=book.versions.nodes() if book.versions else (),
            unrouted=book.unrouted_destinations,
        )

    def answers(self, key: str) -> StudyAnswers:
        """Evaluate every clause of every rule in force on a study.

        Raises:
            UnknownName: there is no study of this key.
        """
        uid, engine = self._records.uid(key), self._records.engine
        headers = Studies(engine, self._rulebook.settings.node.files / "inbox").series_headers(uid)
        with engine.connect() as connection:
            complete_at = select(studies.c.complete_at).where(studies.c.study_instance_uid == uid)
            at = connection.execute(complete_at).scalar_one() or now()
        decision = decide(self._rulebook.rules, headers, at)
        return StudyAnswers(
            key=key,
            at=at,
            decides=decision.route.name if decision.route else None,
            missing_series=decision.missing_series,
            rules=decision.answers,
        )

    def retry(self, key: str, by_whom: str) -> RetriedStudy:
        """Have a study decided again that was set aside.

        Raises:
            UnknownName: there is no study of this key.
            Refused: it is not set aside.
        """
        uid = self._records.uid(key)
        if not Attempts(self._records.engine).retry(uid):
            raise Refused("This study is not set aside.", cure="Its page tells its state.")
        self._ledger.append(Event.DECIDED_AGAIN, study_instance_uid=uid, details={"by_whom": by_whom})
        return RetriedStudy(key)

    def analyse_again(self, key: str, by_whom: str, route: str) -> RetriedStudy:
        """Have a study analysed again, by the rules in force or by the one that is named.

        Raises:
            UnknownName: there is no study of this key, or no such rule.
            Refused: it is in progress, or held.
        """
        self._again.ask(self._records.uid(key), by_whom, route=route)
        return RetriedStudy(key)

    def routable(self, since: datetime | None) -> tuple[RoutableByKey, ...]:
        """List the studies that no rule took and that a rule in force would take now."""
        found = self._again.routable(since)
        return tuple(
            RoutableByKey(self._records.key(study.study_instance_uid), study.received_at, study.route)
            for study in found
        )

    def analyse_routable(self, since: datetime | None, by_whom: str) -> dict[str, int]:
        """Have all of them analysed again, but for those taken up meanwhile; return how many are, as ``studies``."""
        asked = 0
        for study in self._again.routable(since):
            with suppress(Refused):
                self._again.ask(study.study_instance_uid, by_whom)
                asked += 1
        return {"studies": asked}


def rule_routes(desk: RulesDesk, records: StudyRecords, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/rules`` and ``/api/rules``, and what has studies analysed again."""
    routes = APIRouter()
    routes.include_router(_api(desk, guard))
    routes.include_router(_again(desk, pages, guard))

    @routes.get("/rules")
    def show(
        caller: Annotated[Principal, Depends(guard.page)], study: Annotated[str, Query(max_length=64)] = ""
    ) -> Response:
        return pages.show(
            "rules.html",
            caller=caller,
            here="/rules",
            force=desk.in_force,
            versions=desk.versions,
            offered=records.newest(STUDIES_OFFERED),
            study=records.study(study) if study else None,
            answers=desk.answers(study) if study else None,
        )

    return routes


def _api(desk: RulesDesk, guard: Guard) -> APIRouter:
    routes = APIRouter(prefix="/api/rules")

    @routes.get("", dependencies=[Depends(guard.read)])
    def in_force() -> RulesInForce:
        return desk.in_force

    @routes.get("/answers/{key}", dependencies=[Depends(guard.read)])
    def answers(key: str) -> StudyAnswers:
        return desk.answers(key)

    @routes.post("/retry/{key}", status_code=202)
    def retry(key: str, caller: Annotated[Principal, Depends(guard.operate)]) -> RetriedStudy:
        return desk.retry(key, caller.name)

    return routes


def _again(desk: RulesDesk, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/rules/again``, the form of a study's page, and both of them for programs."""
    routes = APIRouter()

    @routes.get("/rules/again")
    def list_routable(caller: Annotated[Principal, Depends(guard.page)], since: date | None = None) -> Response:
        listed = desk.routable(_midnight(since))
        return pages.show("again.html", caller=caller, here="/rules", listed=listed, since=since, most=MOST_LISTED)

    @routes.post("/rules/again")
    async def ask_all(request: Request, caller: Annotated[Principal, Depends(guard.operate)]) -> Response:
        day = _day((await read_form(request)).get("since", ""))
        await run_in_threadpool(desk.analyse_routable, _midnight(day), caller.name)
        return RedirectResponse("/studies?sort=state", status_code=303)

    @routes.post("/studies/{key}/again")
    async def ask_one(key: str, request: Request, caller: Annotated[Principal, Depends(guard.operate)]) -> Response:
        route = (await read_form(request)).get("route", "")
        await run_in_threadpool(desk.analyse_again, key, caller.name, route)
        return RedirectResponse(f"/studies/{key}", status_code=303)

    @routes.get("/api/rules/again", dependencies=[Depends(guard.read)])
    def routable(since: datetime | None = None) -> tuple[RoutableByKey, ...]:
        return desk.routable(since)

    @routes.post("/api/rules/again", status_code=202)
    def again_all(
        caller: Annotated[Principal, Depends(guard.operate)], since: datetime | None = None
    ) -> dict[str, int]:
        return desk.analyse_routable(since, caller.name)

    @routes.post("/api/studies/{key}/again", status_code=202)
    def again_one(
        key: str,
        caller: Annotated[Principal, Depends(guard.operate)],
        route: Annotated[str, Query(max_length=64)] = "",
    ) -> RetriedStudy:
        return desk.analyse_again(key, caller.name, route)

    return routes


def _day(text: str) -> date | None:
    """Read what a form says; None where it says nothing.

    Raises:
        Refused: it is not a day.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise Refused("This is not a day.", cure="Write it as 2026-01-31.") from error


def _midnight(day: date | None) -> datetime | None:
    """Return when a day begins on the node's clock."""
    return None if day is None else datetime.combine(day, time()).astimezone()


def in_words(rule: Rule) -> RuleInWords:
    """Write a rule for people; what a clause asks of an attribute of the patient is not shown."""
    return RuleInWords(
        name=rule.name,
        when=tuple(f"{clause.attribute}: {requirement(clause)}" for clause in rule.when),
        hours=" ".join([*rule.weekdays, *([rule.hours] if rule.hours else [])]),
        expected_series=rule.expected_series,
        bundles=rule.bundles,
        destinations=rule.destinations,
        method=rule.method or "",
        planes_explained=rule.planes_explained,
    )

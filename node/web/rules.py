"""Rules: those in force in words, and what every clause says to one study; page and JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import select

from inference.errors import Refused
from node.routing.rulebook import Rulebook
from node.rules.decide import RuleAnswer, decide, requirement
from node.settings.rule import Rule
from node.store import now, studies
from node.studies.attempts import Attempts
from node.studies.studies import Studies
from node.web.access.caller import Principal
from node.web.guard import Guard
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


class RulesDesk:
    """What page and API ask of the rules."""

    def __init__(self, rulebook: Rulebook, records: StudyRecords, ledger: Ledger) -> None:
        self._rulebook = rulebook
        self._records = records
        self._ledger = ledger

    @property
    def in_force(self) -> RulesInForce:
        """The rules in force."""
        book = self._rulebook
        return RulesInForce(
            file=book.path.name if book.path else "",
            loaded_at=book.loaded_at,
            problems=book.problems,
            rules=tuple(in_words(rule) for rule in book.rules),
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


def rule_routes(desk: RulesDesk, records: StudyRecords, pages: Pages, guard: Guard) -> APIRouter:
    """Make ``/rules`` and ``/api/rules``."""
    routes = APIRouter()
    routes.include_router(_api(desk, guard))

    @routes.get("/rules")
    def show(
        caller: Annotated[Principal, Depends(guard.page)], study: Annotated[str, Query(max_length=64)] = ""
    ) -> Response:
        return pages.show(
            "rules.html",
            caller=caller,
            here="/rules",
            force=desk.in_force,
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

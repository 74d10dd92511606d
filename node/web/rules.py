"""The rules in force in words, why a study went where it went, and what other rules would change; as JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from sqlalchemy import select

from inference.errors import Refused, SettingsInvalid
from node.routing.candidate import candidate_of
from node.routing.dry_run import Compared, compare
from node.routing.rulebook import Rulebook
from node.rules.decide import Decision, RuleAnswer, decide, explain, wish
from node.settings.rule import Rule
from node.settings.settings import Settings
from node.store import now, studies
from node.studies.attempts import Attempts
from node.studies.studies import Studies
from node.web.access.caller import Caller
from node.web.chore import Chore, Progress, Say
from node.web.guard import Guard
from node.web.overview import Overview
from reports.audit.ledger import Event, Ledger

STUDIES_TRIED = 500
MOST_CHANGES = 200
"""That a dry run keeps, the newest."""
LONGEST_CANDIDATE = 60_000


@dataclass(frozen=True)
class RuleInWords:
    """One line of the routing table."""

    name: str
    when: tuple[str, ...]
    """All must hold on one series; none: every study."""
    hours: str
    """When it is asked; empty: always."""
    expected_series: tuple[str, ...]
    bundles: tuple[str, ...]
    destinations: tuple[str, ...]
    method: str
    """Saliency method; empty: the bundle's own."""
    planes_explained: int


@dataclass(frozen=True)
class RulesInForce:
    """The routing table, in order, and where it comes from."""

    file: str
    """Name of the settings file, without its folder; empty: there is none, and nothing to read again."""
    loaded_at: datetime
    problems: tuple[str, ...]
    """Of the last attempt to read the file again: where there are any, the older rules stay in force."""
    rules: tuple[RuleInWords, ...]
    unrouted: tuple[str, ...]
    """Destinations of the report "not analysed" of a study that no rule matches."""


@dataclass(frozen=True)
class Answers:
    """What the rules in force say to one study, as of the moment it was complete."""

    key: str
    at: datetime
    decides: str | None
    """Name of the rule; None: none matches."""
    missing_series: tuple[str, ...]
    rules: tuple[RuleAnswer, ...]


@dataclass(frozen=True)
class Change:
    """One study that other rules would have decided otherwise."""

    key: str
    at: datetime
    before: str
    after: str
    why: str
    """The last clause that the other rules asked."""


@dataclass(frozen=True)
class Tried:
    """What other rules would change."""

    rules: tuple[RuleInWords, ...]
    studies: int
    changed: int
    changes: tuple[Change, ...]
    """At most ``MOST_CHANGES``, of the newest studies."""


@dataclass(frozen=True)
class DryRun:
    """How far a dry run is, or what came of the last one since the node started."""

    state: Literal["never asked for", "running", "done", "failed"]
    done: int
    of: int
    by_whom: str
    started_at: datetime | None
    finished_at: datetime | None
    result: Tried | None


@dataclass(frozen=True)
class Retried:
    """A study that is decided again."""

    key: str


class CandidateRules(BaseModel):
    """Rules to try."""

    toml: Annotated[str, Field(max_length=LONGEST_CANDIDATE)]
    """With [[rules]], as in the settings file, or all of that file: other tables are passed over."""
    last: Annotated[int, Field(ge=1, le=STUDIES_TRIED)] = STUDIES_TRIED


class RulesDesk:
    """What page and API ask of the rules."""

    def __init__(self, rulebook: Rulebook, overview: Overview, ledger: Ledger) -> None:
        self._rulebook = rulebook
        self._overview = overview
        self._ledger = ledger
        self._chore: Chore[Tried] = Chore("dry run")

    @property
    def in_force(self) -> RulesInForce:
        """Tell the rules in force."""
        book = self._rulebook
        return RulesInForce(
            file=book.path.name if book.path else "",
            loaded_at=book.loaded_at,
            problems=book.problems,
            rules=tuple(in_words(rule) for rule in book.rules),
            unrouted=book.unrouted_destinations,
        )

    def answers(self, key: str) -> Answers:
        """Hold every rule in force against a study, clause by clause.

        Raises:
            UnknownName: there is no study of this key.
        """
        uid = self._overview.uid(key)
        headers = Studies(self._overview.engine, self._rulebook.settings.node.files / "inbox").series_headers(uid)
        with self._overview.engine.connect() as connection:
            complete_at = select(studies.c.complete_at).where(studies.c.study_instance_uid == uid)
            at = connection.execute(complete_at).scalar_one() or now()
        decision = decide(self._rulebook.rules, headers, at)
        return Answers(
            key=key,
            at=at,
            decides=decision.route.name if decision.route else None,
            missing_series=decision.missing_series,
            rules=explain(self._rulebook.rules, headers, at),
        )

    def retry(self, key: str, by_whom: str) -> Retried:
        """Have a study decided again that was set aside.

        Raises:
            UnknownName: there is no study of this key.
            Refused: it is not set aside.
        """
        uid = self._overview.uid(key)
        if not Attempts(self._overview.engine).retry(uid):
            raise Refused("This study is not set aside.", cure="Its page tells how it stands.")
        self._ledger.append(Event.DECIDED_AGAIN, study_instance_uid=uid, details={"by_whom": by_whom})
        return Retried(key)

    def try_out(self, text: str, by_whom: str, *, last: int = STUDIES_TRIED) -> DryRun:
        """Begin to decide the last studies by other rules too, in the background; nothing is loaded.

        Raises:
            SettingsInvalid: the rules could not be loaded; all that is wrong is listed.
            Unavailable: a dry run is under way.
        """
        settings = self._rulebook.settings
        fresh = candidate_of(text, settings, known=self._rulebook.bundles)

        def work(say: Say) -> Tried:
            return self._compare(settings, fresh, last, say)

        return _told(self._chore.start(work, of=last, by_whom=by_whom))

    @property
    def dry_run(self) -> DryRun:
        """How far the dry run is."""
        return _told(self._chore.standing)

    def _compare(self, settings: Settings, fresh: Settings, last: int, say: Say) -> Tried:
        asked = changed = 0
        kept: list[Change] = []
        for one in compare(self._overview.engine, settings, fresh, last=last):
            asked += 1
            say(asked)
            if one.changed:
                changed += 1
                if len(kept) < MOST_CHANGES:
                    kept.append(self._change(one))
        return Tried(tuple(in_words(rule) for rule in fresh.rules), asked, changed, tuple(kept))

    def _change(self, one: Compared) -> Change:
        key = self._overview.key(one.study_instance_uid)
        return Change(key, one.at, _outcome(one.before), _outcome(one.after), one.after.trace[-1])


def rule_routes(desk: RulesDesk, guard: Guard) -> APIRouter:
    """Give ``/api/rules`` and what is below it."""
    routes = APIRouter(prefix="/api/rules")

    @routes.get("", dependencies=[Depends(guard.read)])
    def in_force() -> RulesInForce:
        return desk.in_force

    @routes.get("/answers/{key}", dependencies=[Depends(guard.read)])
    def answers(key: str) -> Answers:
        return desk.answers(key)

    @routes.post("/retry/{key}", status_code=202)
    def retry(key: str, caller: Annotated[Caller, Depends(guard.operate)]) -> Retried:
        return desk.retry(key, caller.name)

    @routes.get("/dry-run", dependencies=[Depends(guard.read)])
    def last_run() -> DryRun:
        return desk.dry_run

    @routes.post("/dry-run", status_code=202)
    def begin(candidate: CandidateRules, caller: Annotated[Caller, Depends(guard.operate)]) -> DryRun:
        try:
            return desk.try_out(candidate.toml, caller.name, last=candidate.last)
        except SettingsInvalid as error:
            raise Refused(str(error.args[0]), cure="Nothing was tried. Mend the rules first.") from error

    return routes


def in_words(rule: Rule) -> RuleInWords:
    """Write a rule for people; what a clause wants of an attribute of the patient is not shown."""
    hours = " ".join([*rule.weekdays, *([rule.hours] if rule.hours else [])])
    return RuleInWords(
        name=rule.name,
        when=tuple(f"{clause.attribute}: {wish(clause)}" for clause in rule.when),
        hours=hours,
        expected_series=rule.expected_series,
        bundles=rule.bundles,
        destinations=rule.destinations,
        method=rule.method or "",
        planes_explained=rule.planes_explained,
    )


def _outcome(decision: Decision) -> str:
    route = decision.route
    if route is None:
        return "not analysed"
    missing = "".join(f"; {wanted!r} missing" for wanted in decision.missing_series)
    return f"{route.name}: {', '.join(route.bundles)} → {', '.join(route.destinations) or 'nowhere'}{missing}"


def _told(standing: Progress[Tried]) -> DryRun:
    return DryRun(
        standing.state,
        standing.done,
        standing.of,
        standing.by_whom,
        standing.started_at,
        standing.finished_at,
        standing.result,
    )

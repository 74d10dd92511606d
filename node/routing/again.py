"""Analyse again: a study is decided anew, by the rules in force or by one that is named, whatever became of it before.

The new decision is a later generation (``jobs.generation``): its report names the earlier one as its predecessor, and
the earlier results are superseded, not deleted (``node.jobs.succession``). Where nothing has changed (the same images,
model and settings), the results are the same objects and pass to the later decision.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, and_, exists, select, update

from inference.errors import NotAnalysed, Refused, UnknownName
from node.routing.rulebook import Rulebook
from node.rules.decide import decide
from node.store import JobState, StudyState, jobs, now, studies
from node.studies.studies import Studies
from reports.audit.ledger import Event, Ledger

MOST_LISTED = 500
"""Studies that one dry run looks at, the newest first."""
_DECIDED = (StudyState.ROUTED, StudyState.NOT_ROUTED, StudyState.SET_ASIDE)
_UNDER_WAY = exists().where(
    jobs.c.study_instance_uid == studies.c.study_instance_uid, jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING])
)


@dataclass(frozen=True)
class RoutableStudy:
    """A study that no rule took then, and that one takes now."""

    study_instance_uid: str
    received_at: datetime
    route: str


class Reanalysis:
    """Asks for studies to be decided and analysed again; the router does the rest."""

    def __init__(self, engine: Engine, ledger: Ledger, rulebook: Rulebook) -> None:
        """Bind to a store and the rules in force."""
        self._engine = engine
        self._ledger = ledger
        self._rulebook = rulebook
        self._inbox = rulebook.settings.node.files / "inbox"
        self._studies = Studies(engine, self._inbox)

    def ask(self, study_instance_uid: str, by_whom: str, *, route: str = "") -> None:
        """Have one study analysed again.

        Args:
            study_instance_uid: of a study that has been decided about.
            by_whom: for the ledger.
            route: name of the rule to take, whatever its conditions; empty: the first that matches.

        Raises:
            UnknownName: no rule has this name.
            Refused: the study is still received or analysed, its route is held, or its images are no longer here.
        """
        if route and route not in {rule.name for rule in self._rulebook.rules}:
            raise UnknownName(f"There is no rule {route!r}.", cure="The Rules page lists those in force.")
        kept = self._studies.instances_of(study_instance_uid)
        if not all((self._inbox / instance.path).is_file() for instance in kept):
            raise Refused("The images of this study are no longer here.", cure="Send it again.")
        this = and_(studies.c.study_instance_uid == study_instance_uid, studies.c.state.in_(_DECIDED), ~_UNDER_WAY)
        again = {
            "state": StudyState.COMPLETE, "reason": None, "attempts": 0, "asked": studies.c.asked + 1,
            "asked_route": route or None,
        }  # fmt: skip
        with self._engine.begin() as connection:
            if not connection.execute(update(studies).where(this).values(again)).rowcount:
                raise Refused(
                    "This study cannot be analysed again now: it is still in progress, or its route is held.",
                    cure="Its page tells its state.",
                )
            self._ledger.append(
                Event.DECIDED_AGAIN,
                study_instance_uid=study_instance_uid,
                details={"by_whom": by_whom, "route": route},
                connection=connection,
            )

    def routable(self, since: datetime | None = None) -> Iterator[RoutableStudy]:
        """Yield the studies that no rule took and that a rule in force would take now: a dry run.

        Args:
            since: only those received from then on.
        """
        query = (
            select(studies.c.study_instance_uid, studies.c.first_received_at, studies.c.complete_at)
            .where(studies.c.state == StudyState.NOT_ROUTED)
            .order_by(studies.c.first_received_at.desc())
            .limit(MOST_LISTED)
        )
        if since is not None:
            query = query.where(studies.c.first_received_at >= since)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        for uid, received_at, complete_at in rows:
            try:
                headers = self._studies.series_headers(uid)
            except NotAnalysed:
                continue
            decision = decide(self._rulebook.rules, headers, complete_at or now())
            if decision.route is not None:
                yield RoutableStudy(uid, received_at, decision.route.name)

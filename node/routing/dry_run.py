"""A dry run: what other rules would have decided about the latest studies."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select

from inference.errors import NotAnalysed
from node.rules.decide import Decision, Route, decide
from node.settings.settings import Settings
from node.store import now, studies
from node.studies.studies import Studies


@dataclass(frozen=True)
class DecisionChange:
    """One study, decided by the rules in force and by the new ones, both as of the moment it was complete."""

    study_instance_uid: str
    at: datetime
    before: Decision
    after: Decision

    @property
    def changed(self) -> bool:
        """Whether the outcome differs."""
        return _outcome(self.before) != _outcome(self.after)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "study_instance_uid": self.study_instance_uid,
            "at": self.at.isoformat(),
            "changed": self.changed,
            **{name: _as_dict(getattr(self, name)) for name in ("before", "after")},
        }


def compare(engine: Engine, settings: Settings, fresh: Settings, *, last: int) -> Iterator[DecisionChange]:
    """Decide the last studies twice, from the headers of the kept files.

    Args:
        engine: the node's store.
        settings: with the rules in force.
        fresh: with the new ones.
        last: how many studies, the newest first.
    """
    kept = Studies(engine, settings.node.files / "inbox")
    query = (
        select(studies.c.study_instance_uid, studies.c.complete_at)
        .order_by(studies.c.first_received_at.desc(), studies.c.study_instance_uid)
        .limit(last)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    for uid, complete_at in rows:
        at = complete_at or now()
        try:
            headers = kept.series_headers(uid)
        except NotAnalysed as error:
            same = Decision(None, note=str(error))
            yield DecisionChange(uid, at, same, same)
            continue
        yield DecisionChange(uid, at, decide(settings.rules, headers, at), decide(fresh.rules, headers, at))


def _outcome(decision: Decision) -> tuple[Route | None, tuple[str, ...]]:
    return decision.route, decision.missing_series


def _as_dict(decision: Decision) -> dict[str, Any]:
    route = asdict(decision.route) if decision.route else None
    return {"route": route, "missing_series": decision.missing_series, "reason": decision.reason}

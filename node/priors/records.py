"""The table ``priors``: one row for each search, one for each prior found."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, and_, delete, func, select, update

from node.receiving.awaited import SEARCH, PriorState, priors
from node.store import StudyState, insert_into, insert_new, instances, now, studies


@dataclass(frozen=True)
class PriorRecord:
    """One row: a search, or a prior."""

    prior_study_uid: str
    """Empty: the search itself."""
    state: str
    reason: str
    destination: str
    way: str
    images: int
    """How many instances of the prior are here now."""


class PriorRecords:
    """The rows of the store about priors."""

    def __init__(self, engine: Engine, worker: str) -> None:
        """Bind to a store; ``worker`` is this node's name among several."""
        self._engine = engine
        self._worker = worker

    def claim(self, study_instance_uid: str, destination: str, way: str) -> bool:
        """Begin the search for a study's priors; only one node may, and it may resume it after a crash."""
        row = {**self._row(study_instance_uid, SEARCH, PriorState.SEARCHING), "destination": destination, "way": way}
        with self._engine.begin() as connection:
            if insert_new(connection, priors, [row]):
                return True
            mine = _search_of(study_instance_uid) & (priors.c.worker == self._worker)
            return connection.execute(update(priors).where(mine).values(updated_at=now())).rowcount == 1

    def forget(self, study_instance_uid: str) -> None:
        """Delete the rows of a study, to search again."""
        with self._engine.begin() as connection:
            connection.execute(delete(priors).where(priors.c.study_instance_uid == study_instance_uid))

    def is_searching(self, study_instance_uid: str) -> bool:
        """Say whether a search is under way."""
        with self._engine.connect() as connection:
            return connection.execute(select(priors.c.state).where(_search_of(study_instance_uid))).first() is not None

    def is_known(self, study_instance_uid: str) -> bool:
        """Say whether priors were ever looked for."""
        query = select(priors.c.state).where(
            priors.c.study_instance_uid == study_instance_uid, priors.c.prior_study_uid == SEARCH
        )
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def end(self, study_instance_uid: str, state: PriorState, reason: str = "") -> bool:
        """End a search; give whether it was under way. Priors that are still asked for have failed with it."""
        asked = and_(priors.c.study_instance_uid == study_instance_uid, priors.c.state == PriorState.ASKED)
        with self._engine.begin() as connection:
            ended = update(priors).where(_search_of(study_instance_uid))
            if not connection.execute(ended.values(state=state, reason=reason, updated_at=now())).rowcount:
                return False
            left = {"state": PriorState.FAILED, "reason": reason or "It did not arrive.", "updated_at": now()}
            connection.execute(update(priors).where(asked).values(left))
        return True

    def note(self, study_instance_uid: str, prior_study_uid: str, state: PriorState, **values: str) -> None:
        """Record the state of a prior; ``values`` are further columns."""
        row = {**self._row(study_instance_uid, prior_study_uid, state), **values}
        with self._engine.begin() as connection:
            added = insert_into(connection, priors).values(row)
            keys = ["study_instance_uid", "prior_study_uid"]
            changed = {"state": state, "updated_at": row["updated_at"], **values}
            connection.execute(added.on_conflict_do_update(index_elements=keys, set_=changed))

    def is_here(self, prior_study_uid: str) -> bool:
        """Say whether a study is here for itself, or all of it as a prior of another one."""
        whole = select(priors.c.state).where(
            priors.c.prior_study_uid == prior_study_uid,
            priors.c.state.in_([PriorState.FETCHED, PriorState.HERE]),
        )
        query = select(studies.c.state).where(studies.c.study_instance_uid == prior_study_uid)
        with self._engine.connect() as connection:
            state = connection.execute(query).scalar()
            return state is not None and (state != StudyState.PRIOR or connection.execute(whole).first() is not None)

    def images(self, study_instance_uid: str) -> int:
        """Count the instances of a study."""
        query = select(func.count()).where(instances.c.study_instance_uid == study_instance_uid)
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def of(self, study_instance_uid: str) -> Sequence[PriorRecord]:
        """Return the search, if there was one, and what it found."""
        here = select(func.count()).where(instances.c.study_instance_uid == priors.c.prior_study_uid)
        query = (
            select(priors, here.scalar_subquery().label("images"))
            .where(priors.c.study_instance_uid == study_instance_uid)
            .order_by(priors.c.prior_study_uid)
        )
        with self._engine.connect() as connection:
            return [
                PriorRecord(row.prior_study_uid, row.state, row.reason, row.destination, row.way, row.images)
                for row in connection.execute(query)
            ]

    def _row(self, study_instance_uid: str, prior_study_uid: str, state: PriorState) -> dict[str, object]:
        return {
            "study_instance_uid": study_instance_uid,
            "prior_study_uid": prior_study_uid,
            "state": state,
            **dict.fromkeys(("reason", "destination", "way", "patient", "issuer"), ""),
            "worker": self._worker,
            "updated_at": now(),
        }


def _search_of(study_instance_uid: str) -> ColumnElement[bool]:
    return and_(
        priors.c.study_instance_uid == study_instance_uid,
        priors.c.prior_study_uid == SEARCH,
        priors.c.state == PriorState.SEARCHING,
    )

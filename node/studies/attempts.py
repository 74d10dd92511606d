"""How often the decision about a study has been tried: counted on disk before each attempt.

An attempt that ends the process is counted like one that ends in an error, so a study that cannot be decided is set
aside after a few of them, and not retried for ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Engine, and_, func, select, update

from node.store import StudyState, studies
from node.waking import WORK

MOST_ATTEMPTS = 3
_DECIDING = 0x48454157
"""First key of PostgreSQL's advisory lock while a study is decided; the second one is of the study."""


class Attempts:
    """The counts of all studies; a decision that is recorded, and every new image, sets a study's to 0."""

    def __init__(self, engine: Engine) -> None:
        """Bind to the store."""
        self._engine = engine

    @contextmanager
    def counted(self, study_instance_uid: str, state: StudyState) -> Iterator[int]:
        """Count one more attempt, and lock the study against other nodes of the store until it is over.

        Args:
            study_instance_uid: of the study.
            state: in which it is to be decided.

        Yields:
            which attempt this is, from 1; 0 where another node is at it, or the study has left that state.
        """
        with self._engine.connect() as guard:
            if guard.dialect.name == "postgresql" and not guard.scalar(
                select(func.pg_try_advisory_xact_lock(_DECIDING, func.hashtext(study_instance_uid)))
            ):
                yield 0
                return
            yield self._count(study_instance_uid, state)

    def clear(self, study_instance_uid: str) -> None:
        """Reset the count to 0."""
        with self._engine.begin() as connection:
            connection.execute(update(studies).where(_is(study_instance_uid)).values(attempts=0))

    def retry(self, study_instance_uid: str) -> bool:
        """Retry the decision about a study that was set aside; say whether it was."""
        aside = and_(_is(study_instance_uid), studies.c.state == StudyState.SET_ASIDE)
        again = update(studies).where(aside).values(state=StudyState.COMPLETE, reason=None, attempts=0)
        with self._engine.begin() as connection:
            is_retried = connection.execute(again).rowcount == 1
        WORK.ring()
        return is_retried

    def _count(self, study_instance_uid: str, state: StudyState) -> int:
        one_more = (
            update(studies)
            .where(_is(study_instance_uid), studies.c.state == state)
            .values(attempts=studies.c.attempts + 1)
            .returning(studies.c.attempts)
        )
        with self._engine.begin() as connection:
            return int(connection.execute(one_more).scalar() or 0)


def _is(study_instance_uid: str) -> ColumnElement[bool]:
    return studies.c.study_instance_uid == study_instance_uid

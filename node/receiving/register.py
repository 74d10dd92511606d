"""The register of the inbox: the rows of its instances; those that come at once are committed together."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError

from inference.errors import Unavailable
from node.receiving.inspection import Purpose
from node.store import insert_into, instances, results
from node.studies.instance import Instance
from node.studies.studies import Studies

_BY_UID = select(instances).where(instances.c.sop_instance_uid == bindparam("uid"))
_OWN_RESULT = select(results.c.sop_instance_uid).where(results.c.sop_instance_uid == bindparam("uid"))
_DERIVED_UID = "2.25."
"""What the UIDs of results begin with (``reports.objects.uids``); of others the store is not asked."""
_NOT_TAKEN = "The store did not take the instance."
_CURE = "It may be sent again."


@dataclass(eq=False)
class _Entry:
    """An instance whose file is written, until somebody's commit has taken it."""

    instance: Instance
    purpose: Purpose
    settled: bool = False
    kept: bool = False
    problem: Exception | None = None


class Register:
    """Rows of instances, and of their studies with them.

    Whoever comes while a commit is under way waits for it, and the first of those that waited then commits for all of
    them: one sync of the folder and one of the database's log, however many they are.
    """

    def __init__(self, engine: Engine, studies: Studies, folder: Path) -> None:
        """Bind to a store, to the studies that open in the same transaction, and to the folder of the files."""
        self._engine = engine
        self._studies = studies
        self._folder = folder
        added = insert_into(engine, instances).on_conflict_do_nothing()
        self._new_rows = added.returning(instances.c.path)  # PostgreSQL's driver counts no rows here
        self._adding = threading.Lock()
        self._waiting: list[_Entry] = []
        self._committing = threading.Lock()

    def enter(self, instance: Instance, purpose: Purpose = Purpose.STUDY) -> Instance:
        """Commit the row of an instance whose file is in place; give what is kept under its UID.

        Where that is another instance, the file of this one is gone.

        Raises:
            OSError: the folder could not be synced; nothing is kept.
            Unavailable: the store did not say what it did. The file is left to the sweep, which asks it.
        """
        entry = _Entry(instance, purpose)
        with self._adding:
            self._waiting.append(entry)
        with self._committing:
            if not entry.settled:
                self._commit()
        if entry.kept:
            return instance
        problem = entry.problem
        winner = None if isinstance(problem, OSError) else self.find(instance.sop_instance_uid)
        if winner is None or winner.path != instance.path:
            (self._folder / instance.path).unlink()
        if winner is None:
            raise problem if isinstance(problem, OSError) else Unavailable(_NOT_TAKEN, cure=_CURE) from problem
        return winner

    def replace(self, known: Instance, corrected: Instance, tell: Callable[[Connection], object]) -> bool:
        """Commit the row of a corrected instance, whose file is in place, instead of that of the known one.

        The study is opened again, and ``tell`` called, in the same transaction. The file of the known one stays until
        the next sweep: a job may be reading it.

        Returns:
            whether it was; not where another has taken the place of ``known`` since it was read.

        Raises:
            OSError: the folder could not be synced; nothing is changed.
            Unavailable: the store did not take it.
        """
        self._sync_folder()
        still_known = (instances.c.sop_instance_uid == known.sop_instance_uid) & (instances.c.path == known.path)
        try:
            with self._engine.begin() as connection:
                replaced = connection.execute(update(instances).where(still_known).values(vars(corrected))).rowcount
                if replaced:
                    self._studies.corrected(connection, corrected)
                    tell(connection)
        except SQLAlchemyError as error:
            raise Unavailable(_NOT_TAKEN, cure=_CURE) from error
        return bool(replaced)

    def find(self, sop_instance_uid: str) -> Instance | None:
        """Return what is kept under a UID.

        Raises:
            Unavailable: the store does not answer.
        """
        try:
            with self._engine.connect() as connection:
                row = connection.execute(_BY_UID, {"uid": sop_instance_uid}).one_or_none()
        except SQLAlchemyError as error:
            raise Unavailable("The store does not answer.", cure=_CURE) from error
        return Instance(**row._mapping) if row else None

    def is_own_result(self, sop_instance_uid: str) -> bool:
        """Say whether a UID is that of a result that a node of this store has made.

        Raises:
            Unavailable: the store does not answer.
        """
        if not sop_instance_uid.startswith(_DERIVED_UID):
            return False
        try:
            with self._engine.connect() as connection:
                return connection.execute(_OWN_RESULT, {"uid": sop_instance_uid}).first() is not None
        except SQLAlchemyError as error:
            raise Unavailable("The store does not answer.", cure=_CURE) from error

    def _commit(self) -> None:
        with self._adding:
            entries, self._waiting = self._waiting, []
        problem: Exception | None = None
        kept: set[str] = set()
        try:
            self._sync_folder()
            kept = self._insert(entries)
        except (OSError, SQLAlchemyError) as error:
            problem = error
        finally:
            for entry in entries:
                entry.settled, entry.kept, entry.problem = True, entry.instance.path in kept, problem

    def _sync_folder(self) -> None:
        sync_folder(self._folder)

    def _insert(self, entries: Sequence[_Entry]) -> set[str]:
        """Insert the rows of instances, and open their studies; give the paths of those that are new."""
        opened = {
            Purpose.STUDY: self._studies.received,
            Purpose.PRIOR: self._studies.received_as_priors,
        }
        with self._engine.begin() as connection:
            kept = set(connection.execute(self._new_rows, [vars(entry.instance) for entry in entries]).scalars())
            for purpose, open_studies in opened.items():
                new = [e.instance for e in entries if e.purpose is purpose and e.instance.path in kept]
                if new:
                    open_studies(connection, new)
        return kept


def sync_folder(folder: Path) -> None:
    """Make the names in a folder certain."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Nodes that share one PostgreSQL and its queue: heartbeats, and takeover of the work of dead nodes.

A node writes its heartbeat by the database's clock, so no node's own clock can make another one look dead. Four
intervals without one, and any survivor returns the dead node's unfinished work to the queue. Only what stands under a
dead node's name is returned, in one statement that finds nothing the second time, and a claim carries a token that
every checkpoint is written under (DBOS Transact): were the dead node alive after all, its late checkpoints are refused.
"""

import math
import threading
import uuid
from collections.abc import Callable
from importlib.metadata import version

import structlog
from dbos import DBOS
from dbos import error as workflow_error
from sqlalchemy import Connection, Engine, func, select, type_coerce, update
from sqlalchemy.exc import SQLAlchemyError

from node.settings.node import NodeSettings
from node.store import Moment, insert_into, nodes
from reports.audit.ledger import Event, Ledger

DEAD_AFTER_INTERVALS = 4
_TAKING_OVER = 0x48454155
"""Key of PostgreSQL's advisory lock while a survivor looks for work to take over: one does it at a time."""


class Fleet(threading.Thread):
    """One node among those that share the store; ``enter`` before any work is taken, ``leave`` after the last."""

    def __init__(
        self,
        settings: NodeSettings,
        engine: Engine,
        ledger: Ledger,
        *,
        resume: Callable[[], None],
        replaced: Callable[[], None],
    ) -> None:
        """Bind to the store.

        Args:
            settings: who this node is, and its heartbeat interval.
            engine: the store that the nodes share.
            ledger: where a takeover is written down.
            resume: starts every decided but unfinished job and delivery, as after a crash.
            replaced: called once when another node has started under this one's name; this one must end.
        """
        super().__init__(name="fleet", daemon=True)
        self._worker = settings.worker
        self._run = uuid.uuid4().hex
        self._interval_seconds = settings.heartbeat_seconds
        self._engine = engine
        self._ledger = ledger
        self._resume = resume
        self._replaced = replaced
        self._seen_dead: set[str] = set()
        self._stopping = threading.Event()
        self._log = structlog.get_logger("fleet")

    def enter(self) -> None:
        """Write the first heartbeat; an earlier node of the same name is replaced."""
        here = {
            "run": self._run,
            "version": version("heatproof"),
            "interval_seconds": self._interval_seconds,
            "started_at": func.now(),
            "heartbeat_at": func.now(),
        }
        with self._engine.begin() as connection:
            row = insert_into(connection, nodes).values(id=self._worker, **here)
            connection.execute(row.on_conflict_do_update(index_elements=["id"], set_=here))

    def run(self) -> None:
        """Tick until stopped; a store that does not answer is asked again at the next tick."""
        while not self._stopping.wait(self._interval_seconds):
            try:
                if not self.beat():
                    self._log.error("replaced", worker=self._worker)
                    self._replaced()
                    return
                self.take_over()
            except (SQLAlchemyError, workflow_error.DBOSException) as error:
                self._log.warning("heartbeat_missed", error=type(error).__name__)

    def leave(self) -> None:
        """Stop and deregister: work left under this name may be taken over at once."""
        self._stopping.set()
        if self.is_alive():
            self.join()
        mine = (nodes.c.id == self._worker) & (nodes.c.run == self._run)
        with self._engine.begin() as connection:
            connection.execute(update(nodes).where(mine).values(heartbeat_at=None))

    def beat(self) -> bool:
        """Write a heartbeat; False where another node has started under this name."""
        mine = (nodes.c.id == self._worker) & (nodes.c.run == self._run)
        with self._engine.begin() as connection:
            return bool(connection.execute(update(nodes).where(mine).values(heartbeat_at=func.now())).rowcount)

    def take_over(self) -> None:
        """Return to the queue what dead nodes left unfinished, and what they had decided but not yet queued."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql" and not connection.scalar(
                select(func.pg_try_advisory_xact_lock(_TAKING_OVER))
            ):
                return
            dead = self._dead(connection)
            for worker in sorted(dead):
                returned = len(DBOS._recover_pending_workflows([worker]))
                if returned:
                    self._log.warning("taken_over", worker=worker, workflows=returned)
                    self._ledger.append(Event.TAKEN_OVER, details={"worker": worker, "objects": returned})
        if not set(dead.values()) <= self._seen_dead:
            self._seen_dead |= set(dead.values())
            self._resume()

    def _dead(self, connection: Connection) -> dict[str, str]:
        """Return the workers whose heartbeat is overdue, with the run of each."""
        dead: dict[str, str] = {}
        for row in connection.execute(select(nodes, type_coerce(func.now(), Moment()).label("now"))):
            silence_seconds = (row.now - row.heartbeat_at).total_seconds() if row.heartbeat_at else math.inf
            if row.id != self._worker and silence_seconds >= DEAD_AFTER_INTERVALS * row.interval_seconds:
                dead[row.id] = row.run
        return dead

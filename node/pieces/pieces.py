"""A piece of a commissioning as a durable workflow, in a queue of its own below clinical work.

A row of the queue names a job's folder below ``node.commissioning_folder``, what is done and on what; everything else
lies in that folder. A killed node's piece is taken over as its studies are (``node.jobs.fleet``).
"""

import json
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import structlog
from dbos import DBOS, DBOSConfiguredInstance
from sqlalchemy import Engine, func, select

from node.settings.node import NodeSettings
from node.store import JobState, jobs
from node.waking import WORK

QUEUE = "commissioning"
LOOK_SECONDS = 1.0
"""How often a node with a piece to do looks whether a study waits."""


class Stopped(BaseException):
    """The node stops: the piece is neither done nor failed, and is done after the next start, or by another node."""


@DBOS.dbos_class()
class Pieces(DBOSConfiguredInstance):
    """What this node does for commissionings, one piece after the other, in a process of its own."""

    def __init__(self, settings: NodeSettings, engine: Engine) -> None:
        super().__init__("node")
        self._folder = settings.commissioning_folder
        self._engine = engine
        self._stopping = threading.Event()
        self._worker: subprocess.Popen[str] | None = None
        self._log = structlog.get_logger("pieces")

    @DBOS.workflow(name="piece", max_recovery_attempts=5)
    def run(self, place: str, action: str, piece: list[Any]) -> str:
        """Do one piece; give nothing, or the sentence why it was not done."""
        return str(DBOS.run_step({"name": "perform"}, self.perform, place, action, piece))

    def perform(self, place: str, action: str, piece: list[Any]) -> str:
        """Wait until no study does, then do the piece.

        Args:
            place: folder of the job, relative to ``node.commissioning_folder``.
            action: what is done.
            piece: on what.
        """
        if self._folder is None:
            return "This node takes no part in commissionings: it has no node.commissioning_folder."
        root = self._folder.resolve()
        folder = (root / place).resolve()
        if not folder.is_relative_to(root):
            return "The folder of the job does not lie in node.commissioning_folder."
        while self._studies_wait():
            self._pause()
        problem = self._ask({"folder": str(folder), "action": action, "piece": piece})
        self._log.info("piece_done", job=folder.name, step=action, problem=problem)
        WORK.ring()  # the next piece's turn
        return problem or ""

    def stop(self) -> None:
        """End the process; a piece under way is left for later."""
        self._stopping.set()
        worker = self._worker
        if worker is not None:
            worker.kill()
            worker.wait()
            for end in (worker.stdin, worker.stdout):
                if end is not None:
                    with suppress(OSError):
                        end.close()

    def _pause(self) -> None:
        if self._stopping.wait(LOOK_SECONDS):
            raise Stopped

    def _studies_wait(self) -> bool:
        waiting = select(func.count()).select_from(jobs).where(jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING]))
        with self._engine.connect() as connection:
            return bool(connection.scalar(waiting))

    def _ask(self, request: dict[str, Any]) -> str | None:
        """Let the process do a piece; where it ends in the middle, say so."""
        if self._worker is None or self._worker.poll() is not None:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "inference.sharing.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        line = _answer(self._worker, json.dumps(request))
        if self._stopping.is_set():
            raise Stopped
        if not line:
            return "The process that did this piece was killed, probably because memory ran out."
        problem = json.loads(line)
        return None if problem is None else str(problem)


def _answer(worker: "subprocess.Popen[str]", request: str) -> str:
    """Return the line that answers a request; nothing where the process has ended."""
    if worker.stdin is None or worker.stdout is None:
        return ""
    try:
        worker.stdin.write(request + "\n")
        worker.stdin.flush()
        return worker.stdout.readline()
    except (OSError, ValueError):  # it has ended, or was ended while it was asked
        return ""

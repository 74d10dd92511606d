"""Asks the nodes of one store for the pieces of a commissioning, and waits for them."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbos import DBOSClient, EnqueueOptions

from inference.commissioning.work import Action, BenchJob, Pool
from inference.commissioning.work import Piece as Arguments
from inference.companions.pieces import Piece, TrainingSite
from inference.companions.settings import CompanionSettings
from inference.errors import Misconfigured, Refused
from inference.sharing.figures import identity, name_of, write_job
from inference.sharing.trainings import TRAINING, write_training_job
from node import workflow_store
from node.pieces.pieces import QUEUE
from node.settings.node import NodeSettings

LOOK_SECONDS = 1.0


@contextmanager
def nodes_as_pool(settings: NodeSettings, data: Path, job: BenchJob, *, verdict: bool = False) -> Iterator[Pool]:
    """Yield what lets every node with this ``node.commissioning_folder`` do pieces.

    Args:
        settings: of one of the nodes: its store and its folder.
        data: folder of annotated cases, which every node sees under the same path.
        job: the commissioning; its folder must lie in ``node.commissioning_folder``.
        verdict: whether the verdict alone is fitted.

    Raises:
        Misconfigured: there is no such folder, or the job lies elsewhere.
    """
    _check_place(settings, job.work)
    with _asked(settings, write_job(job, data, verdict=verdict)) as nodes:
        yield _Figures(nodes)


def train_by_nodes(
    nodes: NodeSettings, data: Path, site: TrainingSite, settings: CompanionSettings, pieces: Sequence[Piece]
) -> None:
    """Have every node with this ``node.commissioning_folder`` train, and return when all pieces have ended.

    Args:
        nodes: of one of the nodes: its store and its folder.
        data: folder of annotated cases, which every node sees under the same path.
        site: of the companions; its folder must lie in ``node.commissioning_folder``.
        settings: of the companions.
        pieces: the trainings.

    Raises:
        Misconfigured: there is no such folder, or the work lies elsewhere.
        Refused: a node could not do a training, and why.
    """
    _check_place(nodes, site.folder)
    write_training_job(site, settings, data, pieces)
    with _asked(nodes, site.folder) as asked:
        futures = [
            asked.ask(identity, TRAINING, [identity]) for identity in (piece.identity(site.key) for piece in pieces)
        ]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            site.progress("trainings by the nodes", done, len(futures))


def _check_place(settings: NodeSettings, work: Path) -> None:
    root = settings.commissioning_folder
    if root is None or not work.resolve().is_relative_to(root.resolve()):
        raise Misconfigured(
            f"{work.parent} does not lie in node.commissioning_folder ({root}), where the nodes look for pieces.",
            cure="Set node.commissioning_folder for every node that takes part, and choose --out below it.",
        )


@contextmanager
def _asked(settings: NodeSettings, folder: Path) -> Iterator["_Nodes"]:
    place = folder.resolve().relative_to(Path(settings.commissioning_folder or "").resolve())
    with workflow_store.client(settings) as client:
        nodes = _Nodes(client, str(place))
        nodes.start()
        try:
            yield nodes
        finally:
            nodes.end()


class _Figures:
    """The nodes as the pool of a commissioning."""

    def __init__(self, nodes: "_Nodes") -> None:
        self._nodes = nodes

    def submit(self, job: BenchJob, action: Action, piece: Arguments) -> "Future[None]":
        """Put a piece into the queue, or join it where it is there already."""
        return self._nodes.ask(identity(job.key, action, piece), name_of(action), list(piece))


class _Nodes(threading.Thread):
    """Puts pieces into the queue and resolves their futures as they end."""

    def __init__(self, client: DBOSClient, place: str) -> None:
        super().__init__(name="pieces", daemon=True)
        self._client = client
        self._place = place
        self._waiting: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def ask(self, digest: str, action: str, piece: list[Any]) -> "Future[None]":
        """Put a piece into the queue, or join it where it is there already."""
        future: Future[None] = Future()
        workflow_id = self._free(digest)
        options: EnqueueOptions = {
            "workflow_name": "piece",
            "class_name": "Pieces",
            "instance_name": "node",
            "queue_name": QUEUE,
            "workflow_id": workflow_id,
            "app_version": workflow_store.WORKFLOW_VERSION,
        }
        with self._lock:
            self._client.enqueue(options, self._place, action, piece)
            self._waiting[workflow_id] = future
        return future

    def run(self) -> None:
        """Look at what has ended, again and again."""
        while not self._ended.wait(LOOK_SECONDS):
            with self._lock:
                waiting = list(self._waiting)
            if not waiting:
                continue
            for workflow in self._client.list_workflows(workflow_ids=waiting, load_input=False):
                if workflow.status not in workflow_store.LIVE:
                    with self._lock:
                        future = self._waiting.pop(workflow.workflow_id)
                    self._settle(future, workflow.status, workflow.output)

    def end(self) -> None:
        """Take back what nobody has begun."""
        self._ended.set()
        self.join()
        for workflow in self._client.list_workflows(workflow_ids=list(self._waiting) or [""], load_input=False):
            if workflow.status == "ENQUEUED":
                self._client.cancel_workflow(workflow.workflow_id)

    def _free(self, digest: str) -> str:
        """Return the first name of a piece under which it is not ended: what failed before is tried again."""
        attempt = 0
        while True:
            workflow_id = f"{digest}-{attempt}"
            found = self._client.list_workflows(workflow_ids=[workflow_id], load_input=False, load_output=False)
            if not found or found[0].status in workflow_store.LIVE:
                return workflow_id
            attempt += 1

    @staticmethod
    def _settle(future: "Future[None]", status: str, output: object) -> None:
        if status == "SUCCESS" and not output:
            future.set_result(None)
        elif status == "SUCCESS":
            future.set_exception(Refused(str(output)))
        else:
            future.set_exception(Refused(f"A node could not do a piece of the commissioning ({status}); see its log."))

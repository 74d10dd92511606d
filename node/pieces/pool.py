"""Asks the nodes of one store for the pieces of a commissioning, and waits for them."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from dbos import DBOSClient, EnqueueOptions

from inference.commissioning.sharing import identity, name_of, write_job
from inference.commissioning.work import Action, BenchJob, Piece, Pool
from inference.errors import Misconfigured, Refused
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
    root = settings.commissioning_folder
    if root is None or not job.work.resolve().is_relative_to(root.resolve()):
        raise Misconfigured(
            f"{job.work.parent} does not lie in node.commissioning_folder ({root}), where the nodes look for pieces.",
            cure="Set node.commissioning_folder for every node that takes part, and choose --out below it.",
        )
    folder = write_job(job, data, verdict=verdict)
    client = workflow_store.client(settings)
    pool = _Nodes(client, str(folder.resolve().relative_to(root.resolve())), job.key)
    pool.start()
    try:
        yield pool
    finally:
        pool.end()
        client.destroy()


class _Nodes(threading.Thread):
    """Puts pieces into the queue and resolves their futures as they end."""

    def __init__(self, client: DBOSClient, place: str, key: str) -> None:
        super().__init__(name="pieces", daemon=True)
        self._client = client
        self._place = place
        self._key = key
        self._waiting: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def submit(self, job: BenchJob, action: Action, piece: Piece) -> "Future[None]":
        """Put a piece into the queue, or join it where it is there already."""
        future: Future[None] = Future()
        workflow_id = self._free(identity(job.key, action, piece))
        options: EnqueueOptions = {
            "workflow_name": "piece",
            "class_name": "Pieces",
            "instance_name": "node",
            "queue_name": QUEUE,
            "workflow_id": workflow_id,
            "app_version": workflow_store.WORKFLOW_VERSION,
        }
        with self._lock:
            self._client.enqueue(options, self._place, name_of(action), list(piece))
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

"""Where the durable workflows are kept (DBOS Transact): as JSON, so that a row written there runs no code here.

DBOS Transact pickles by default, and unpickles every row that is labelled so whatever serializer is configured: here
that is refused. Arguments, step results and errors of workflows are JSON: texts, numbers, lists and objects.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

from dbos import DBOS, DBOSClient, DBOSConfig, DBOSPortableJSONSerializer
from dbos import _dbos as launching
from dbos._queue import queue_thread
from dbos._serialization import DefaultSerializer
from dbos._workflow_commands import background_jobs_thread
from sqlalchemy import Engine, create_engine, event

from inference.errors import Refused
from node.settings.node import NodeSettings
from node.store import durable_sqlite
from node.waking import WORK

WORKFLOW_VERSION = "3"
"""Counts up when the steps of a workflow, or how they are written down, change: no other version is resumed."""
LIVE = ["ENQUEUED", "DELAYED", "PENDING"]
"""States of a workflow (DBOS Transact) that will still do something."""


def configure(settings: NodeSettings) -> DBOSConfig:
    """Return what DBOS Transact is started with; from here on it unpickles nothing in this process."""
    DefaultSerializer.deserialize = _refuse
    launching.queue_thread = partial(_woken, queue_thread)
    launching.background_jobs_thread = partial(_woken, background_jobs_thread)
    common: DBOSConfig = {
        "name": "heatproof",
        "executor_id": settings.worker,
        "application_version": WORKFLOW_VERSION,
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "DEBUG" if settings.log_level == "debug" else "ERROR",
        "console_log_level": "ERROR",
    }
    if settings.database_url:
        return {**common, "system_database_url": settings.database_url}
    return {**common, "system_database_engine": _embedded(settings)}


@contextmanager
def client(settings: NodeSettings) -> Iterator[DBOSClient]:
    """Yield what asks for workflows of these settings, whether or not a node runs in this process."""
    DefaultSerializer.deserialize = _refuse
    engine = create_engine(settings.database_url) if settings.database_url else _embedded(settings)
    asking = DBOSClient(system_database_engine=engine, serializer=DBOSPortableJSONSerializer())
    try:
        yield asking
    finally:
        asking.destroy()
        engine.dispose()


def discard_older() -> int:
    """Delete, by their ids and unread, the unfinished workflows of other versions; give how many there were.

    What they were about is in the node's own tables, ``jobs`` and ``deliveries``, and is begun again from there.
    """
    live = DBOS.list_workflows(status=LIVE, load_input=False, load_output=False)
    ids = [workflow.workflow_id for workflow in live if workflow.app_version != WORKFLOW_VERSION]
    if ids:
        DBOS.delete_workflows(ids)
    return len(ids)


def delete_workflows(settings: NodeSettings, job_ids: Sequence[str]) -> None:
    """Delete the workflows of jobs, with those of their deliveries."""
    if not settings.database_url and not (settings.home / "workflows.sqlite").is_file():
        return
    with client(settings) as asking:
        for job_id in job_ids:
            listed = asking.list_workflows(workflow_id_prefix=job_id, load_input=False, load_output=False)
            asking.delete_workflows([workflow.workflow_id for workflow in listed])


class _Woken(threading.Event):
    """The event by which a thread of DBOS Transact is stopped; waits for it are waits for work."""

    def __init__(self, stopping: threading.Event) -> None:
        super().__init__()
        self._stopping = stopping

    def is_set(self) -> bool:
        """Say whether the thread is to stop."""
        return self._stopping.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for so long, or longer while there is no work; say whether to stop."""
        return self._stopping.wait() if timeout is None else WORK.wait(self._stopping, timeout)


def _woken(target: Callable[[threading.Event, DBOS], None], stopping: threading.Event, transact: DBOS) -> None:
    """Run a thread of DBOS Transact that polls the store, such that it is woken by ``node.waking``."""
    setting = stopping.set

    def set_and_release() -> None:
        setting()
        WORK.release()

    stopping.set = set_and_release  # type: ignore[method-assign]
    target(_Woken(stopping), transact)


def _embedded(settings: NodeSettings) -> Engine:
    engine = create_engine(f"sqlite:///{settings.home / 'workflows.sqlite'}")
    event.listen(engine, "connect", durable_sqlite)
    return engine


def _refuse(_serializer: Any, _serialized: str) -> NoReturn:
    raise Refused("A pickled value stands in the workflow store; it is not read.")

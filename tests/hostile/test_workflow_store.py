"""Rows in the workflow store that would run code where they are unpickled: none is, and the node goes on.

Whoever may write to the store can make the node do its own work again, or fail at it; not more.
"""

import base64
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS
from dbos._dbos import _get_dbos_instance
from dbos._schemas.system_database import SystemSchema
from sqlalchemy import Table, insert, update

from node.demo.ports import reserve_port
from node.workflow_store import WORKFLOW_VERSION
from tests.node.receiving.intake import mr_image
from tests.node.receiving.sending import Sender
from tests.patience import patient, wait_until
from tests.peers.postgresql import MISSING, postgresql

pytestmark = pytest.mark.slow
PICKLED = "py_pickle"
PAYLOADS = ("inputs", "output", "error", "message", "value", "context")
"""Columns that hold what was serialized."""
ARGUMENTS = (SystemSchema.workflow_status, SystemSchema.workflow_input, SystemSchema.workflow_output)
STORES = [
    "sqlite",
    pytest.param(
        "postgresql",
        marks=[
            pytest.mark.peers,
            pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed, or this is not root"),
        ],
    ),
]


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.marker,)


class Target:
    """A node's workflows, and somebody who writes into their store."""

    def __init__(self, sender: Sender, marker: Path) -> None:
        self.sender = sender
        self.marker = marker
        self.bomb = base64.b64encode(pickle.dumps(Bomb(marker))).decode()

    def finished(self) -> str:
        """Run a job to its end; give its id."""
        job = self.sender.analyse(mr_image())
        wait_until(lambda: self.sender.state(job).finished_at is not None, 20, "the end of the job")
        wait_until(lambda: self.status(job) == "SUCCESS", 20, "the end of its workflow")
        return job

    def status(self, workflow_id: str) -> str:
        (workflow,) = DBOS.list_workflows(workflow_ids=[workflow_id], load_input=False, load_output=False)
        return str(workflow.status)

    def write(self, workflow_id: str, *, steps_only: bool = False, **status: Any) -> None:
        """Put the pickle into every column of every table that has something serialized of a workflow.

        Args:
            workflow_id: a finished workflow.
            steps_only: leave its arguments as they are.
            status: further columns of ``workflow_status``.
        """
        here = {"workflow_uuid": workflow_id, "serialization": PICKLED}
        rows: list[tuple[Table, dict[str, Any]]] = [
            (SystemSchema.notifications, {"destination_uuid": workflow_id, "topic": "t", "message_uuid": workflow_id,
                                          "created_at_epoch_ms": 1, "serialization": PICKLED}),
            (SystemSchema.workflow_events, {**here, "key": "k"}),
            (SystemSchema.workflow_events_history, {**here, "key": "k", "function_id": 0}),
            (SystemSchema.streams, {**here, "key": "k", "offset": 0, "function_id": 0}),
        ]  # fmt: skip
        with _get_dbos_instance()._sys_db.engine.begin() as connection:
            for table, row in rows:
                connection.execute(insert(table).values(**row, **dict.fromkeys(_payloads(table), self.bomb)))
            for table in (SystemSchema.operation_outputs, *(() if steps_only else ARGUMENTS)):
                values: dict[str, Any] = dict.fromkeys(_payloads(table), self.bomb)
                if "serialization" in table.c:
                    values["serialization"] = PICKLED
                changed = connection.execute(update(table).where(table.c.workflow_uuid == workflow_id).values(values))
                assert changed.rowcount, table.name
            statuses = SystemSchema.workflow_status
            connection.execute(update(statuses).where(statuses.c.workflow_uuid == workflow_id).values(status))

    def recover(self) -> None:
        """Take up what is pending, as a node does when it starts."""
        DBOS._recover_pending_workflows([self.sender.settings.node.worker])


def _payloads(table: Table) -> list[str]:
    return [name for name in PAYLOADS if name in table.c]


@pytest.fixture(params=STORES)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    def serve(url: str | None) -> Iterator[Target]:
        with Sender(tmp_path, [], port=reserve_port(), workflows=url) as sender:
            yield Target(sender, tmp_path / "marker")

    if request.param == "sqlite":
        yield from serve(None)
    else:
        with postgresql() as url:
            yield from serve(url)


def test_the_payload_runs_where_it_is_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(Bomb(marker)))  # noqa: S301 - what the node must never do
    assert marker.exists()


def test_every_table_of_the_store_with_something_serialized_is_attacked_here() -> None:
    attacked = {
        "workflow_status", "workflow_input", "workflow_output", "operation_outputs", "notifications", "workflow_events",
        "workflow_events_history", "streams",
    }  # fmt: skip
    found = {table.name for table in SystemSchema.metadata_obj.tables.values() if _payloads(table)}
    assert found - attacked <= {"workflow_schedules"}, found  # their context has no label: the node's own serializer


@pytest.mark.parametrize("status", ["SUCCESS", "ERROR"])
def test_whatever_reads_a_finished_workflow_unpickles_nothing(target: Target, status: str) -> None:
    job = target.finished()
    target.write(job, status=status)
    handle = DBOS.retrieve_workflow(job)
    readers: dict[str, Callable[[], Any]] = {
        "result": handle.get_result,
        "status": handle.get_status,
        "list": DBOS.list_workflows,
        "steps": lambda: DBOS.list_workflow_steps(job),
        "event": lambda: DBOS.get_event(job, "k", timeout_seconds=0),
        "events": lambda: DBOS.get_all_events(job),
        "stream": lambda: list(DBOS.read_stream(job, "k")),
    }
    for name, read in readers.items():
        try:
            read()
        except Exception as error:  # noqa: BLE001 - whatever it is, no code of the row ran
            print(name, type(error).__name__, error)
        assert not target.marker.exists(), name
    with pytest.raises(Exception, match="it is not read"):
        handle.get_result()
    target.finished()
    assert not target.marker.exists()


@pytest.mark.parametrize(("status", "queue"), [("PENDING", None), ("PENDING", "analysis"), ("ENQUEUED", "analysis")])
def test_an_unfinished_workflow_that_is_pickled_ends_in_an_error_and_the_next_study_is_analysed(
    target: Target, status: str, queue: str | None
) -> None:
    job = target.finished()
    target.write(job, status=status, queue_name=queue, application_version=WORKFLOW_VERSION, owner_xid=None)
    target.recover()
    wait_until(lambda: target.status(job) == "ERROR", 20, "the refusal")
    target.finished()
    assert not target.marker.exists()


def test_a_workflow_that_goes_on_at_a_pickled_step_ends_in_an_error(target: Target) -> None:
    job = target.finished()
    target.write(job, steps_only=True, status="PENDING", queue_name="analysis", owner_xid=None)
    target.recover()
    wait_until(lambda: target.status(job) == "ERROR", 20, "the refusal")
    target.finished()
    assert not target.marker.exists()


def test_a_message_that_is_pickled_is_not_received(target: Target) -> None:
    handle = DBOS.start_workflow(_listen)
    message = {"destination_uuid": handle.workflow_id, "topic": "t", "message": target.bomb}
    with _get_dbos_instance()._sys_db.engine.begin() as connection:
        row = {**message, "message_uuid": "m", "created_at_epoch_ms": 1, "serialization": PICKLED}
        connection.execute(insert(SystemSchema.notifications).values(row))
    with pytest.raises(Exception, match="it is not read"):
        handle.get_result()
    assert not target.marker.exists()


@DBOS.workflow(name="listens for a message")
def _listen() -> Any:
    return DBOS.recv("t", timeout_seconds=patient(20))

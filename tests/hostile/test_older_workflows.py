"""A home in which an older release left workflows, pickled as it wrote them: all are begun again, and none is read."""

import json
import pickle
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOSClient, EnqueueOptions
from dbos._schemas.system_database import SystemSchema
from dbos._serialization import DefaultSerializer
from sqlalchemy import Engine, create_engine, delete, select, update

from node.demo.pacs import FilingScp
from node.store import deliveries, jobs, open_engine, sqlite_url
from node.workflow_store import LIVE, WORKFLOW_VERSION
from tests.hostile import stand_in
from tests.node.running import RunningNode
from tests.patience import wait_until

pytestmark = pytest.mark.slow
OLDER = "2"
STATUS, INPUT, STEPS = SystemSchema.workflow_status, SystemSchema.workflow_input, SystemSchema.operation_outputs


class OldHome:
    """A node that died with one job at work and one delivery waiting for its PACS."""

    def __init__(self, folder: Path, port: int) -> None:
        self.node = RunningNode(folder / "node", quiet_seconds=0.2)
        self.node.write_settings(destination_port=port)
        self.studies = stand_in.write_studies(folder / "studies", 2)
        home = self.node.folder / "home"
        self.store = open_engine(sqlite_url(home))
        self.workflows: Engine = create_engine(f"sqlite:///{home / 'workflows.sqlite'}").execution_options(
            schema_translate_map={STATUS.schema: None}
        )
        self._processes: list[ForkServerProcess] = []

    def start(self, *, hang_in: str = "") -> None:
        self._processes.append(stand_in.start_node(self.node, hang_in=hang_in))

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._processes.clear()

    def close(self) -> None:
        self.kill()
        self.store.dispose()
        self.workflows.dispose()

    def states(self, column: Any) -> list[str]:
        with self.store.connect() as connection:
            return sorted(connection.execute(select(column)).scalars())

    def live(self) -> list[Any]:
        with self.workflows.connect() as connection:
            return list(connection.execute(select(STATUS).where(STATUS.c.status.in_(LIVE))))

    def age(self, serializer: DefaultSerializer) -> dict[str, str]:
        """Write what is unfinished as the release before did: through DBOS Transact, with its own serializer."""
        client = DBOSClient(system_database_engine=self.workflows, serializer=serializer)
        aged: dict[str, str] = {}
        for row in self.live():
            with self.workflows.begin() as connection:
                written = connection.execute(select(INPUT.c.inputs).where(INPUT.c.workflow_uuid == row.workflow_uuid))
                arguments = json.loads(written.scalar() or row.inputs)["positionalArgs"]
                for table in (STEPS, INPUT, STATUS):
                    connection.execute(delete(table).where(table.c.workflow_uuid == row.workflow_uuid))
            options = EnqueueOptions(
                workflow_name=row.name, queue_name=row.queue_name, workflow_id=row.workflow_uuid, app_version=OLDER,
                class_name=row.class_name, instance_name=row.config_name,
            )  # fmt: skip
            if row.queue_partition_key:
                options["queue_partition_key"] = row.queue_partition_key
            client.enqueue(options, *arguments)
            with self.workflows.begin() as connection:
                old = update(STATUS).where(STATUS.c.workflow_uuid == row.workflow_uuid)
                connection.execute(old.values(status=row.status, executor_id=row.executor_id))
            aged[row.name] = row.status
        return aged


class Recorded(DefaultSerializer):
    """The default serializer, whose pickles make a file where they are read."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def serialize(self, data: Any) -> str:
        return super().serialize({**data, "kwargs": _Trace(self._marker)})


class _Trace:
    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self._marker,)


@pytest.fixture
def pacs(tmp_path: Path) -> FilingScp:
    return FilingScp(tmp_path / "pacs")


@pytest.fixture
def old(tmp_path: Path, pacs: FilingScp) -> Iterator[OldHome]:
    home = OldHome(tmp_path, pacs.port)
    try:
        yield home
    finally:
        home.close()


def test_jobs_and_deliveries_that_an_older_release_began_are_begun_again_and_finish(
    old: OldHome, pacs: FilingScp, tmp_path: Path
) -> None:
    old.start()
    assert set(old.node.send(old.studies[0])) == {0x0000}
    wait_until(lambda: old.states(jobs.c.state) == ["done"], 30, "the end of the first job")
    wait_until(lambda: any(row.status == "DELAYED" for row in old.live()), 30, "an attempt at the PACS that is away")
    old.kill()
    old.start(hang_in="explain")
    assert set(old.node.send(old.studies[1])) == {0x0000}
    wait_until((old.node.folder / "hanging").exists, 30, "the middle of the second job")
    old.kill()
    marker = tmp_path / "marker"
    aged = old.age(Recorded(marker))
    assert aged["job"] == "PENDING"
    assert "delivery" in aged
    assert {(row.application_version, row.serialization) for row in old.live()} == {(OLDER, "py_pickle")}
    with pacs:
        old.start()
        wait_until(lambda: old.states(jobs.c.state) == ["done", "done"], 60, "the end of both jobs")
        wait_until(lambda: set(old.states(deliveries.c.state)) == {"sent"}, 60, "the delivery of all results")
        assert len(pacs.received()) == len(old.states(deliveries.c.state)) == 4
    assert not marker.exists()
    assert {row.application_version for row in old.live()} <= {WORKFLOW_VERSION}
    pickle.loads(pickle.dumps(_Trace(marker)))  # noqa: S301 - it would have left a trace
    assert marker.exists()

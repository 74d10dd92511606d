"""A study that kills the node, and one that no memory is enough for: each ends with a reason, the others are analysed.

Weights and bundles that ask for code are in tests/inference/bundle/test_bundle.py, batches that are halved in
tests/inference/test_devices.py.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select

from node.demo.pacs import FilingScp
from node.store import jobs, open_engine, sqlite_url
from tests.hostile import stand_in, troubled_node
from tests.node.running import RunningNode
from tests.patience import wait_until

pytestmark = pytest.mark.slow
MOST_DEATHS = 10
"""Far more than the node takes before it gives up."""


class Ward:
    """What a node made of a deadly, a greedy and a healthy study, and how often it died."""

    def __init__(self, folder: Path, pacs: FilingScp) -> None:
        self.node = RunningNode(folder / "node", destination_port=pacs.port, quiet_seconds=0.5)
        self.studies = dict(
            zip(("deadly", "greedy", "healthy"), stand_in.write_studies(folder, 3, slices=4), strict=True)
        )
        self.uids = {
            name: str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)
            for name, paths in self.studies.items()
        }
        self.engine = open_engine(sqlite_url(self.node.folder / "home"))
        self.deaths = 0
        self.pacs = pacs

    def run(self) -> None:
        """Send everything, and start the node again until it lives and everything is answered."""
        while self.deaths < MOST_DEATHS and not self._live():
            self.deaths += 1

    def _live(self) -> bool:
        """Run the node until it dies or has answered everything; say whether it lived."""
        process = troubled_node.start(self.node.settings, deadly=self.uids["deadly"], greedy=self.uids["greedy"])
        try:
            wait_until(lambda: self.node.listening or not process.is_alive(), 60, "the start of the node")
            if not self.deaths:
                for paths in self.studies.values():
                    assert set(self.node.send(paths)) == {0x0000}
            wait_until(lambda: not process.is_alive() or self.answered, 60, "a death, or all answers")
            return process.is_alive()
        finally:
            process.kill()
            process.join()

    @property
    def answered(self) -> bool:
        """Whether every study ended, and the PACS has something of each."""
        ended = self.rows()
        finished = len(ended) == 3 and all(row.finished_at for row in ended.values())
        return finished and all(self.objects(name) for name in self.uids)

    def rows(self) -> dict[str, Any]:
        with self.engine.connect() as connection:
            found = {row.study_instance_uid: row for row in connection.execute(select(jobs))}
        return {name: found[uid] for name, uid in self.uids.items() if uid in found}

    def objects(self, name: str) -> list[Dataset]:
        """Return what the PACS has of a study."""
        received = (dcmread(path) for path in self.pacs.received().values())
        return [dataset for dataset in received if dataset.StudyInstanceUID == self.uids[name]]

    def report(self, name: str) -> dict[str, Any]:
        """Return the only object that the PACS has of a study."""
        (dataset,) = self.objects(name)
        return dict(json.loads(dataset.to_json()))


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    with FilingScp(folder / "pacs") as pacs:
        made = Ward(folder, pacs)
        made.run()
        yield made
        made.engine.dispose()


def test_a_study_that_kills_the_node_is_given_up_after_a_few_deaths(ward: Ward) -> None:
    assert 1 < ward.deaths < MOST_DEATHS
    row = ward.rows()["deadly"]
    assert row.state in ("failed", "not analysed")
    assert "crashed repeatedly" in row.reason
    assert "crashed repeatedly" in json.dumps(ward.report("deadly"))


def test_a_study_that_no_memory_is_enough_for_ends_with_that_reason_and_the_node_lives(ward: Ward) -> None:
    row = ward.rows()["greedy"]
    assert row.state in ("failed", "not analysed")
    assert "Out of memory with a batch of one." in row.reason
    assert "Out of memory" in json.dumps(ward.report("greedy"))
    tried = [int(line) for line in ward.node.settings.with_name("batches").read_text().split()]
    assert tried[-1] == 1
    assert tried[0] > 1


def test_the_healthy_study_beside_them_is_analysed(ward: Ward) -> None:
    assert ward.rows()["healthy"].state == "done"

"""Two nodes on one PostgreSQL and one folder, as in ``deploy/two-nodes``: what one leaves, the other finishes.

The model is a stand-in that answers at once; queue, store, files and takeover are the real ones.
"""

import tomllib
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine, select

from node.demo.pacs import FilingScp, send
from node.settings.settings import Settings
from node.store import deliveries, jobs, nodes, open_engine
from reports.audit.ledger import Event, Ledger
from tests.hostile import stand_in
from tests.node.running import RunningNode
from tests.patience import patient, wait_until
from tests.peers.postgresql import MISSING, postgresql

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed, or this is not root"),
]
EXAMPLE = Path(__file__).parents[2] / "deploy" / "two-nodes"
HEARTBEAT_SECONDS = 0.5
"""Shipped: 5 s, so that a node counts as dead after 20 s."""


class Site:
    """A PACS, a store, a folder, and two nodes that the test starts and kills."""

    def __init__(self, folder: Path, url: str, pacs: FilingScp) -> None:
        self.engine: Engine = open_engine(url)
        self.pacs = pacs
        self.nodes = {name: self._node(folder, name, url) for name in ("first", "second")}
        self.processes: dict[str, ForkServerProcess] = {}

    def start(self, name: str, *, hang_in: str = "") -> None:
        self.processes[name] = stand_in.start_node(self.nodes[name], hang_in=hang_in)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.join()
        self.engine.dispose()

    def rows(self, column: object) -> list[object]:
        with self.engine.connect() as connection:
            return list(connection.execute(select(column)).scalars())  # type: ignore[call-overload]

    def _node(self, folder: Path, name: str, url: str) -> RunningNode:
        node = RunningNode(folder / name, destination_port=self.pacs.port, quiet_seconds=1.0)
        shared = f'database_url = "{url}"\nshared_folder = "{folder / "shared"}"\nslot = "{name}"'
        text = node.settings.read_text().replace(
            "[http]", f"heartbeat_seconds = {patient(HEARTBEAT_SECONDS)}\n{shared}\n[http]"
        )
        node.settings.write_text(text.replace('"HEATPROOF"', f'"HEATPROOF_{name.upper()}"'))
        return node


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with postgresql() as url, FilingScp(tmp_path / "pacs") as pacs:
        made = Site(tmp_path, url, pacs)
        try:
            yield made
        finally:
            made.close()


def test_a_node_killed_in_the_middle_of_a_job_is_replaced_by_the_other_and_the_results_come_once(
    site: Site, tmp_path: Path
) -> None:
    site.start("first", hang_in="explain")
    (study,) = stand_in.write_studies(tmp_path / "studies", 1)
    send(study, port=site.nodes["first"].dicom_port, called_ae_title="HEATPROOF_FIRST", progress=lambda: None)
    wait_until((tmp_path / "first" / "hanging").exists, 60, "the middle of the job")
    site.start("second")
    assert site.rows(jobs.c.state) == ["running"], "the second took a living node's work"
    site.processes["first"].kill()
    wait_until(lambda: site.rows(jobs.c.state) == ["done"], 30, "the takeover")
    wait_until(lambda: len(site.pacs.arrivals) == 2, 20, "the delivery")
    ledger = Ledger(site.engine, b"")
    events = [entry for entry in ledger.events() if entry.event == Event.TAKEN_OVER]
    assert [dict(entry.details) for entry in events] == [{"worker": "first", "objects": 1}]
    assert [entry.event for entry in ledger.events()].count("analysed") == 1
    assert ledger.verify() is None
    assert sorted(site.rows(nodes.c.id), key=str) == ["first", "second"]
    wait_until(lambda: "queued" not in site.rows(deliveries.c.state), 10, "the note of the delivery")
    assert len(set(site.pacs.arrivals)) == len(site.pacs.arrivals) == 2


def test_the_settings_of_the_two_node_example_are_good_and_fit_together() -> None:
    first, second = (
        Settings.model_validate(tomllib.loads((EXAMPLE / f"{name}.toml").read_text()), context={"folder": EXAMPLE}).node
        for name in ("first", "second")
    )
    assert first.database_url == second.database_url
    assert first.shared_folder == second.shared_folder is not None
    assert first.worker != second.worker
    assert first.ae_title != second.ae_title
    services = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]
    mounts = [dict(volume.split(":")[1::-1] for volume in services[name]["volumes"]) for name in ("first", "second")]
    assert mounts[0][str(first.home)] != mounts[1][str(second.home)]
    assert mounts[0][str(first.shared_folder)] == mounts[1][str(second.shared_folder)]

"""kill -9 at a step boundary of a job of a real model: one result set, none lost."""

from pathlib import Path

import pytest

from inference.phantom.phantom import make_phantom
from node.demo.pacs import FilingScp
from reports.objects.phantom_study import write_study
from tests.node.running import RunningNode
from tests.patience import wait_until

DRIVER = str(Path(__file__).with_name("crashing_node.py"))
BOUNDARIES = ["after:report"]
"""All of them, and those of receive and delivery, by a stand-in model: ``tests/hostile/test_kill_sweep.py``."""


@pytest.fixture(scope="module")
def phantom_study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_study(make_phantom(7), tmp_path_factory.mktemp("phantom"), patient_id="PHANTOM-0007")


def results_after_crash(where: str, study: list[Path], folder: Path) -> list[str]:
    """Send the study to a node that dies at `where`, start it again, and give what arrived, in order."""
    with FilingScp(folder / "pacs") as pacs:
        node = RunningNode(folder / "node", destination_port=pacs.port)
        try:
            node.start(DRIVER, where)
            assert set(node.send(study)) == {0x0000}
            wait_until(lambda: node.dead, 60, f"the crash {where}")
            node.start()
            wait_until(lambda: node.delivered, 90, "the delivery after the crash")
            node.stop()
        finally:
            node.kill()
        return pacs.arrivals


@pytest.mark.slow
@pytest.mark.parametrize("where", BOUNDARIES)
def test_killed_at_any_step_the_study_comes_back_once(where: str, phantom_study: list[Path], tmp_path: Path) -> None:
    arrivals = results_after_crash(where, phantom_study, tmp_path)
    assert len(arrivals) == len(set(arrivals)) == 2


@pytest.mark.slow
def test_uids_after_a_crash_are_those_of_a_run_without_one(phantom_study: list[Path], tmp_path: Path) -> None:
    with (
        FilingScp(tmp_path / "pacs") as pacs,
        RunningNode(tmp_path / "node", destination_port=pacs.port) as node,
    ):
        node.send(phantom_study)
        wait_until(lambda: len(pacs.received()) == 2, 60, "the results")
        undisturbed = set(pacs.received())
    assert set(results_after_crash("after:explain", phantom_study, tmp_path / "crashed")) == undisturbed

"""kill -9 at a step boundary of a job of a real model: one result set, none lost.

All boundaries, and those of receive and delivery, by a stand-in model: ``tests/hostile/test_kill_sweep.py``.
"""

from pathlib import Path

import pytest

from inference.phantom.phantom import make_phantom
from node.demo.pacs import FilingScp
from reports.objects.phantom_study import write_study
from tests.node.running import RunningNode
from tests.patience import wait_until

DRIVER = str(Path(__file__).with_name("crashing_node.py"))


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
def test_killed_before_its_report_a_study_comes_back_once_under_the_uids_of_a_run_without_a_crash(
    phantom_study: list[Path], tmp_path: Path
) -> None:
    with (
        FilingScp(tmp_path / "pacs") as pacs,
        RunningNode(tmp_path / "node", destination_port=pacs.port) as node,
    ):
        node.send(phantom_study)
        wait_until(lambda: len(pacs.received()) == 2, 60, "the results")
        undisturbed = set(pacs.received())
    arrivals = results_after_crash("after:explain", phantom_study, tmp_path / "crashed")
    assert len(arrivals) == len(set(arrivals)) == 2
    assert set(arrivals) == undisturbed

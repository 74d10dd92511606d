"""kill -9 at every named point of receive, job and delivery, and at random ones under load.

The model is a stand-in that answers at once; a crash with a real one is in ``tests/node/jobs/test_crashes.py``.
"""

import os
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select

from node.demo.pacs import FilingScp
from node.store import jobs, open_engine, results, sqlite_url
from tests.hostile import stand_in
from tests.hostile.kill_sweep import StandInModality, sweep, wait_for_rest
from tests.node.running import RunningNode
from tests.patience import patient
from tests.peers.orthanc import PROGRAM

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("HEATPROOF_KILLS", "2"))
"""200 in the long run."""
EVERY = os.environ.get("HEATPROOF_KILL_POINTS", "") == "all"
"""Whether every named point is tried, as in the long run, or the later half of each pair."""
SIDES = ("before", "after") if EVERY else ("after",)
RECEIVE = [f"{side}:{point}" for point in ("_write", "_sync_folder", "_insert", "enter") for side in SIDES]
JOB = [f"{side}:{step}" for step in ("read", "classify", "explain", "trust", "report") for side in SIDES]
DELIVERY = [f"{side}:{step}" for step in ("deliver", "finish", "send", "_record") for side in SIDES]
DECLINE = [f"{side}:decline" for side in SIDES]


class Victim:
    """A node that is killed again and again, its modality, and the PACS its results go to."""

    def __init__(self, folder: Path, pacs: FilingScp) -> None:
        self.node = RunningNode(folder / "node", destination_port=pacs.port, quiet_seconds=1.5)
        self.modality = StandInModality(self.node)
        self.pacs = pacs
        self.engine = open_engine(sqlite_url(self.node.folder / "home"))
        self._folder = folder
        self._numbers = count()

    def killed(self, where: str, *, slices: int) -> list[str]:
        """Send a study, let the node die there, start it again; give what arrived of its results, in order."""
        number = next(self._numbers)
        study = stand_in.write_study_of_blobs(self._folder / f"{number:05d}", number, slices=slices)
        sender = threading.Thread(target=self.modality.send, args=(study,))
        process = stand_in.start(self.node.settings, where=where)
        sender.start()
        process.join(patient(60))
        assert not process.is_alive(), f"it never came {where}"
        process = stand_in.start(self.node.settings)
        try:
            sender.join()
            wait_for_rest(self.node, number + 1)
        finally:
            process.kill()
            process.join()
        return self._arrivals(str(dcmread(study[0], stop_before_pixels=True).StudyInstanceUID))

    def _arrivals(self, study_instance_uid: str) -> list[str]:
        query = select(results.c.sop_instance_uid).join(jobs, jobs.c.id == results.c.job_id)
        with self.engine.connect() as connection:
            ours = set(connection.execute(query.where(jobs.c.study_instance_uid == study_instance_uid)).scalars())
        arrived = [uid for uid in self.pacs.arrivals if uid in ours]
        assert set(arrived) == ours
        return arrived


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    folder = tmp_path_factory.mktemp("victim")
    with FilingScp(folder / "pacs") as pacs:
        made = Victim(folder, pacs)
        yield made
        made.engine.dispose()


@pytest.mark.parametrize("where", RECEIVE)
def test_killed_while_it_receives_an_instance_it_loses_none_and_answers_once(victim: Victim, where: str) -> None:
    assert len(victim.killed(where, slices=1)) == 1


@pytest.mark.parametrize("where", JOB)
def test_killed_at_any_step_of_the_job_the_results_come_once(victim: Victim, where: str) -> None:
    assert len(victim.killed(where, slices=3)) == 2


@pytest.mark.parametrize("where", DECLINE)
def test_killed_while_it_declines_the_reason_comes_once(victim: Victim, where: str) -> None:
    assert len(victim.killed(where, slices=1)) == 1


@pytest.mark.parametrize("where", DELIVERY)
def test_killed_at_any_step_of_the_delivery_every_result_comes_and_only_what_cannot_be_known_comes_again(
    victim: Victim, where: str
) -> None:
    """C-STORE has no transaction: what was not noted goes again under the same UID, which a PACS keeps once."""
    arrivals = victim.killed(where, slices=3)
    assert len(set(arrivals)) == 2
    assert len(arrivals) == {"before:_record": 4, "after:_record": 3}.get(where, 2)


@pytest.mark.peers
@pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed")
def test_killed_at_random_under_load_it_loses_nothing_answers_each_study_once_and_leaves_no_temporary(
    tmp_path: Path,
) -> None:
    found = sweep(tmp_path, kills=KILLS)
    assert found.studies > 0
    assert (found.lost, found.without_one_result_set, found.temporaries, found.broken_at) == ([], [], [], None)

"""SIGTERM under load: nothing new is accepted, what is open ends, nothing is lost, the exit code is 0."""

import time
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from sqlalchemy import select

from node.demo.pacs import FilingScp
from node.store import jobs, open_engine, results, sqlite_url
from tests.hostile import stand_in
from tests.hostile.kill_sweep import StandInModality, wait_for_rest
from tests.node.running import RunningNode
from tests.patience import patient, wait_until

LONGEST_SECONDS = 30.0
"""Less than the 60 s that systemd and Compose give it."""


@pytest.mark.slow
def test_told_to_stop_under_load_it_refuses_the_new_aborts_the_idle_keeps_the_queue_and_exits_with_0(
    tmp_path: Path,
) -> None:
    with FilingScp(tmp_path / "pacs") as pacs:
        node = RunningNode(tmp_path / "node", destination_port=pacs.port, quiet_seconds=1.5)
        modality = StandInModality(node)
        process = stand_in.start_node(node)
        idle = AE(ae_title="IDLE")
        idle.add_requested_context(Verification)
        open_association = idle.associate("127.0.0.1", node.dicom_port, ae_title="HEATPROOF")
        assert open_association.is_established
        with modality.busy(tmp_path / "studies"):
            wait_until(lambda: len(modality.acknowledged) >= 9, 30, "some load")
            process.terminate()
            began = time.monotonic()
            wait_until(lambda: not node.listening, 5, "the end of accepting")
            process.join(patient(LONGEST_SECONDS))
            assert process.exitcode == 0, node.log
            assert time.monotonic() - began < patient(LONGEST_SECONDS)
            wait_until(lambda: open_association.is_aborted, 5, "the abort of the idle association")
            process = stand_in.start_node(node)
        wait_for_rest(node, len(modality.acknowledged) // stand_in.SLICES)
        process.terminate()
        process.join(patient(LONGEST_SECONDS))
        assert process.exitcode == 0, node.log
    engine = open_engine(sqlite_url(node.folder / "home"))
    with engine.connect() as connection:
        ours = sorted(connection.execute(select(results.c.sop_instance_uid)).scalars())
        analysed = list(connection.execute(select(jobs.c.study_instance_uid)).scalars())
    engine.dispose()
    assert sorted(pacs.arrivals) == ours
    assert len(ours) == 2 * len(analysed)
    assert len(set(analysed)) == len(analysed)

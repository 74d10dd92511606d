"""A whole node with four receivers, some killed with -9 under load: every study is complete, analysed and delivered."""

import os
import random
import signal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from node.demo.pacs import FilingScp
from node.store import instances, jobs, open_engine, results, sqlite_url
from tests.hostile import stand_in
from tests.hostile.kill_sweep import StandInModality, digest_of, wait_for_rest
from tests.node.running import RunningNode
from tests.patience import patient, wait_until

KILLS = 2


def receivers_of(process_id: int) -> list[int]:
    """The processes of receivers that a node has started, in any of its threads."""
    children = [
        int(child) for task in Path(f"/proc/{process_id}/task").glob("*/children") for child in task.read_text().split()
    ]
    return [child for child in children if b"node.receiving.receiver" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.slow
def test_receivers_killed_under_load_cost_no_study_and_end_with_the_node(tmp_path: Path) -> None:
    draw = random.Random(0)
    with FilingScp(tmp_path / "pacs") as pacs:
        node = RunningNode(tmp_path / "node", destination_port=pacs.port, quiet_seconds=3.0, receivers=4)
        modality = StandInModality(node)
        process = stand_in.start_node(node)
        assert process.pid is not None
        with modality.busy(tmp_path / "studies"):
            for _ in range(KILLS):
                known = len(modality.acknowledged)
                wait_until(lambda known=known: len(modality.acknowledged) >= known + 3, 60, "some load")
                wait_until(lambda: len(receivers_of(process.pid)) == 4, 60, "four receivers")
                os.kill(draw.choice(receivers_of(process.pid)), signal.SIGKILL)
        wait_for_rest(node, len(modality.acknowledged) // stand_in.SLICES)
        children = receivers_of(process.pid)
        process.terminate()
        process.join(patient(30))
        assert process.exitcode == 0, node.log
        assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert node.log.count("receiver_ended") == KILLS
    home = node.folder / "home"
    engine = open_engine(sqlite_url(home))
    with engine.connect() as connection:
        kept = {row.sop_instance_uid: row for row in connection.execute(select(instances))}
        analysed = connection.execute(select(func.count(jobs.c.study_instance_uid.distinct()))).scalar_one()
        ours = set(connection.execute(select(results.c.sop_instance_uid)).scalars())
    engine.dispose()
    assert modality.acknowledged.keys() <= kept.keys()
    assert all(digest_of(home / "inbox" / kept[uid].path) == sha for uid, sha in modality.acknowledged.items())
    assert analysed == len(modality.acknowledged) // stand_in.SLICES
    assert set(pacs.arrivals) == ours
    assert {path.name for path in (home / "inbox").iterdir()} == {row.path for row in kept.values()}

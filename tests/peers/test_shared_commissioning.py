"""Two nodes on one PostgreSQL do the pieces of one commissioning: the passport is the same to the bit as by one alone.

The network is a tiny one with random weights; queue, store, files, processes and takeover are the real ones.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from inference.bundle.bundle import Bundle, load_bundle
from inference.cases.folder import source_of
from inference.commissioning.commission import commission
from inference.companions.companions import make_companions
from inference.companions.settings import CompanionSettings
from inference.errors import Misconfigured
from inference.passport.passport import Passport, sealed
from inference.porting.seal import seal
from node import workflow_store
from node.pieces.pool import nodes_as_pool, train_by_nodes
from node.settings.settings import load
from tests.inference.commissioning.annotated import SMALL, patients, write_labels
from tests.inference.companions.own_site import write_site
from tests.inference.conftest import write_bundle
from tests.node.running import RunningNode
from tests.patience import patient, wait_until
from tests.peers.postgresql import MISSING, postgresql

pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.skipif(MISSING, reason="PostgreSQL is not installed, or this is not root"),
]


@pytest.fixture
def tiny(tmp_path: Path) -> Bundle:
    torch.set_num_threads(1)
    folder = write_bundle(tmp_path / "shared" / "tiny")
    seal(folder)
    return load_bundle(folder)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[dict[str, RunningNode]]:
    with postgresql() as url:
        made = {}
        for name in ("first", "second"):
            node = RunningNode(tmp_path / name, destination_port=1, quiet_seconds=1.0)
            shared = f'database_url = "{url}"\nshared_folder = "{tmp_path / "files"}"\nslot = "{name}"'
            further = f'commissioning_folder = "{tmp_path / "shared"}"\nheartbeat_seconds = {patient(0.5)}'
            node.settings.write_text(node.settings.read_text().replace("[http]", f"{shared}\n{further}\n[http]"))
            made[name] = node
        try:
            yield made
        finally:
            for node in made.values():
                node.kill()


def compared(passport: Passport) -> str:
    """Return what must be the same: everything but how long it took."""
    return sealed(replace(passport, run=None)).digest


def test_two_nodes_of_which_one_is_killed_give_the_passport_of_one_process(
    tiny: Bundle, nodes: dict[str, RunningNode], tmp_path: Path
) -> None:
    data = write_labels(tmp_path / "shared" / "data", patients())
    alone = commission(tiny, source_of(data), SMALL, tmp_path / "alone").passport
    for node in nodes.values():
        node.start()
    settings = load(nodes["first"].settings).node
    killed: list[int] = []

    def kill_one(stage: str, done: int, _total: int) -> None:
        if stage.startswith("explaining") and done == 1 and not killed:
            nodes["first"].kill()
            killed.append(done)

    together = commission(
        tiny,
        source_of(data),
        SMALL,
        tmp_path / "shared" / "out",
        pool_of=lambda job: nodes_as_pool(settings, data, job),
        progress=kill_one,
    ).passport
    assert killed
    assert compared(together) == compared(alone)
    with workflow_store.client(settings) as client:
        done = client.list_workflows(queue_name="commissioning", status="SUCCESS", load_input=False)
    by = {workflow.executor_id for workflow in done}
    assert "second" in by, by


def test_a_folder_that_the_nodes_do_not_look_into_is_refused_with_the_cure(
    tiny: Bundle, nodes: dict[str, RunningNode], tmp_path: Path
) -> None:
    data = write_labels(tmp_path / "data", patients())
    settings = load(nodes["first"].settings).node
    with pytest.raises(Misconfigured, match=r"node\.commissioning_folder"):
        commission(
            tiny,
            source_of(data),
            SMALL,
            tmp_path / "elsewhere",
            pool_of=lambda job: nodes_as_pool(settings, data, job),
        )


def test_a_training_whose_node_is_killed_is_gone_on_with_by_the_other_and_ends_in_the_same_weights(
    nodes: dict[str, RunningNode], tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    folder = write_bundle(tmp_path / "shared" / "own")
    seal(folder)
    own = load_bundle(folder)
    data = write_site(tmp_path / "shared" / "data")
    asked = CompanionSettings(replicates=1, alternate="none", localiser="none", epochs=15, device="cpu")
    make_companions(own, source_of(data), asked, tmp_path / "alone")
    for node in nodes.values():
        node.start()
    settings = load(nodes["first"].settings).node
    killed: list[str] = []

    def kill_who_trains() -> None:
        wait_until(lambda: any((tmp_path / "shared").rglob("checkpoint.pt")), 120, "the first checkpoint")
        with workflow_store.client(settings) as client:
            (running,) = client.list_workflows(queue_name="commissioning", status="PENDING", load_input=False)
        nodes[str(running.executor_id)].kill()
        killed.append(str(running.executor_id))

    killer = threading.Thread(target=kill_who_trains)
    killer.start()
    train = partial(train_by_nodes, settings, data)
    make_companions(
        own, source_of(data), asked, tmp_path / "shared" / "new", checkpoint_seconds=0.0, train_elsewhere=train
    )
    killer.join()
    assert killed
    for weights in sorted((tmp_path / "alone" / "models").iterdir()):
        assert weights.read_bytes() == (tmp_path / "shared" / "new" / "models" / weights.name).read_bytes()

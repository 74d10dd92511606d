"""One listening node for each module, in this process: its threads and descriptors can be counted."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.raw_peer import echo_seconds
from tests.node.receiving.intake import Intake
from tests.patience import patient


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[Intake]:
    home = tmp_path_factory.mktemp("node")
    shutil.copy(migrated_store, home)
    intake = Intake(home)
    intake.listener.start()
    echo_seconds(intake.listener.port)  # what a first association opens for good is open before anything is counted
    yield intake
    assert echo_seconds(intake.listener.port) < patient(1)
    intake.close()


@pytest.fixture
def port(node: Intake) -> int:
    return node.listener.port

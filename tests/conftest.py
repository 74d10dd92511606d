"""One thread (unless more are asked for), a factor for time limits, the node's checkpoint, a store, an intake."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pynetdicom.association import Association
from sqlalchemy import Engine
from threadpoolctl import threadpool_limits

from node.associations.association import Checkpoint
from node.store import migrate, open_engine, sqlite_url
from tests.inference.conditions import THREADS
from tests.node.receiving.intake import Intake
from tests.patience import share_factor


def pytest_configure() -> None:
    """Measure before the workers are started: they inherit the factor."""
    share_factor()


@pytest.fixture(autouse=True, scope="session")
def few_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    with threadpool_limits(limits=THREADS, user_api="blas"):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def every_answer_reaches_its_request() -> Iterator[None]:
    """Yield the tests' own senders the node's checkpoint: pynetdicom's may take an answer away from its request."""
    original = Association.__init__

    def made(self: Association, *arguments: Any) -> None:
        original(self, *arguments)
        self._reactor_checkpoint = Checkpoint(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Association, "__init__", made)
        yield


@pytest.fixture
def few_removals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove a tenth of the pixels at a time instead of a hundredth: for tests that are not about fidelity."""
    from inference.commissioning.measuring import removal

    monkeypatch.setattr(removal, "removal", partial(removal.removal, step=0.1))


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, migrated once: the tests copy it."""
    folder = tmp_path_factory.mktemp("store")
    engine = open_engine(sqlite_url(folder))
    migrate(engine)
    engine.dispose()
    (path,) = folder.glob("*.sqlite")
    return path


@pytest.fixture
def engine(tmp_path: Path, migrated_store: Path) -> Iterator[Engine]:
    """The test's own copy of it."""
    shutil.copy(migrated_store, tmp_path)
    made = open_engine(sqlite_url(tmp_path))
    yield made
    made.dispose()


@pytest.fixture
def intake(tmp_path: Path, migrated_store: Path) -> Iterator[Intake]:
    """Not listening; what tests of the inbox and the studies need."""
    shutil.copy(migrated_store, tmp_path)
    made = Intake(tmp_path)
    yield made
    made.close()

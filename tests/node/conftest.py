"""An intake for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.store import migrate, open_engine, sqlite_url
from tests.node.receiving.intake import Intake


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
def intake(tmp_path: Path, migrated_store: Path) -> Iterator[Intake]:
    """Not listening; what tests of the inbox and the studies need."""
    shutil.copy(migrated_store, tmp_path)
    made = Intake(tmp_path)
    yield made
    made.close()


@pytest.fixture
def listening(intake: Intake) -> Intake:
    """Listening on a free port of loopback."""
    intake.listener.start()
    return intake

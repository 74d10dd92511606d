"""An intake for each test, and local time for those of hours."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.receiving.intake import Intake


@pytest.fixture
def local_time_is_utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


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

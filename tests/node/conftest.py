"""An intake that listens, and local time for tests of hours."""

import time
from collections.abc import Iterator

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
def listening(intake: Intake) -> Intake:
    """Listening on a free port of loopback."""
    intake.listener.start()
    return intake

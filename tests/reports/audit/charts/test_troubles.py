"""What goes wrong is seen, and in time."""

from pathlib import Path

import pytest

from node.settings.audit import AuditSettings
from reports.audit.repeatability.replay import Level
from tests.reports.audit.charts.troubles import (
    TROUBLES,
    Trouble,
    other_driver,
    other_weights,
    replays_of,
    seen_after,
    year_of,
)

HOURS = AuditSettings().replay_hours


def test_a_driver_that_alters_the_last_bits_is_told_by_the_next_replay_and_passes(tmp_path: Path) -> None:
    delay, level = replays_of(1, other_driver, tmp_path, hours=HOURS)
    assert 0 <= delay <= HOURS
    assert level is Level.R1


def test_other_weights_fail_the_next_replay(tmp_path: Path) -> None:
    delay, level = replays_of(1, other_weights, tmp_path, hours=HOURS)
    assert 0 <= delay <= HOURS
    assert level is Level.CHANGED


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: one.figure)
def test_what_goes_wrong_is_seen_within_about_the_designed_delay(trouble: Trouble) -> None:
    control = year_of(1, trouble.event)
    seen = seen_after(control)
    assert seen is not None
    assert seen[0] <= 2 * trouble.designed_days(control)

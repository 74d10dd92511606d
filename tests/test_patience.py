"""The one factor of all time limits."""

import pytest

from tests import patience
from tests.patience import REFERENCE_SECONDS, assert_stays, patient, slowness, wait_until


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without other work, whose factor nobody has measured."""
    monkeypatch.delenv(patience.VARIABLE, raising=False)
    monkeypatch.setattr(patience, "_measured", [])
    monkeypatch.setattr(patience, "piece_of_work", lambda: REFERENCE_SECONDS / 2)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))


@pytest.mark.parametrize(("times", "scale"), [(0.5, 1.0), (3.0, 3.0), (1000.0, 20.0)])
def test_limits_grow_with_the_time_the_work_takes_and_never_shrink(
    monkeypatch: pytest.MonkeyPatch, times: float, scale: float
) -> None:
    monkeypatch.setattr(patience, "piece_of_work", lambda: times * REFERENCE_SECONDS)
    assert patient(2.0) == pytest.approx(2.0 * scale)


def test_a_queue_for_every_core_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (30.0, 0.0, 0.0))
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert slowness() == 7.5


def test_what_was_measured_at_the_start_holds_when_the_machine_is_quick_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "piece_of_work", lambda: 4 * REFERENCE_SECONDS)
    monkeypatch.setenv(patience.VARIABLE, "1")  # so that the end of the test takes back what follows
    monkeypatch.delenv(patience.VARIABLE)
    patience.share_factor()
    monkeypatch.setattr(patience, "piece_of_work", lambda: REFERENCE_SECONDS)
    assert patient(1.0) == 4.0


def test_work_that_comes_later_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert patient(1.0) == 1.0
    monkeypatch.setattr(patience, "piece_of_work", lambda: 5 * REFERENCE_SECONDS)
    monkeypatch.setattr(patience, "AGAIN_SECONDS", 0.0)
    assert patient(1.0) == pytest.approx(5.0)


def test_a_condition_that_never_holds_ends_the_wait_by_its_name() -> None:
    with pytest.raises(AssertionError, match="the miracle did not happen"):
        wait_until(lambda: False, 0.01, "the miracle")


def test_a_condition_that_ceases_to_hold_is_named() -> None:
    answers = iter([True, True, False])
    with pytest.raises(AssertionError, match="the peace did not last"):
        assert_stays(lambda: next(answers), 5, "the peace")

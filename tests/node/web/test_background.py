"""Work in the background ends as done or failed, whatever it raises, and can then be started again."""

import threading
from collections.abc import Callable

import pytest

from inference.errors import Refused, Unavailable
from node.web.background import BackgroundTask, ReportProgress
from tests.patience import wait_until


def raising(error: Exception) -> Callable[[ReportProgress], int]:
    def work(report: ReportProgress) -> int:
        report(1)
        raise error

    return work


def starts(task: BackgroundTask[int]) -> bool:
    try:
        task.start(lambda _: 7, of=1, by_whom="Ada")
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize("error", [Refused("not now"), OSError("gone"), ZeroDivisionError("unexpected")])
def test_a_task_that_raises_ends_as_failed_and_can_be_started_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    task: BackgroundTask[int] = BackgroundTask("work")
    task.start(raising(error), of=2, by_whom="Ada")
    wait_until(lambda: task.progress.state != "running", 5, "the end of the task")
    failed = task.progress
    assert (failed.state, failed.done, failed.of, failed.result) == ("failed", 1, 2, None)
    assert failed.finished_at is not None
    wait_until(lambda: bool(died) == isinstance(error, ZeroDivisionError), 5, "the report of the unexpected error")
    wait_until(lambda: starts(task), 5, "the end of the first run's turn")
    wait_until(lambda: task.progress.state == "done", 5, "the second end")
    assert task.progress.result == 7


def test_a_second_start_is_refused_while_the_first_runs() -> None:
    going_on = threading.Event()
    task: BackgroundTask[bool] = BackgroundTask("work")
    task.start(lambda _: going_on.wait(), of=1, by_whom="Ada")
    with pytest.raises(Unavailable, match="already in progress"):
        task.start(lambda _: True, of=1, by_whom="Eve")
    going_on.set()
    wait_until(lambda: task.progress.state == "done", 5, "the end of the task")
    assert task.progress.by_whom == "Ada"

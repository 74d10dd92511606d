"""Threads that look for work rest while there is none, and are woken by it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from node.demo.ports import reserve_port
from node.store import deliveries, results
from node.waking import WorkBell
from tests.node.receiving.intake import Intake, arrival, mr_image
from tests.node.receiving.sending import Sender
from tests.patience import patient, wait_until

FOREVER_SECONDS = 3600.0


@pytest.fixture
def idle() -> WorkBell:
    """A bell that nobody rang for long, whose idle waits do not end by themselves."""
    bell = WorkBell(busy_seconds=FOREVER_SECONDS, idle_seconds=FOREVER_SECONDS)
    bell._busy_until_seconds = time.monotonic()
    return bell


def waits(bell: WorkBell, stopping: threading.Event, answers: list[bool]) -> threading.Thread:
    """Wait in a thread of its own, and note whether it is to stop."""
    thread = threading.Thread(target=lambda: answers.append(bell.wait(stopping, 0.01)), daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    thread.join(patient(20))
    return not thread.is_alive()


def test_an_idle_wait_ends_at_a_ring_and_goes_on(idle: WorkBell) -> None:
    answers: list[bool] = []
    thread = waits(idle, threading.Event(), answers)
    thread.join(0.1)
    assert thread.is_alive()
    idle.ring()
    assert ended(thread)
    assert answers == [False]


def test_after_a_ring_waits_are_as_short_as_asked_for(idle: WorkBell) -> None:
    idle.ring()
    assert ended(waits(idle, threading.Event(), []))


def test_an_idle_wait_ends_at_once_where_the_thread_is_to_stop(idle: WorkBell) -> None:
    answers: list[bool] = []
    stopping = threading.Event()
    thread = waits(idle, stopping, answers)
    stopping.set()
    idle.release()
    assert ended(thread)
    assert answers == [True]
    assert idle.wait(stopping, 0.0)


def test_a_wait_of_no_time_is_none_though_there_is_no_work(idle: WorkBell) -> None:
    assert not idle.wait(threading.Event(), 0.0)


@pytest.fixture
def asleep(idle: WorkBell, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have every thread of the node wait by a bell of the test; puts them to sleep again."""
    for module in ("node.workflow_store", "node.jobs.job", "node.delivery.delivery", "node.routing.router",
                   "node.studies.studies"):  # fmt: skip
        monkeypatch.setattr(f"{module}.WORK", idle)

    def sleep() -> None:
        idle._busy_until_seconds = time.monotonic()

    return sleep


def test_queued_work_begins_at_once_though_the_queues_would_not_look_for_an_hour(
    tmp_path: Path, asleep: Callable[[], None]
) -> None:
    destinations = [{"name": "away", "ae_title": "AWAY", "host": "127.0.0.1", "port": reserve_port()}]
    with Sender(tmp_path, destinations, port=reserve_port()) as sender:
        asleep()
        time.sleep(patient(3.0))  # the threads of the queues end their short waits, and fall asleep
        job_id = sender.consign("away")

        def attempts() -> int:
            with sender.engine.connect() as connection:
                of_job = select(func.max(deliveries.c.attempts)).join(results).where(results.c.job_id == job_id)
                return int(connection.execute(of_job).scalar_one())

        wait_until(lambda: attempts() > 0, 30, "the first attempt")


def test_an_image_that_arrives_wakes_the_router(
    intake: Intake, idle: WorkBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.studies.studies.WORK", idle)
    thread = waits(idle, threading.Event(), [])
    thread.join(0.1)
    assert thread.is_alive()
    intake.inbox.keep(arrival(mr_image()))
    assert ended(thread)

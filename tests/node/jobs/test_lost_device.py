"""A GPU that failed ends the node, in the log and the ledger, and leaves the job where it stood; others do not."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from dbos._dbos import _get_or_create_dbos_registry
from sqlalchemy import insert, select

from inference.errors import DeviceExhausted, DeviceLost
from node.jobs.job import Jobs
from node.jobs.job_row import Job
from node.jobs.lost_device import EX_TEMPFAIL
from node.jobs.steps import Steps
from node.settings.settings import Settings
from node.store import JobState, jobs, now
from reports.audit.ledger import Event
from tests.node.receiving.intake import Intake

JOB = "a" * 64
OPTIONS = {"method": None, "planes_explained": 1, "destinations": []}


class OnAFailingCard(Steps):
    """Steps whose classification ends in an error."""

    error: Exception = RuntimeError()

    def classify(self, _job: Job) -> None:
        raise self.error


@pytest.fixture
def working(intake: Intake) -> Iterator[tuple[Jobs, OnAFailingCard, list[int]]]:
    """Jobs of one node, its steps, and the statuses by which it wanted to end."""
    ended: list[int] = []
    settings = Settings.model_validate({"node": {"home": intake.home}, "http": {"token_file": intake.home / "token"}})
    steps = OnAFailingCard(settings, intake.engine, intake.home, {}, {}, intake.ledger)
    work = Jobs(steps, intake.engine, intake.ledger, cast("Any", None), intake.metrics, end=ended.append)
    row = {
        "id": JOB,
        "study_instance_uid": "1.2.3",
        "route": "all",
        "bundle": "none",
        "options": OPTIONS,
        "created_at": now(),
    }
    with intake.engine.begin() as connection:
        connection.execute(insert(jobs).values(**row, state=JobState.QUEUED))
    yield work, steps, ended
    registered = _get_or_create_dbos_registry().instance_info_map
    for name in [name for name, instance in registered.items() if instance is work]:
        del registered[name]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered"),
        DeviceLost("The device failed."),
    ],
)
def test_a_lost_gpu_ends_the_node_and_the_job_stays_unfinished(working, intake: Intake, error: Exception) -> None:
    work, steps, ended = working
    steps.error = error
    work.attempt("classify", JOB)
    assert ended == [EX_TEMPFAIL]
    with intake.engine.connect() as connection:
        assert connection.execute(select(jobs.c.state)).scalar_one() == JobState.RUNNING
    (alarm,) = [entry for entry in intake.ledger.events() if entry.event == Event.ALARM]
    assert "the classify step of job aaaaaaaaaaaa" in alarm.details["problem"]


@pytest.mark.parametrize(
    "error", [DeviceExhausted("Out of memory with a batch of one."), RuntimeError("mat1 and mat2 do not fit")]
)
def test_any_other_error_ends_the_study_with_a_reason_and_not_the_node(working, error: Exception) -> None:
    work, steps, ended = working
    steps.error = error
    ending = work.attempt("classify", JOB)
    assert ending["state"] == JobState.FAILED
    assert "classify step failed" in ending["reason"]
    assert not ended

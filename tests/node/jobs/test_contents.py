"""A study that changes while its job waits: the job analyses what was decided about, and nothing else."""

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete

from inference.errors import Unavailable
from inference.reading.account import StudyReading
from inference.selection import StudySelection
from node.jobs import steps as module
from node.jobs.step_files import StepFiles
from node.jobs.steps import Steps
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.settings import Settings
from node.store import StudyState, instances
from tests.node.receiving.intake import Intake, arrival, mr_image
from tests.node.routing.test_routing import STUDY, Office, rule


@pytest.fixture
def office(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A study of one image, with a job that waits."""
    made = Office(intake, monkeypatch, rule())
    made.send()
    made.wait(10)
    return made


@pytest.fixture
def steps(intake: Intake) -> Steps:
    settings = Settings(
        node=NodeSettings(home=intake.home), http=HttpSettings(token_file=intake.home / "token"), rules=(rule(),)
    )
    accepting: Any = SimpleNamespace()
    return Steps(settings, intake.engine, intake.home, {"b": accepting}, {}, intake.ledger)


def test_a_job_reads_what_its_decision_saw_and_a_late_image_belongs_to_the_next(
    intake: Intake, office: Office, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    selection = StudySelection(StudyReading(("image",), ()), ())  # type: ignore[arg-type]
    monkeypatch.setattr(module, "account_for", lambda paths, *_, **__: read.append(len(paths)) or selection)
    monkeypatch.setattr(StepFiles, "keep", lambda *_: None)
    (waiting,) = office.jobs()
    office.send()
    assert office.study().state == StudyState.RECEIVING
    steps.read(steps.job(waiting.id))
    office.wait(10)
    first, second = office.jobs()
    for job in (second, first):
        steps.read(steps.job(job.id))
    assert (first.id, read) == (waiting.id, [1, 2, 1])


def test_an_image_that_is_gone_before_its_job_reads_it_is_said_and_not_passed_over(
    intake: Intake, office: Office, steps: Steps
) -> None:
    with intake.engine.begin() as connection:
        connection.execute(delete(instances))
    intake.inbox.keep(arrival(mr_image(STUDY)))
    (job,) = office.jobs()
    with pytest.raises(Unavailable, match="Of the 1 images this was decided with only 0 are here"):
        steps.read(steps.job(job.id))

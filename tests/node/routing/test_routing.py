"""From complete studies to jobs, without a model and without workflows: what is decided, and written down."""

from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from node.routing import router as module
from node.routing.router import Router
from node.routing.rulebook import Rulebook
from node.settings.audit import RouteState
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.rule import Clause, Rule
from node.settings.settings import Settings
from node.store import StudyState, jobs, studies
from node.studies.completeness import Completeness
from node.studies.counting import Counting
from node.studies.instance import Instance
from node.studies.performed_steps import PerformedSteps
from tests.node.receiving.intake import Intake, arrival, mr_image

STUDY = generate_uid()


class Started:
    """In place of the workflows."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def enqueue(self, job_id: str) -> None:
        self.ids.append(job_id)

    def mend(self) -> None:
        pass


class Office:
    """A router on an intake, ticked by hand on a monotonic clock that the test sets."""

    def __init__(self, intake: Intake, monkeypatch: pytest.MonkeyPatch, *rules: Rule) -> None:
        settings = Settings(
            node=NodeSettings(home=intake.home),
            http=HttpSettings(token_file=intake.home / "token"),
            rules=rules,
        )
        model: Any = SimpleNamespace(manifest=SimpleNamespace(method="gradcam"), identity=SimpleNamespace(digest="ab"))
        rulebook = Rulebook(settings, {"b": model}, {}, intake.ledger)
        completeness = Completeness(
            settings,
            intake.studies,
            PerformedSteps(intake.engine),
            Counting(settings, intake.engine),
            lambda: rulebook.rules,
        )
        arming: Any = SimpleNamespace(standing=lambda _: SimpleNamespace(state=RouteState.ARMED, reason=""))
        self._intake = intake
        self.started: Any = Started()
        self.router = Router(rulebook, intake.engine, intake.ledger, intake.studies, completeness, self.started, arming)
        self._seconds = 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self._seconds))

    def send(self, **options: Any) -> None:
        self._intake.inbox.keep(arrival(mr_image(STUDY, **options)))

    def wait(self, seconds: float) -> None:
        self.router.tick()
        self._seconds += seconds
        self.router.tick()

    def study(self) -> Any:
        with self._intake.engine.connect() as connection:
            return connection.execute(select(studies)).one()

    def jobs(self) -> list[Any]:
        with self._intake.engine.connect() as connection:
            return list(connection.execute(select(jobs).order_by(jobs.c.generation)))


def rule(name: str = "mr", modality: str = "MR", **more: Any) -> Rule:
    when = (Clause(attribute="Modality", equals=modality),)
    return Rule(name=name, when=when, bundles=("b",), destinations=(), **more)


def test_a_complete_study_gets_a_job_and_the_answer_of_every_rule(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule("ct", "CT"), rule("mr"))
    office.send()
    office.wait(9.9)
    assert office.started.ids == []
    office.wait(0.1)
    (job,) = office.jobs()
    assert office.started.ids == [job.id]
    assert (job.bundle, job.generation, job.missing) == ("b", 1, None)
    study = office.study()
    assert (study.state, study.route, study.proof) == (StudyState.ROUTED, "mr", "no image for 10 s (quiet time)")
    assert [(answer["name"], answer["held"]) for answer in study.answers] == [("ct", False), ("mr", True)]


def test_a_late_image_gives_a_job_of_the_next_generation_and_a_resend_none(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule())
    first = arrival(mr_image(STUDY))
    intake.inbox.keep(first)
    office.wait(10)
    office.send()
    office.wait(10)
    intake.inbox.keep(first)
    office.wait(10)
    assert [job.generation for job in office.jobs()] == [1, 2]
    assert len(set(office.started.ids)) == 2


def test_what_is_missing_is_written_into_the_job_and_the_ledger(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule(expected_series=("flair", "t1")))
    office.send()
    office.wait(899)
    assert office.jobs() == []
    office.wait(1)
    (job,) = office.jobs()
    assert job.missing == "a series that matches 't1'"
    (event,) = intake.ledger.events(STUDY)
    assert event.details["problem"] == "missing: a series that matches 't1'"


def test_an_image_that_comes_between_completion_and_decision_takes_the_decision_back(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule())
    office.send()
    original = intake.studies.instances_of

    def disturbed(uid: str) -> tuple[Instance, ...]:
        kept = original(uid)
        office.send()
        return kept

    monkeypatch.setattr(intake.studies, "instances_of", disturbed)
    office.wait(10)
    assert office.jobs() == []
    monkeypatch.setattr(intake.studies, "instances_of", original)
    office.wait(10)
    (job,) = office.jobs()
    assert office.started.ids == [job.id]


def test_a_store_that_is_away_for_a_moment_does_not_end_the_router(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule())
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 1:
            raise OperationalError("SELECT", {}, Exception("database is locked"))
        office.router._stopping.set()

    monkeypatch.setattr(module, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(office.router, "tick", tick)
    office.router.run()
    assert len(ticks) == 2

"""From complete studies to jobs, without a model and without workflows: what is decided, and written down."""

from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from node.routing import router as module
from node.routing.decisions import Decisions
from node.routing.router import Router
from node.routing.rulebook import Rulebook
from node.settings.audit import RouteState
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.rule import Clause, Rule
from node.settings.settings import Settings
from node.store import StudyState, jobs, studies
from node.studies import studies as studies_module
from node.studies.attempts import MOST_ATTEMPTS, Attempts
from node.studies.completeness import Completeness
from node.studies.counting import Counting
from node.studies.instance import Instance
from node.studies.performed_steps import PerformedSteps
from tests.node.receiving.intake import Intake, arrival, mr_image

STUDY, OTHER = generate_uid(), generate_uid()


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
        attempts, counting = Attempts(intake.engine), Counting(settings, intake.engine)
        steps = PerformedSteps(intake.engine)
        completeness = Completeness(settings, intake.studies, steps, counting, lambda: rulebook.rules, attempts)
        arming: Any = SimpleNamespace(standing=lambda _: SimpleNamespace(state=RouteState.ARMED, reason=""))
        self._intake = intake
        self.started: Any = Started()
        decisions = Decisions(rulebook, intake.engine, intake.ledger, intake.studies, arming)
        self.router = Router(rulebook, intake.engine, intake.studies, completeness, decisions, self.started, attempts)
        self._seconds = 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self._seconds))

    def send(self, **options: Any) -> None:
        self._intake.inbox.keep(arrival(mr_image(STUDY, **options)))

    def wait(self, seconds: float) -> None:
        self.router.tick()
        self.pass_seconds(seconds)
        self.router.tick()

    def pass_seconds(self, seconds: float) -> None:
        self._seconds += seconds

    def study(self) -> Any:
        with self._intake.engine.connect() as connection:
            return connection.execute(select(studies).where(studies.c.study_instance_uid == STUDY)).one()

    def states(self) -> dict[str, str]:
        with self._intake.engine.connect() as connection:
            return {row.study_instance_uid: row.state for row in connection.execute(select(studies))}

    def jobs(self) -> list[Any]:
        with self._intake.engine.connect() as connection:
            of_study = select(jobs).where(jobs.c.study_instance_uid == STUDY)
            return list(connection.execute(of_study.order_by(jobs.c.generation)))


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


def test_a_corrected_patient_id_gives_another_job_and_one_that_is_half_corrected_says_so(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule())
    images = [mr_image(STUDY), mr_image(STUDY)]
    for image in images:
        intake.inbox.keep(arrival(image))
    office.wait(10)
    for image in images:
        image.PatientID = "RIGHT-ID"
    intake.inbox.keep(arrival(images[0]))
    office.wait(899)
    assert len(office.jobs()) == 1
    office.wait(1)
    intake.inbox.keep(arrival(images[1]))
    office.wait(10)
    _, half, whole = office.jobs()
    assert half.missing == "the corrected Patient ID (0010,0020) in 1 of 2 instances: the study is half corrected"
    assert whole.missing is None
    assert len(set(office.started.ids)) == 3


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


class Killed(BaseException):
    """In place of the end of the process: nothing after it runs."""


def fail(office: Office, monkeypatch: pytest.MonkeyPatch, error: BaseException, *, bad: str = STUDY) -> list[str]:
    """Have the headers of one study raise; give the list of the studies whose headers are asked for."""
    asked: list[str] = []
    studies_here = office.router._studies
    original = type(studies_here).series_headers

    def headers(uid: str) -> Any:
        asked.append(uid)
        if uid == bad:
            raise error
        return original(studies_here, uid)

    monkeypatch.setattr(studies_here, "series_headers", headers)
    return asked


def test_a_study_that_cannot_be_decided_is_set_aside_with_the_reason_and_stops_no_other(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule())
    office.send()
    asked = fail(office, monkeypatch, ZeroDivisionError("of one study"))
    intake.inbox.keep(arrival(mr_image(OTHER)))
    office.wait(10)
    assert office.states()[OTHER] == StudyState.ROUTED
    for _ in range(5):
        office.wait(1)
    assert asked.count(STUDY) == MOST_ATTEMPTS
    study = office.study()
    reason = f"Deciding about this study failed {MOST_ATTEMPTS} times (ZeroDivisionError); see the node's log."
    assert (study.state, study.reason, study.route) == (StudyState.SET_ASIDE, reason, None)
    (job,) = office.jobs()
    assert (job.bundle, job.reason) == ("", reason)
    (event,) = intake.ledger.events(STUDY)
    assert (event.event, event.details["problem"]) == ("set aside, could not be decided", reason)


def test_an_attempt_that_ends_the_process_is_counted_and_the_next_node_sets_the_study_aside(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule())
    office.send()
    asked = fail(office, monkeypatch, Killed())
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(Killed):
            office.wait(10)
        office = Office(intake, monkeypatch, rule())
    office.wait(10)
    assert len(asked) == MOST_ATTEMPTS
    study = office.study()
    assert study.state == StudyState.SET_ASIDE
    assert study.reason.startswith(f"The node ended {MOST_ATTEMPTS} times while it routed")
    assert office.started.ids == [job.id for job in office.jobs()]


def test_a_study_that_ends_the_process_while_its_completeness_is_judged_is_set_aside_too(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    expecting = rule(expected_series=("flair",))
    office = Office(intake, monkeypatch, expecting)
    office.send()
    asked = fail(office, monkeypatch, Killed())
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(Killed):
            office.wait(10)
        assert office.study().state == StudyState.RECEIVING
        office = Office(intake, monkeypatch, expecting)
    office.wait(10)
    assert len(asked) == MOST_ATTEMPTS
    assert office.study().state == StudyState.SET_ASIDE


def test_a_study_that_cannot_be_judged_complete_is_decided_after_its_quiet_time(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule(expected_series=("flair",)))
    office.send()
    with monkeypatch.context() as patch:
        fail(office, patch, ZeroDivisionError())
        office.wait(10)
    office.wait(1)
    study = office.study()
    assert (study.state, study.missing) == (
        StudyState.ROUTED,
        "whether all of it is here could not be judged (ZeroDivisionError)",
    )


def test_a_study_of_too_many_series_is_set_aside_at_once(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies_module, "MOST_SERIES", 1)
    office = Office(intake, monkeypatch, rule())
    office.send()
    office.send()
    office.wait(10)
    study = office.study()
    assert (study.state, study.reason) == (
        StudyState.SET_ASIDE,
        "The study has 2 series, where 1 are the limit.",
    )


def test_a_store_that_is_away_while_a_study_is_decided_counts_for_nothing(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, rule())
    office.send()
    with monkeypatch.context() as patch:
        fail(office, patch, OperationalError("SELECT", {}, Exception("database is locked")))
        office.router.tick()
        office.pass_seconds(10)
        for _ in range(2 * MOST_ATTEMPTS):
            with pytest.raises(OperationalError):
                office.router.tick()
    office.router.tick()
    assert office.study().state == StudyState.ROUTED


@pytest.mark.parametrize("cause", ["retry", "late image"])
def test_a_study_set_aside_is_decided_again_when_somebody_asks_or_an_image_comes(
    intake: Intake, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    office = Office(intake, monkeypatch, rule())
    office.send()
    attempts = Attempts(intake.engine)
    assert not attempts.retry(STUDY)
    with monkeypatch.context() as patch:
        fail(office, patch, ZeroDivisionError())
        office.wait(10)
        office.wait(1)
    assert office.study().state == StudyState.SET_ASIDE
    if cause == "retry":
        assert attempts.retry(STUDY)
    else:
        office.send()
    office.wait(10)
    study = office.study()
    assert (study.state, study.route, study.attempts) == (StudyState.ROUTED, "mr", 0)
    assert [job.bundle for job in office.jobs()] == ["", "b"]

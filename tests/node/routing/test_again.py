"""Analyse again: a later decision about a study, by the rules in force or by one that is named."""

from typing import Any

import pytest
from sqlalchemy import update

from inference.errors import Refused, UnknownName
from node.routing.again import Reanalysis
from node.settings.rule import Rule
from node.store import JobState, StudyState, jobs, studies
from reports.audit.ledger import Event
from tests.node.receiving.intake import Intake
from tests.node.routing.test_routing import STUDY, Office, rule


class AnsweredOffice(Office):
    """An office with one study that has been decided about, and whose jobs have ended."""

    def __init__(self, intake: Intake, monkeypatch: pytest.MonkeyPatch, *rules: Rule) -> None:
        super().__init__(intake, monkeypatch, *rules)
        self._engine = intake.engine
        self.again = Reanalysis(intake.engine, intake.ledger, self.rulebook)
        self.send()
        self.wait(10)
        self.end_jobs()

    @property
    def rulebook(self) -> Any:
        return self.router._rulebook

    def put_into_force(self, *rules: Rule) -> None:
        self.rulebook.settings = self.rulebook.settings.model_copy(update={"rules": rules})

    def end_jobs(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(jobs).values(state=JobState.DONE))

    def ask(self, **options: Any) -> None:
        self.again.ask(STUDY, "ada", **options)
        self.router.tick()


def test_a_study_that_matched_no_rule_is_analysed_after_the_rule_was_corrected(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = AnsweredOffice(intake, monkeypatch, rule("ct", "CT"))
    assert office.study().state == StudyState.NOT_ROUTED
    assert list(office.again.routable()) == []
    office.put_into_force(rule("ct", "CT"), rule("mr"))
    (listed,) = office.again.routable()
    assert (listed.study_instance_uid, listed.route) == (STUDY, "mr")
    office.ask()
    assert (office.study().state, office.study().route) == (StudyState.ROUTED, "mr")
    assert [(job.bundle, job.generation) for job in office.jobs()] == [("", 1), ("b", 2)]
    assert list(office.again.routable()) == []
    told = [entry for entry in intake.ledger.events() if entry.event == Event.DECIDED_AGAIN]
    assert [entry.details["by_whom"] for entry in told] == ["ada"]


def test_each_time_it_is_asked_for_is_a_job_of_the_next_generation(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = AnsweredOffice(intake, monkeypatch, rule())
    for _ in range(2):
        office.ask()
        office.end_jobs()
    assert [job.generation for job in office.jobs()] == [1, 2, 3]
    assert len(set(office.started.ids)) == 3
    assert len({job.options["content"] for job in office.jobs()}) == 1


def test_a_study_in_progress_is_refused_and_stays_as_it_is(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    office = AnsweredOffice(intake, monkeypatch, rule())
    office.ask()
    with pytest.raises(Refused, match="in progress"):
        office.ask()
    assert [job.generation for job in office.jobs()] == [1, 2]
    with intake.engine.begin() as connection:
        connection.execute(update(studies).values(state=StudyState.RECEIVING))
    office.end_jobs()
    with pytest.raises(Refused):
        office.ask()


def test_a_study_whose_images_are_gone_is_refused_and_keeps_its_results(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = AnsweredOffice(intake, monkeypatch, rule())
    intake.files()[0].unlink()
    with pytest.raises(Refused, match="no longer here"):
        office.ask()
    assert [job.generation for job in office.jobs()] == [1]


def test_a_rule_asked_for_by_name_is_taken_whatever_its_conditions_until_an_image_arrives(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = AnsweredOffice(intake, monkeypatch, rule("ct", "CT"))
    office.ask(route="ct")
    study = office.study()
    assert (study.state, study.route) == (StudyState.ROUTED, "ct")
    assert study.reason == "rule 'ct' was asked for by name, whatever its conditions"
    office.end_jobs()
    office.send()
    office.wait(10)
    assert office.study().state == StudyState.NOT_ROUTED
    with pytest.raises(UnknownName):
        office.ask(route="none")

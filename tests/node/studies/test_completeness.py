"""A study is closed by proof, else by quiet time, else after the longest wait: never lost, never stuck."""

from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import select, update

from inference.errors import DeliveryFailed
from node.receiving.inbox import Outcome
from node.routing.rulebook import Rulebook
from node.settings.completeness import Ask, CompletenessSettings
from node.settings.destination import Destination
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.rule import Clause, Rule
from node.settings.settings import Settings
from node.store import StudyState, insert_new, now, performed_steps, studies
from node.studies import counting
from node.studies.attempts import Attempts
from node.studies.completeness import Completeness
from node.studies.counting import Counting
from node.studies.performed_steps import PerformedSteps
from tests.node.receiving.intake import Intake, arrival, mr_image

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
STUDY = generate_uid()


class Watch:
    """Completeness on an intake, and a monotonic clock that the test sets."""

    def __init__(self, intake: Intake, *, rules: tuple[Rule, ...] = (), ask: bool = False) -> None:
        pacs = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104)
        settings = Settings(
            node=NodeSettings(home=intake.home, quiet_seconds=10.0),
            http=HttpSettings(token_file=intake.home / "token"),
            destinations=(pacs,),
            rules=rules,
            completeness=CompletenessSettings(
                performed_steps=True,
                longest_wait_seconds=100.0,
                ask=(Ask(sender="SENDER", destination="pacs"),) if ask else (),
            ),
        )
        self.intake = intake
        self.counting = Counting(settings, intake.engine)
        rulebook = Rulebook(settings, {}, {}, intake.ledger)
        steps, attempts = PerformedSteps(intake.engine), Attempts(intake.engine)
        self._watch = Completeness(settings, intake.studies, steps, self.counting, lambda: rulebook.rules, attempts)

    def at(self, seconds: float, *, clock: datetime = NOON) -> tuple[str, ...]:
        """Judge at this second of the monotonic clock; give the studies that wait for a decision."""
        return tuple(study.study_instance_uid for study in self._watch.close(clock, seconds=seconds))


@pytest.fixture
def watch(intake: Intake) -> Watch:
    return Watch(intake)


def send(intake: Intake, *, study: str = STUDY, count: int = 1, **options: Any) -> list[Dataset]:
    images = [mr_image(study, **options) for _ in range(count)]
    for image in images:
        intake.inbox.keep(arrival(image))
    return images


def said(intake: Intake, study: str = STUDY) -> tuple[str, str | None, str | None]:
    with intake.engine.connect() as connection:
        row = connection.execute(select(studies).where(studies.c.study_instance_uid == study)).one()
    return row.state, row.proof, row.missing


def perform(intake: Intake, state: str, instances: list[Dataset], *, absent: int = 0) -> None:
    uids = [str(image.SOPInstanceUID) for image in instances] + [generate_uid() for _ in range(absent)]
    row = {
        "sop_instance_uid": generate_uid(), "study_instance_uid": STUDY, "state": state, "calling_ae_title": "MODALITY",
        "instances": uids, "updated_at": now(),
    }  # fmt: skip
    with intake.engine.begin() as connection:
        insert_new(connection, performed_steps, [row])


def test_a_study_is_complete_only_after_it_was_quiet_for_long_enough(watch: Watch) -> None:
    send(watch.intake)
    assert watch.at(0) == ()
    send(watch.intake)
    assert watch.at(8) == ()
    assert watch.at(17.9) == ()
    assert said(watch.intake)[0] == StudyState.RECEIVING
    assert watch.at(18) == (STUDY,)
    assert said(watch.intake) == (StudyState.COMPLETE, "no image for 10 s (quiet time)", None)


def test_each_study_is_closed_by_its_own_quiet_time(watch: Watch) -> None:
    other = generate_uid()
    send(watch.intake)
    watch.at(0)
    send(watch.intake, study=other)
    watch.at(5)
    assert watch.at(12) == (STUDY,)
    assert set(watch.at(15)) == {STUDY, other}


@pytest.mark.parametrize("days", [-1, 1, -4000, 4000])
def test_a_clock_that_jumps_neither_closes_a_study_early_nor_leaves_it_lying(watch: Watch, days: int) -> None:
    send(watch.intake)
    assert watch.at(0) == ()
    assert watch.at(5, clock=NOON + timedelta(days=days)) == ()
    assert watch.at(10, clock=NOON) == (STUDY,)


def test_an_image_from_a_clock_of_tomorrow_does_not_hold_its_study_back(watch: Watch) -> None:
    image = arrival(mr_image(STUDY))
    watch.intake.inbox.keep(type(image)(**{**vars(image), "received_at": now() + timedelta(days=1)}))
    watch.at(0)
    assert watch.at(10) == (STUDY,)


def test_after_a_restart_the_quiet_time_begins_anew_and_ends(intake: Intake) -> None:
    send(intake)
    Watch(intake).at(0)
    again = Watch(intake)
    assert again.at(1000) == ()
    assert again.at(1010) == (STUDY,)


def test_what_the_modality_completed_is_complete_at_once(watch: Watch) -> None:
    images = send(watch.intake, count=3)
    perform(watch.intake, "COMPLETED", images)
    assert watch.at(0) == (STUDY,)
    assert said(watch.intake) == (StudyState.COMPLETE, "MPPS COMPLETED: all 3 instances it lists are here", None)


def test_a_discontinued_step_is_complete_too_and_says_so(watch: Watch) -> None:
    perform(watch.intake, "DISCONTINUED", send(watch.intake, count=2))
    assert watch.at(0) == (STUDY,)
    _, proof, missing = said(watch.intake)
    assert proof == "MPPS DISCONTINUED: all 2 instances it lists are here"
    assert missing == "the modality discontinued the procedure step (MPPS)"


def test_a_step_in_progress_holds_the_study_until_the_longest_wait(watch: Watch) -> None:
    perform(watch.intake, "IN PROGRESS", send(watch.intake))
    assert watch.at(0) == watch.at(10) == watch.at(99) == ()
    assert watch.at(100) == (STUDY,)
    assert said(watch.intake) == (
        StudyState.COMPLETE,
        "no image for 100 s (longest wait)",
        "a performed procedure step is still in progress (MPPS)",
    )


def test_what_a_completed_step_lists_is_waited_for_and_then_named(watch: Watch) -> None:
    perform(watch.intake, "COMPLETED", send(watch.intake, count=2), absent=3)
    watch.at(0)
    assert watch.at(99) == ()
    assert watch.at(100) == (STUDY,)
    assert said(watch.intake)[2] == "3 of 5 instances that MPPS lists"


def test_a_step_that_lists_nothing_proves_nothing_and_holds_nothing(watch: Watch) -> None:
    perform(watch.intake, "COMPLETED", [])
    send(watch.intake)
    assert watch.at(0) == ()
    assert watch.at(10) == (STUDY,)
    assert said(watch.intake)[1] == "no image for 10 s (quiet time); MPPS COMPLETED lists no instance"


class StandInAnswers:
    """In place of the network: what the sender would answer to each question."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
        self.asked = 0
        self.answer: dict[str, int] | Exception = {}
        monkeypatch.setattr(watch.counting, "_requests", self)

    def submit(self, question: Any) -> Future[dict[str, int]]:
        assert question.func is counting.count
        self.asked += 1
        future: Future[dict[str, int]] = Future()
        if isinstance(self.answer, Exception):
            future.set_exception(self.answer)
        else:
            future.set_result(self.answer)
        return future


@pytest.fixture
def asking(intake: Intake) -> Watch:
    return Watch(intake, ask=True)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, asking: Watch) -> StandInAnswers:
    return StandInAnswers(monkeypatch, asking)


def test_the_sender_is_asked_once_the_study_is_quiet_and_its_count_is_the_proof(
    asking: Watch, answers: StandInAnswers
) -> None:
    send(asking.intake, count=3, series="1.2.1")
    answers.answer = {"1.2.1": 3}
    assert asking.at(0) == ()
    assert answers.asked == 0
    assert asking.at(10) == (STUDY,)
    assert said(asking.intake) == (
        StudyState.COMPLETE,
        "no image for 10 s (quiet time); all 3 images that SENDER counts are here (C-FIND)",
        None,
    )


def test_images_the_sender_still_has_are_waited_for_and_asked_about_again(
    asking: Watch, answers: StandInAnswers
) -> None:
    send(asking.intake, count=3, series="1.2.1")
    answers.answer = {"1.2.1": 4, "1.2.2": 20}
    asking.at(0)
    assert asking.at(10) == asking.at(20) == ()
    assert answers.asked == 1
    send(asking.intake, series="1.2.1")
    answers.answer = {"1.2.1": 4}
    assert asking.at(30) == ()
    assert asking.at(40) == (STUDY,)
    assert answers.asked == 2


def test_a_count_that_is_not_reached_is_named_after_the_longest_wait(asking: Watch, answers: StandInAnswers) -> None:
    send(asking.intake, count=3, series="1.2.1")
    answers.answer = {"1.2.1": 4, "1.2.2": 20}
    asking.at(0)
    for seconds in range(1, 100):
        assert asking.at(seconds) == ()
    assert answers.asked == 3
    assert asking.at(100) == (STUDY,)
    assert said(asking.intake)[2] == "21 of 24 images that SENDER counts"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            DeliveryFailed("No association with pacs (PACS at 10.0.0.1:104)."),
            "a count of the images: SENDER could not say how many there are",
        ),
        ({}, "a count of the images: SENDER does not know the study"),
    ],
)
def test_a_sender_that_cannot_say_holds_a_study_no_longer_than_the_longest_wait(
    asking: Watch, answers: StandInAnswers, answer: Any, told: str
) -> None:
    send(asking.intake)
    answers.answer = answer
    asking.at(0)
    assert asking.at(99) == ()
    assert asking.at(100) == (STUDY,)
    assert said(asking.intake)[2] == told


def test_expected_series_are_waited_for_and_named(intake: Intake) -> None:
    when = (Clause(attribute="Modality", equals="MR"),)
    rule = Rule(name="tumour", when=when, bundles=("b",), destinations=(), expected_series=("flair", "t1.*ce"))
    watch = Watch(intake, rules=(rule,))
    send(intake)
    watch.at(0)
    assert watch.at(99) == ()
    assert watch.at(100) == (STUDY,)
    assert said(intake)[2] == "a series that matches 't1.*ce'"
    late = mr_image(STUDY)
    late.SeriesDescription = "Ax T1 CE"
    with intake.engine.begin() as connection:
        connection.execute(update(studies).values(state=StudyState.ROUTED))
    intake.inbox.keep(arrival(late))
    assert watch.at(200) == ()
    assert watch.at(210) == (STUDY,)
    assert said(intake)[1:] == ("no image for 10 s (quiet time); the 2 series that rule 'tumour' expects", None)


def correct(intake: Intake, images: list[Dataset]) -> None:
    for image in images:
        image.PatientID = "RIGHT-ID"
        assert intake.inbox.keep(arrival(image)).outcome is Outcome.CORRECTED


def test_a_study_waits_until_every_instance_carries_the_corrected_patient_id(watch: Watch) -> None:
    images = send(watch.intake, count=3, series="1.2.3")
    assert watch.at(0.0) == ()
    assert watch.at(10.0) == (STUDY,)
    correct(watch.intake, images[:2])
    assert watch.at(20.0) == watch.at(30.0) == watch.at(60.0) == ()
    correct(watch.intake, images[2:])
    assert watch.at(70.0) == ()
    assert watch.at(80.0) == (STUDY,)
    _, proof, missing = said(watch.intake)
    assert missing is None
    assert "all 3 instances carry the corrected Patient ID" in str(proof)


def test_a_study_that_stays_half_corrected_is_closed_after_the_longest_wait_and_says_so(watch: Watch) -> None:
    images = send(watch.intake, count=3, series="1.2.3")
    correct(watch.intake, images[:2])
    assert watch.at(0.0) == watch.at(99.0) == ()
    assert watch.at(100.0) == (STUDY,)
    assert said(watch.intake)[2] == (
        "the corrected Patient ID (0010,0020) in 1 of 3 instances: the study is half corrected"
    )


def test_mpps_does_not_close_a_study_that_is_half_corrected(watch: Watch) -> None:
    images = send(watch.intake, count=2, series="1.2.3")
    perform(watch.intake, "COMPLETED", images)
    correct(watch.intake, images[:1])
    assert watch.at(0.0) == watch.at(11.0) == ()
    correct(watch.intake, images[1:])
    assert watch.at(12.0) == (STUDY,)


def test_a_late_image_with_the_former_patient_id_makes_the_study_half_corrected(watch: Watch) -> None:
    correct(watch.intake, send(watch.intake, series="1.2.3"))
    assert watch.at(0.0) == ()
    assert watch.at(10.0) == (STUDY,)
    send(watch.intake)
    assert watch.at(20.0) == watch.at(40.0) == ()
    assert watch.at(120.0) == (STUDY,)
    assert "1 of 2 instances" in str(said(watch.intake)[2])

from datetime import UTC, datetime, timedelta

from pydicom.uid import generate_uid
from sqlalchemy import select, update

from node.instance import Arrival
from node.store import StudyState, studies
from node.studies import Studies

from .intake import Intake, arrival, mr_image

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
STUDY = generate_uid()


def sent(seconds: float, *, study: str = STUDY, seed: int = 0) -> Arrival:
    image = arrival(mr_image(study, seed=seed))
    return Arrival(**{**vars(image), "received_at": NOON + timedelta(seconds=seconds)})


def state(intake: Intake, study: str = STUDY) -> tuple[str, str | None]:
    with intake.engine.connect() as connection:
        row = connection.execute(select(studies).where(studies.c.study_instance_uid == study)).one()
    return row.state, row.proof


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_study_is_complete_only_after_it_was_quiet_for_long_enough(intake: Intake) -> None:
    intake.inbox.keep(sent(0))
    intake.inbox.keep(sent(8))
    assert intake.studies.completed(at(17.9)) == ()
    assert state(intake) == (StudyState.RECEIVING, None)
    assert intake.studies.completed(at(18)) == (STUDY,)
    assert state(intake) == (StudyState.COMPLETE, "no image for 10 s (quiet time)")


def test_a_complete_study_is_given_until_it_was_decided(intake: Intake) -> None:
    intake.inbox.keep(sent(0))
    assert intake.studies.completed(at(10)) == intake.studies.completed(at(11)) == (STUDY,)
    decide(intake)
    assert intake.studies.completed(at(12)) == ()


def decide(intake: Intake) -> None:
    with intake.engine.begin() as connection:
        connection.execute(update(studies).values(state=StudyState.ROUTED, route="r", reason="because"))


def test_a_late_image_opens_the_study_again_and_changes_its_content(intake: Intake) -> None:
    intake.inbox.keep(sent(0))
    intake.studies.completed(at(10))
    before = intake.studies.content_digest(STUDY)
    decide(intake)
    intake.inbox.keep(sent(60))
    assert state(intake) == (StudyState.RECEIVING, None)
    assert intake.studies.completed(at(69)) == ()
    assert intake.studies.completed(at(70)) == (STUDY,)
    assert intake.studies.content_digest(STUDY) != before


def test_an_identical_resend_does_not_even_delay_completion(intake: Intake) -> None:
    first = sent(0)
    intake.inbox.keep(first)
    intake.inbox.keep(Arrival(**{**vars(first), "received_at": at(9)}))
    assert intake.studies.completed(at(10)) == (STUDY,)
    decide(intake)
    intake.inbox.keep(Arrival(**{**vars(first), "received_at": at(100)}))
    assert state(intake)[0] == StudyState.ROUTED


def test_content_does_not_depend_on_the_order_of_arrival(intake: Intake) -> None:
    images = [sent(0, seed=seed) for seed in range(3)]
    digests = set()
    for order in ((0, 1, 2), (2, 0, 1)):
        home = intake.home / f"{order[0]}"
        home.mkdir()
        other = Intake(home)
        for index in order:
            other.inbox.keep(images[index])
        digests.add(other.studies.content_digest(STUDY))
        other.close()
    assert len(digests) == 1


def test_each_study_is_closed_by_its_own_quiet_time(intake: Intake) -> None:
    other = generate_uid()
    intake.inbox.keep(sent(0))
    intake.inbox.keep(sent(5, study=other))
    assert intake.studies.completed(at(12)) == (STUDY,)
    assert intake.studies.completed(at(15)) == (STUDY, other)


def test_studies_survive_a_restart(intake: Intake) -> None:
    intake.inbox.keep(sent(0))
    again = Studies(intake.engine, intake.home / "inbox", quiet_seconds=10)
    assert again.completed(at(10)) == (STUDY,)
    assert len(again.instances_of(STUDY)) == 1
    assert again.instances_of(STUDY)[0].received_at == NOON


def test_there_is_one_header_for_each_series(intake: Intake) -> None:
    for series in ("1.2.1", "1.2.2"):
        for _ in range(2):
            intake.inbox.keep(arrival(mr_image(STUDY, series=series)))
    headers = intake.studies.series_headers(STUDY)
    assert [header.values("SeriesInstanceUID") for header in headers] == [("1.2.1",), ("1.2.2",)]
    assert "PixelData" not in headers[0].dataset

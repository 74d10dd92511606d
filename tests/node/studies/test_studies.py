from datetime import UTC, datetime, timedelta

from pydicom.uid import generate_uid
from sqlalchemy import select, update

from node.receiving.inspection import Arrival
from node.store import StudyState, studies
from node.studies.studies import Snapshot, Studies
from tests.node.receiving.intake import Intake, arrival, mr_image

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
STUDY = generate_uid()


def sent(seconds: float, *, study: str = STUDY, seed: int = 0) -> Arrival:
    image = arrival(mr_image(study, seed=seed))
    return Arrival(**{**vars(image), "received_at": NOON + timedelta(seconds=seconds)})


def state(intake: Intake, study: str = STUDY) -> tuple[str, str | None]:
    with intake.engine.connect() as connection:
        row = connection.execute(select(studies).where(studies.c.study_instance_uid == study)).one()
    return row.state, row.proof


def decide(intake: Intake) -> None:
    with intake.engine.begin() as connection:
        connection.execute(update(studies).values(state=StudyState.ROUTED, route="r", reason="because"))


def test_a_complete_study_is_given_until_it_was_decided(intake: Intake) -> None:
    intake.inbox.keep(sent(0))
    assert intake.studies.waiting() == ()
    (study,) = intake.studies.receiving()
    assert intake.studies.close(study, NOON, proof="all are here")
    assert state(intake) == (StudyState.COMPLETE, "all are here")
    assert intake.studies.waiting() == intake.studies.waiting() == (study,)
    decide(intake)
    assert intake.studies.waiting() == ()


def test_a_study_is_not_closed_over_an_image_that_came_in_between(intake: Intake) -> None:
    intake.inbox.keep(sent(0))
    (study,) = intake.studies.receiving()
    intake.inbox.keep(sent(1))
    assert not intake.studies.close(study, NOON, proof="all are here")
    assert intake.studies.receiving() == (Snapshot(STUDY, 2),)


def test_a_late_image_opens_the_study_again_and_changes_its_content(intake: Intake) -> None:
    intake.inbox.keep(sent(0))
    (study,) = intake.studies.receiving()
    intake.studies.close(study, NOON, proof="all are here")
    before = intake.studies.content_digest(STUDY)
    decide(intake)
    intake.inbox.keep(sent(60))
    assert state(intake) == (StudyState.RECEIVING, None)
    assert intake.studies.content_digest(STUDY) != before


def test_an_identical_resend_does_not_even_count_as_an_arrival(intake: Intake) -> None:
    first = sent(0)
    intake.inbox.keep(first)
    intake.inbox.keep(first)
    assert intake.studies.receiving() == (Snapshot(STUDY, 1),)
    decide(intake)
    intake.inbox.keep(first)
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


def test_studies_survive_a_restart(intake: Intake) -> None:
    intake.inbox.keep(sent(0))
    again = Studies(intake.engine, intake.home / "inbox")
    assert again.receiving() == (Snapshot(STUDY, 1),)
    assert len(again.instances_of(STUDY)) == 1
    assert again.instances_of(STUDY)[0].received_at == NOON


def test_there_is_one_header_for_each_series(intake: Intake) -> None:
    for series in ("1.2.1", "1.2.2"):
        for _ in range(2):
            intake.inbox.keep(arrival(mr_image(STUDY, series=series)))
    headers = intake.studies.series_headers(STUDY)
    assert [header.values("SeriesInstanceUID") for header in headers] == [("1.2.1",), ("1.2.2",)]
    assert "PixelData" not in headers[0].dataset
    assert intake.studies.images_by_series(STUDY) == {"1.2.1": 2, "1.2.2": 2}
    assert intake.studies.senders_of(STUDY) == ("SENDER",)


def test_a_study_whose_files_are_gone_or_damaged_still_gets_headers(intake: Intake) -> None:
    for series in ("1.2.1", "1.2.2"):
        intake.inbox.keep(arrival(mr_image(STUDY, series=series)))
    gone, damaged = intake.files()
    gone.unlink()
    damaged.write_bytes(b"no DICOM")
    assert [header.values("Modality") for header in intake.studies.series_headers(STUDY)] == [(), ()]


def test_a_remark_on_a_study_that_was_decided_opens_nothing_again(intake: Intake) -> None:
    intake.inbox.keep(sent(0))
    (study,) = intake.studies.receiving()
    intake.studies.close(study, NOON, proof="all are here")
    decide(intake)
    for sop_class in ("1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.66.4"):
        remark = mr_image(STUDY)
        remark.SOPClassUID = sop_class
        intake.inbox.keep(arrival(remark))
    assert state(intake) == (StudyState.ROUTED, "all are here")
    assert intake.studies.receiving() == ()
    assert len(intake.studies.instances_of(STUDY)) == 4


def test_a_study_of_nothing_but_remarks_is_answered_too(intake: Intake) -> None:
    remark = mr_image(STUDY)
    remark.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    intake.inbox.keep(arrival(remark))
    assert intake.studies.receiving() == (Snapshot(STUDY, 1),)

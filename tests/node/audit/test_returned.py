"""Ground truth that comes back by DICOM: kept, answered, read once, written down as an opinion, and analysed never."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from sqlalchemy import insert, select

from node.audit.opinions import Opinions
from node.audit.returned import AUTHOR, MOST_ATTEMPTS, Returned
from node.audit.tables import opinions
from node.store import JobState, instances, jobs, now, results
from reports.audit.ledger import Event
from reports.objects.results import write_results
from tests.node.receiving.intake import Intake, arrival, mr_image
from tests.reports.conftest import CREATED, make_analysis
from tests.reports.objects import remarks

JOB = "ab" * 32


class Overlaid:
    """A node that made one overlay of one study."""

    def __init__(self, home: Path) -> None:
        self.intake = Intake(home)
        self.source = mr_image(size=32)
        self.source.PixelSpacing = [1, 1]
        self.intake.inbox.keep(arrival(self.source))
        (file,) = self.intake.files()
        on_frame = np.zeros((32, 32), np.float32)
        on_frame[10, 20] = 1.0
        made = write_results(make_analysis([file], on_frame=on_frame), home / "outbox" / JOB, created=CREATED)
        self.capture, self.report = (remarks.header(one.path) for one in made)
        explanation = {"label": "glioma", "peak": [10, 20], "verdict": "TRUSTED", "shape": [32, 32]}
        summary = {"explanations": [{**explanation, "capture": made[0].sop_instance_uid}]}
        with self.intake.engine.begin() as connection:
            connection.execute(
                insert(jobs).values(
                    id=JOB, study_instance_uid=self.source.StudyInstanceUID, route="flair", bundle="glioma_flair",
                    options={}, state=JobState.DONE, created_at=now(), summary=summary,
                )
            )  # fmt: skip
            for one in made:
                connection.execute(
                    insert(results).values(
                        sop_instance_uid=one.sop_instance_uid, sop_class_uid=one.sop_class_uid,
                        series_instance_uid=one.series_instance_uid, job_id=JOB, role=one.role, sha256=one.sha256,
                        path=str(one.path.relative_to(home / "outbox")), created_at=now(),
                    )
                )  # fmt: skip
        self.returned = Returned(self.intake.engine, self.intake.ledger, home, {})

    def receive(self, remark: Dataset) -> None:
        self.intake.inbox.keep(arrival(remark))

    def words(self) -> list[tuple[str, str, str, int | None]]:
        query = select(opinions.c.by_whom, opinions.c.source, opinions.c.word, opinions.c.row).order_by(opinions.c.at)
        with self.intake.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]  # type: ignore[misc]

    def mask(self, row: int, column: int) -> np.ndarray:
        drawn = np.zeros((32, 32), bool)
        drawn[row : row + 3, column : column + 3] = True
        return drawn


@pytest.fixture
def overlaid(tmp_path: Path) -> Iterator[Overlaid]:
    made = Overlaid(tmp_path)
    yield made
    made.intake.close()


def test_a_segmentation_that_comes_back_is_an_opinion_with_its_object_and_a_row_of_the_ledger(
    overlaid: Overlaid,
) -> None:
    segmentation = remarks.segmentation(overlaid.source, overlaid.mask(24, 4))
    overlaid.receive(segmentation)
    assert overlaid.returned.read_new() == 1
    assert overlaid.words() == [(AUTHOR, "SEG", "elsewhere", 25)]
    with overlaid.intake.engine.connect() as connection:
        assert connection.execute(select(opinions.c.source_object)).scalar_one() == segmentation.SOPInstanceUID
    told = overlaid.intake.ledger.events()[-1]
    assert (told.event, told.details["word"], told.details["place"]) == (Event.OPINION, "elsewhere", "row 25, column 5")
    assert told.details["capture"] == overlaid.capture.SOPInstanceUID
    assert segmentation.SOPInstanceUID not in str(told.details)


def test_an_object_is_read_once_and_the_last_word_counts(overlaid: Overlaid) -> None:
    overlaid.receive(remarks.presentation_state(overlaid.source, "CIRCLE", [20.5, 10.5, 24, 10.5]))
    assert [overlaid.returned.read_new() for _ in range(3)] == [1, 0, 0]
    assert [word for _, _, word, _ in overlaid.words()] == ["accept"]
    no = remarks.says(remarks.code("121071", "DCM"), remarks.code("373067005"))
    overlaid.receive(remarks.report(overlaid.source, no, evidence=[overlaid.report]))
    assert overlaid.returned.read_new() == 1
    assert overlaid.words() == [(AUTHOR, "SR", "reject", None)]
    counts = Opinions(overlaid.intake.engine, overlaid.intake.ledger).counts()
    assert [(one.verdict, one.accepted, one.all) for one in counts] == [("TRUSTED", 0, 1)]


def test_a_returned_object_starts_neither_a_job_nor_a_new_report(overlaid: Overlaid) -> None:
    (study,) = overlaid.intake.studies.receiving()
    overlaid.intake.studies.close(study, now(), proof="all are here")
    overlaid.receive(remarks.segmentation(overlaid.source, overlaid.mask(24, 4)))
    assert overlaid.intake.studies.receiving() == ()
    assert overlaid.intake.studies.waiting() == (study,)


def test_an_object_that_cannot_be_read_is_an_event_and_holds_up_no_other(overlaid: Overlaid) -> None:
    broken = remarks.segmentation(overlaid.source, overlaid.mask(9, 19))
    del broken.SegmentSequence
    overlaid.receive(broken)
    overlaid.receive(remarks.segmentation(overlaid.source, overlaid.mask(9, 19)))
    assert overlaid.returned.read_new() == 2
    assert [word for _, _, word, _ in overlaid.words()] == ["accept"]
    (unread,) = [one for one in overlaid.intake.ledger.events() if one.event == Event.UNREAD]
    assert unread.details["problem"] == "The object cannot be read (AttributeError)."
    assert len(overlaid.intake.files()) == 3, "nothing is lost"


def test_an_object_of_a_study_without_an_overlay_waits_for_one(overlaid: Overlaid) -> None:
    overlaid.receive(remarks.segmentation(mr_image(size=32), overlaid.mask(9, 19)))
    assert overlaid.returned.read_new() == 0


def test_an_object_that_ends_the_process_is_left_after_three_attempts(overlaid: Overlaid) -> None:
    overlaid.receive(remarks.segmentation(overlaid.source, overlaid.mask(9, 19)))

    class PowerCut(BaseException):
        pass

    def end(*_: object) -> None:
        raise PowerCut

    overlaid.returned._read = end  # type: ignore[method-assign]
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(PowerCut):
            overlaid.returned.read_new()
    assert [overlaid.returned.read_new() for _ in range(2)] == [1, 0]
    told = overlaid.intake.ledger.events()[-1]
    assert (told.event, told.details["problem"]) == (
        Event.UNREAD,
        "The node ended 3 times while it read the object.",
    )


def test_an_object_whose_file_is_gone_is_said_to_be(overlaid: Overlaid) -> None:
    overlaid.receive(remarks.segmentation(overlaid.source, overlaid.mask(9, 19)))
    with overlaid.intake.engine.connect() as connection:
        is_annotation_class = instances.c.sop_class_uid == remarks.SEGMENTATION
        path = connection.execute(select(instances.c.path).where(is_annotation_class)).scalar_one()
    (overlaid.intake.home / "inbox" / path).unlink()
    assert overlaid.returned.read_new() == 1
    assert overlaid.intake.ledger.events()[-1].details["problem"] == "It cannot be read (FileNotFoundError)."

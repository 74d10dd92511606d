"""What is removed, when, and that nothing undelivered ever is, also where the process dies in between."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import insert, select, update

from inference.errors import Unavailable
from node.home import removing
from node.receiving.awaited import PriorState, priors
from node.retention.leftovers import used_bytes
from node.settings.retention import RetentionSettings
from node.store import DeliveryState, JobState, StudyState, jobs, now, results, studies
from reports.audit.ledger import Event
from tests.node.receiving.intake import Intake, arrival, mr_image
from tests.node.retention.keeping import Keeping

OPEN_DELIVERIES = [
    (("pacs", DeliveryState.QUEUED),),
    (("pacs", DeliveryState.FAILED),),
    (("archive", DeliveryState.SENT),),
    (("pacs", DeliveryState.SENT), ("archive", DeliveryState.QUEUED)),
]


@pytest.fixture
def keeping(intake: Intake) -> Keeping:
    return Keeping(intake, originals_days=30, results_days=60, rows_days=365)


def test_without_settings_only_the_files_of_ended_jobs_go(intake: Intake) -> None:
    keeping = Keeping(intake)
    study = keeping.study(10_000)
    running = keeping.study(1, job=JobState.RUNNING)
    cleared = keeping.retention().run()
    assert (cleared.removed, cleared.job_folders) == ((), 1)
    assert len(keeping.images(study)) == len(keeping.results(study)) == 2
    assert len(list((keeping.home / "jobs").iterdir())) == 1
    assert keeping.is_known(running)


def test_originals_results_and_rows_go_each_at_its_age(keeping: Keeping) -> None:
    young, old, older, oldest = (keeping.study(days) for days in (29, 31, 61, 366))
    kinds = [item.kind for item in keeping.retention().run().removed]
    assert sorted(kinds) == ["originals"] * 3 + ["results"] * 2 + ["rows"]
    assert (len(keeping.images(young)), len(keeping.results(young))) == (2, 2)
    assert (len(keeping.images(old)), len(keeping.results(old))) == (0, 2)
    assert (len(keeping.images(older)), len(keeping.results(older))) == (0, 0)
    assert [keeping.is_known(study) for study in (young, old, older, oldest)] == [True, True, True, False]
    assert len(keeping.files) == 2 + 2 + 2
    assert keeping.retention().run().removed == ()
    assert keeping.intake.events().count(Event.REMOVED) == 6
    assert keeping.ledger.verify() is None


@pytest.mark.parametrize("deliveries_of", OPEN_DELIVERIES)
def test_what_is_not_delivered_is_never_removed(
    keeping: Keeping, deliveries_of: tuple[tuple[str, DeliveryState], ...]
) -> None:
    keeping.wanted |= {"most_mebibytes": 1, "free_mebibytes": 1 << 30}
    study = keeping.study(10_000, deliveries_of=deliveries_of, size=1024)
    assert keeping.retention().run().removed == ()
    assert len(keeping.images(study)) == len(keeping.results(study)) == 2


@pytest.mark.parametrize(
    ("state", "job"),
    [
        (StudyState.RECEIVING, None),
        (StudyState.COMPLETE, None),
        (StudyState.HELD, None),
        (StudyState.ROUTED, JobState.QUEUED),
        (StudyState.ROUTED, JobState.RUNNING),
    ],
)
def test_a_study_that_waits_for_anything_stays(keeping: Keeping, state: StudyState, job: JobState | None) -> None:
    study = keeping.study(10_000, state, job=job)
    assert keeping.retention().run().removed == ()
    assert len(keeping.images(study)) == 2


def test_a_failed_analysis_that_nobody_was_told_of_keeps_its_images(keeping: Keeping) -> None:
    study = keeping.study(10_000, job=None)
    with keeping.engine.begin() as connection:
        connection.execute(
            insert(jobs).values(
                id="f" * 64, study_instance_uid=study, route="r", bundle="b", options={}, state=JobState.FAILED,
                created_at=now(), finished_at=now() - timedelta(days=10_000),
            )
        )  # fmt: skip
    assert keeping.retention().run().removed == ()


def test_a_prior_that_is_being_fetched_stays_and_goes_by_its_own_age(keeping: Keeping) -> None:
    keeping.wanted |= {"unanalysed_days": 2}
    fetched, old = (keeping.study(3, StudyState.PRIOR, job=None) for _ in range(2))
    with keeping.engine.begin() as connection:
        row = dict.fromkeys(("reason", "destination", "way", "patient", "issuer", "worker"), "")
        row |= {"study_instance_uid": "1.2", "prior_study_uid": fetched, "state": PriorState.ASKED}
        connection.execute(insert(priors).values(**row, updated_at=now()))
    assert [item.study_instance_uid for item in keeping.retention().run().removed] == [old]


def test_a_dry_run_names_what_a_run_removes_and_removes_nothing(keeping: Keeping) -> None:
    for days in (10, 40, 80, 400):
        keeping.study(days)
    before = keeping.files
    due = keeping.retention().due()
    assert keeping.files == before
    removed = keeping.retention().run()
    assert (due.removed, due.job_folders) == (removed.removed, removed.job_folders)


def test_the_watermark_is_kept_by_the_oldest_that_are_delivered(intake: Intake) -> None:
    keeping = Keeping(intake, most_mebibytes=5)
    queued = [keeping.study(100 - day, deliveries_of=OPEN_DELIVERIES[0], size=512) for day in range(2)]
    delivered = [keeping.study(50 - day, size=512) for day in range(8)]
    young = keeping.study(0.5, size=512)
    assert used_bytes(keeping.settings) > 10 << 20
    removed = keeping.retention().run().removed
    assert used_bytes(keeping.settings) <= 5 << 20
    assert [item.study_instance_uid for item in removed if item.kind == "originals"] == delivered[: len(removed)]
    assert all(len(keeping.images(study)) == 2 for study in (*queued, young))
    assert keeping.retention().run().removed == ()


def test_results_go_for_room_only_when_no_originals_are_left_to_go(intake: Intake) -> None:
    keeping = Keeping(intake, free_mebibytes=100)
    study = keeping.study(50)
    size = sum(path.stat().st_size for path in keeping.images(study))
    one = keeping.retention(free_bytes=lambda: (100 << 20) - size // 2).run().removed
    two = keeping.retention(free_bytes=lambda: (100 << 20) - 1).run().removed
    assert ([item.kind for item in one], [item.kind for item in two]) == (["originals"], ["results"])


def test_an_image_that_came_since_keeps_the_study(keeping: Keeping) -> None:
    study = keeping.study(100)
    (item,) = [item for item in keeping.retention().due().removed if item.kind == "originals"]
    late = mr_image(study, seed=9)
    keeping.intake.inbox.keep(arrival(late))
    assert not keeping.retention()._remove(item)
    assert len(keeping.images(study)) == 3


def test_a_study_whose_images_went_opens_again_with_a_new_one(keeping: Keeping) -> None:
    study = keeping.study(40)
    keeping.retention().run()
    of_study = select(studies.c.state, studies.c.originals_removed_at).where(studies.c.study_instance_uid == study)
    with keeping.engine.connect() as connection:
        assert connection.execute(of_study).one().originals_removed_at is not None
    keeping.intake.inbox.keep(arrival(mr_image(study, seed=7)))
    with keeping.engine.connect() as connection:
        assert tuple(connection.execute(of_study).one()) == (StudyState.RECEIVING, None)


def test_nothing_is_removed_while_a_backup_copies(keeping: Keeping) -> None:
    study = keeping.study(100)
    with removing(keeping.home, waits=True):
        assert keeping.retention().run().removed == ()
    assert len(keeping.images(study)) == 2
    assert keeping.retention().run().removed != ()


def test_a_duplicate_is_not_acknowledged_whose_first_is_removed_meanwhile(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = mr_image()
    keeping.intake.inbox.keep(arrival(image))
    with keeping.engine.begin() as connection:
        connection.execute(update(studies).values(state=StudyState.PRIOR, last_received_at=now() - timedelta(days=99)))
    taken_up = keeping.intake.studies.sent_for_itself

    def late(study_instance_uid: str) -> None:
        assert len(keeping.retention().run().removed) == 1
        taken_up(study_instance_uid)

    with monkeypatch.context() as patch:
        patch.setattr(keeping.intake.studies, "sent_for_itself", late)
        with pytest.raises(Unavailable, match="sent again"):
            keeping.intake.inbox.keep(arrival(image))
    assert keeping.intake.inbox.keep(arrival(image)).outcome == "stored"
    assert len(keeping.images(str(image.StudyInstanceUID))) == 1


DRIVER = """
import os, sys
from pathlib import Path
from node.retention import removal
from tests.node.retention.keeping import Keeping
from tests.node.receiving.intake import Intake

left = int(sys.argv[2])
unlink = Path.unlink

def dying(path, missing_ok=False):
    global left
    if path.suffix in (".dcm", ".png"):
        if left == 0:
            os._exit(9)
        left -= 1
    unlink(path, missing_ok=missing_ok)

keeping = Keeping(Intake(Path(sys.argv[1])), originals_days=30, results_days=60)
Path.unlink = dying
keeping.retention().run()
"""


@pytest.mark.parametrize("files", [0, 3])
def test_a_process_that_dies_between_row_and_file_removes_nothing_undelivered_and_leaves_nothing(
    keeping: Keeping, files: int
) -> None:
    undelivered = [keeping.study(1000, deliveries_of=open_deliveries) for open_deliveries in OPEN_DELIVERIES]
    gone = [keeping.study(1000 + days) for days in range(2)]
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", DRIVER, str(keeping.home), str(files)]
    died = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False)
    assert died.returncode == 9
    for study in undelivered:
        assert len(keeping.images(study)) == len(keeping.results(study)) == 2
    keeping.intake.inbox.sweep()
    keeping.retention().sweep()
    keeping.retention().run()
    kept = {path for study in undelivered for path in (*keeping.images(study), *keeping.results(study))}
    assert keeping.files == kept
    assert not any(keeping.images(study) or keeping.results(study) for study in gone)


def test_a_result_of_another_job_that_is_being_written_is_not_swept(keeping: Keeping) -> None:
    job = keeping.job("1.2.3", now(), JobState.RUNNING, ())
    (keeping.home / "outbox" / job / "unrecorded.dcm").write_bytes(b"just written")
    keeping.retention().sweep()
    assert (keeping.home / "outbox" / job / "unrecorded.dcm").is_file()


def test_a_removed_result_is_not_sent_again(keeping: Keeping) -> None:
    from node.delivery.consignments import Consignments

    study = keeping.study(100)
    keeping.retention().run()
    with keeping.engine.connect() as connection:
        job_id = connection.execute(select(jobs.c.id).where(jobs.c.study_instance_uid == study)).scalar_one()
    assert Consignments(keeping.engine, keeping.home / "outbox").requeue(job_id, "pacs") == 0


def test_job_files_stay_as_long_as_the_settings_say(intake: Intake) -> None:
    keeping = Keeping(intake, job_files_days=7)
    keeping.study(6)
    assert keeping.retention().run().job_folders == 0
    with keeping.engine.begin() as connection:
        connection.execute(update(jobs).values(finished_at=now() - timedelta(days=8)))
    assert keeping.retention().run().job_folders == 1


def test_rows_that_stay_less_long_than_files_are_refused() -> None:
    RetentionSettings(rows_days=60, originals_days=60, results_days=30)
    for wrong in ({"rows_days": 10}, {"rows_days": 10, "originals_days": 11, "results_days": 1}):
        with pytest.raises(ValidationError, match="rows_days"):
            RetentionSettings.model_validate(wrong)


def test_rows_of_results_say_since_when_they_are_gone(keeping: Keeping) -> None:
    keeping.study(100)
    keeping.retention().run()
    with keeping.engine.connect() as connection:
        assert connection.execute(select(results.c.removed_at)).scalar_one() is not None

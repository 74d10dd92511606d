"""What says that this product made it (rows 20 and 21): our results come back without effect, a stranger's are kept."""

from copy import deepcopy

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless, generate_uid
from sqlalchemy import insert

from node.receiving.inbox import Outcome
from node.settings.rule import Clause, Rule
from node.store import JobState, StudyState, jobs, now, results
from reports.audit.counted import CountedEvents
from reports.audit.ledger import Event, Ledger
from reports.objects.uids import uid_of
from tests.connections import ONCE
from tests.node.receiving.intake import Intake, arrival, compressed, mr_image, own_capture, with_meta
from tests.node.routing.test_routing import STUDY, Office, rule
from tests.peers.orthanc import PROGRAM, OrthancServer

ROUNDS = 100


def result_of_ours(intake: Intake, *, role: str = "capture") -> Dataset:
    """A capture that the store knows as a result of this node."""
    capture = own_capture()
    capture.SOPInstanceUID = uid_of("source", role)
    with intake.engine.begin() as connection:
        job = {"id": "job", "study_instance_uid": capture.StudyInstanceUID, "route": "mr", "bundle": "b"}
        of_job = {**job, "options": {}, "state": JobState.DONE, "created_at": now()}
        connection.execute(insert(jobs).values(of_job))
        row = {"sop_instance_uid": capture.SOPInstanceUID, "sop_class_uid": capture.SOPClassUID, "job_id": "job"}
        more = {"series_instance_uid": capture.SeriesInstanceUID, "role": role, "path": "x", "sha256": "0" * 64}
        connection.execute(insert(results).values({**row, **more, "created_at": now()}))
    return with_meta(capture, capture.file_meta.TransferSyntaxUID)


def coerced(image: Dataset, number: int) -> Dataset:
    """What a PACS makes of a result: another name, another manufacturer, another transfer syntax."""
    changed = deepcopy(image)
    changed.PatientName = f"COERCED^{number}"
    if number % 2:
        changed.Manufacturer = "PACS"
    return compressed(changed) if number % 3 == 0 else changed


def test_a_result_of_ours_that_comes_back_changed_a_hundred_times_leaves_one_row_and_nothing_else(
    intake: Intake,
) -> None:
    ours = result_of_ours(intake)
    for number in range(ROUNDS):
        assert intake.inbox.keep(arrival(coerced(ours, number))).outcome is Outcome.OWN_RESULT
    intake.counted.write_due(older_than_seconds=0.0)
    first, further = intake.ledger.events()
    assert (first.event, further.event) == (Event.OWN_RESULT, Event.OWN_RESULT)
    assert further.details["objects"] == ROUNDS - 1
    assert intake.files() == intake.rows() == intake.quarantined() == []
    assert intake.studies.receiving() == ()


def test_an_image_that_only_says_it_is_ours_is_kept_and_success_is_true(intake: Intake) -> None:
    claimed = own_capture()
    assert intake.inbox.keep(arrival(claimed)).outcome is Outcome.STORED
    (row,) = intake.rows()
    assert (row.sop_instance_uid, row.foreign_result) == (claimed.SOPInstanceUID, True)
    assert (intake.home / "inbox" / row.path).read_bytes().endswith(claimed.PixelData)


def foreign(series: str | None = None) -> Dataset:
    """A result that says this product made it, in the study of the office."""
    image = mr_image(STUDY, series=series)
    image.ImageType, image.Manufacturer = ["DERIVED", "SECONDARY"], "heatproof"
    return image


def test_a_result_of_another_node_is_no_part_of_a_job_and_opens_no_study_again(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, Rule(name="all", bundles=("b",), destinations=()))
    series = generate_uid()
    office.send(series=series)
    for kept in (foreign(), foreign(series)):
        intake.inbox.keep(arrival(kept))
    office.wait(10)
    (job,) = office.jobs()
    alone = [kept for kept in intake.studies.instances_of(STUDY) if not kept.foreign_result]
    assert len(alone) == 1
    for _ in range(20):
        intake.inbox.keep(arrival(foreign()))
    office.wait(10)
    assert [again.id for again in office.jobs()] == [job.id]
    assert office.study().state == StudyState.ROUTED


def test_a_study_of_nothing_but_results_of_another_node_gets_no_job_and_no_report(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(intake, monkeypatch, Rule(name="all", bundles=("b",), destinations=()))
    intake.inbox.keep(arrival(foreign()))
    office.wait(10)
    assert office.jobs() == office.started.ids == []
    study = office.study()
    assert study.state == StudyState.NOT_ROUTED
    assert "a result of another node" in study.reason
    office.send()
    office.wait(10)
    assert len(office.jobs()) == 1


def test_a_rule_that_names_the_manufacturer_has_results_of_another_node_analysed(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Clause(attribute="Manufacturer", equals="heatproof")
    named = Rule(name="theirs", when=(wanted,), bundles=("b",), destinations=())
    office = Office(intake, monkeypatch, rule("ct", "CT"), named)
    intake.inbox.keep(arrival(foreign()))
    office.wait(10)
    assert [job.route for job in office.jobs()] == ["theirs"]


def test_refused_instances_add_two_rows_an_hour_and_peer_however_many_come(intake: Intake) -> None:
    clock = [0.0]
    counted = CountedEvents(intake.ledger, clock=lambda: clock[0])
    for hour in range(3):
        for _ in range(1000):
            counted.tell(Event.REFUSED, "10.0.0.1", "UnreadableInstance", {"calling_ae_title": "CT"})
        clock[0] = 3600.0 * (hour + 1)
        counted.write_due()
    assert [entry.details.get("objects", 1) for entry in intake.ledger.events()] == [1, 999] * 3
    assert intake.ledger.verify() is None


def test_many_addresses_are_counted_together_beyond_a_hundred(intake: Intake) -> None:
    counted = CountedEvents(intake.ledger)
    for number in range(500):
        counted.tell(Event.REFUSED, f"10.0.{number // 250}.{number % 250}", "UnreadableInstance")
    counted.write_due(older_than_seconds=0.0)
    rows = intake.ledger.events()
    assert len(rows) <= 102
    assert sum(int(entry.details.get("objects") or 1) for entry in rows) == 500


@pytest.mark.peers
@pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed")
def test_orthanc_that_coerces_and_recompresses_may_send_a_result_back_a_hundred_times(intake: Intake) -> None:
    ours = result_of_ours(intake)
    intake.listener.start()
    with (
        OrthancServer(heatproof_port=intake.listener.port) as orthanc,
        httpx.Client(base_url=orthanc.url, limits=ONCE) as rest,
    ):
        path = intake.home / "result.dcm"
        ours.save_as(path, enforce_file_format=True)
        rest.post("/instances", content=path.read_bytes()).raise_for_status()
        (instance,) = rest.get("/instances").json()
        for number in range(ROUNDS // 10):
            change = {
                "Replace": {"PatientName": f"COERCED^{number}"}, "Force": True,
                "Keep": ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"],
                **({"Transcode": JPEGLSLossless} if number % 2 else {}),
            }  # fmt: skip
            changed = rest.post(f"/instances/{instance}/modify", json=change, timeout=60).raise_for_status().content
            rest.delete(f"/instances/{instance}").raise_for_status()
            instance = rest.post("/instances", content=changed).raise_for_status().json()["ID"]
            for _ in range(10):
                sent = rest.post("/modalities/heatproof/store", json={"Resources": [instance]}, timeout=60)
                assert sent.raise_for_status().json()["FailedInstancesCount"] == 0
    assert intake.files() == intake.rows() == intake.quarantined() == []
    intake.counted.write_due(older_than_seconds=0.0)
    events = Ledger(intake.engine, b"key of this site").events()
    assert sum(int(entry.details.get("objects") or 1) for entry in events) >= ROUNDS
    assert len(events) <= 2

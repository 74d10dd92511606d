"""MPPS as a provider (PS3.4 F.7.2), spoken to as a modality does."""

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityPerformedProcedureStep
from sqlalchemy import select

from node.receiving.listener import Listener
from node.settings.node import NodeSettings
from node.store import performed_steps
from node.studies import performed_steps as module
from node.studies.performed_steps import Performed, PerformedSteps
from tests.node.receiving.intake import Intake, arrival, mr_image

STUDY = generate_uid()


@pytest.fixture
def steps(intake: Intake) -> PerformedSteps:
    return PerformedSteps(intake.engine)


@pytest.fixture
def modality(intake: Intake, steps: PerformedSteps) -> Iterator[Association]:
    settings = NodeSettings(home=intake.home, minimum_free_bytes=0).model_copy(update={"port": 0})
    listener = Listener(settings, intake.inbox, intake.metrics, intake.refusals, handlers=steps.handlers)
    listener.start()
    client = AE(ae_title="MODALITY")
    client.add_requested_context(ModalityPerformedProcedureStep)
    association = client.associate("127.0.0.1", listener.port, ae_title="HEATPROOF")
    assert association.is_established
    yield association
    association.release()
    listener.stop(grace_seconds=0.2)


def beginning(*studies: str) -> Dataset:
    attributes = Dataset()
    attributes.PerformedProcedureStepStatus = "IN PROGRESS"
    attributes.PatientName, attributes.PatientID = "CANARY^PATIENT", "CANARY-ID"
    attributes.ScheduledStepAttributesSequence = [scheduled(study) for study in studies or (STUDY,)]
    attributes.PerformedSeriesSequence = []
    return attributes


def scheduled(study: str) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = study
    return item


def ending(state: str, *series: list[str]) -> Dataset:
    attributes = Dataset()
    attributes.PerformedProcedureStepStatus = state
    attributes.PerformedSeriesSequence = [performed(uids) for uids in series]
    return attributes


def performed(uids: list[str]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = generate_uid()
    series.ReferencedImageSequence = []
    for uid in uids:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", uid
        series.ReferencedImageSequence.append(image)
    series.ReferencedNonImageCompositeSOPInstanceSequence = []
    return series


def create(modality: Association, attributes: Dataset, uid: str) -> int:
    status, _ = modality.send_n_create(attributes, ModalityPerformedProcedureStep, uid)
    return int(status.Status)


def change(modality: Association, attributes: Dataset, uid: str) -> Dataset:
    status, _ = modality.send_n_set(attributes, ModalityPerformedProcedureStep, uid)
    return status


def test_a_step_goes_from_in_progress_to_completed_with_what_it_made(
    intake: Intake, modality: Association, steps: PerformedSteps
) -> None:
    images = [mr_image(STUDY) for _ in range(3)]
    listed = [image.SOPInstanceUID for image in images]
    uid = generate_uid()
    assert steps.of(STUDY) is None
    assert create(modality, beginning(), uid) == 0x0000
    assert steps.of(STUDY) == Performed(("IN PROGRESS",), 0, 0)
    for image in images[:2]:
        intake.inbox.keep(arrival(image))
    assert change(modality, ending("COMPLETED", listed[:1], listed[1:]), uid).Status == 0x0000
    assert steps.of(STUDY) == Performed(("COMPLETED",), 3, 1)
    intake.inbox.keep(arrival(images[2]))
    done = steps.of(STUDY)
    assert done == Performed(("COMPLETED",), 3, 0)
    assert done is not None
    assert done.ended


def test_a_step_that_has_ended_is_final(modality: Association, steps: PerformedSteps) -> None:
    uid = generate_uid()
    create(modality, beginning(), uid)
    assert change(modality, ending("DISCONTINUED", ["1.2.3"]), uid).Status == 0x0000
    refused = change(modality, ending("COMPLETED", ["1.2.4"]), uid)
    assert (refused.Status, refused.ErrorID) == (0x0110, 0xA710)
    assert steps.of(STUDY) == Performed(("DISCONTINUED",), 1, 1)


def test_several_steps_of_one_study_count_together(modality: Association, steps: PerformedSteps) -> None:
    first, second = generate_uid(), generate_uid()
    create(modality, beginning(), first)
    create(modality, beginning(), second)
    change(modality, ending("COMPLETED", ["1.2.3", "1.2.4"]), first)
    together = steps.of(STUDY)
    assert together == Performed(("COMPLETED", "IN PROGRESS"), 2, 2)
    assert together is not None
    assert not together.ended


def test_one_step_may_serve_several_studies(intake: Intake, modality: Association, steps: PerformedSteps) -> None:
    other, uid = generate_uid(), generate_uid()
    images = [mr_image(STUDY), mr_image(other)]
    assert create(modality, beginning(STUDY, other), uid) == 0x0000
    change(modality, ending("COMPLETED", [image.SOPInstanceUID for image in images]), uid)
    for image in images:
        intake.inbox.keep(arrival(image))
    assert steps.of(STUDY) == steps.of(other) == Performed(("COMPLETED",), 2, 0)


def test_what_is_no_step_is_refused_with_the_status_of_the_standard(
    modality: Association, steps: PerformedSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = generate_uid()
    ended, unnamed = beginning(), beginning()
    ended.PerformedProcedureStepStatus = "COMPLETED"
    unnamed.ScheduledStepAttributesSequence = []
    assert create(modality, ended, uid) == 0x0106
    assert create(modality, unnamed, uid) == 0x0120
    assert change(modality, ending("COMPLETED"), uid).Status == 0x0112
    assert create(modality, beginning(), uid) == 0x0000
    assert create(modality, beginning(), uid) == 0x0111
    assert change(modality, ending("FINISHED"), uid).Status == 0x0106
    monkeypatch.setattr(module, "MOST_INSTANCES", 2)
    assert change(modality, ending("COMPLETED", ["1.1", "1.2", "1.3"]), uid).Status == 0x0213
    assert steps.of(STUDY) == Performed(("IN PROGRESS",), 0, 0)


def test_nothing_of_the_patient_is_kept_of_a_step(intake: Intake, modality: Association) -> None:
    create(modality, beginning(), generate_uid())
    with intake.engine.connect() as connection:
        assert "CANARY" not in repr(connection.execute(select(performed_steps)).all())


def test_a_node_that_takes_no_steps_does_not_offer_them(listening: Intake) -> None:
    client = AE(ae_title="MODALITY")
    client.add_requested_context(ModalityPerformedProcedureStep)
    association = client.associate("127.0.0.1", listening.listener.port, ae_title="HEATPROOF")
    assert not association.accepted_contexts
    association.abort()

"""Objects of private and unknown storage SOP classes: refused with the cure, or kept unread if the settings say so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_context

from inference.errors import UnsupportedClass
from node.associations.storage_classes import READ_CLASSES, is_unread_class

from .intake import Intake, arrival, mr_image, with_meta

PRIVATE = {
    "Siemens CSA non-image": "1.3.12.2.1107.5.9.1",
    "GE private 3D model": "1.2.840.113619.4.26",
    "Philips private MR series data": "1.3.46.670589.11.0.0.12.2",
    "of a later edition": "1.2.840.10008.5.1.4.1.1.999.1",
}


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Intake]:
    intake = Intake(tmp_path, keep_unknown_classes=True)
    intake.listener.start()
    yield intake
    intake.close()


def private_object(sop_class_uid: str, image: Dataset) -> Dataset:
    """What a scanner sends beside an image: of a class of its own, with what looks like pixels and is none."""
    made = mr_image(image.StudyInstanceUID, series=image.SeriesInstanceUID)
    made.SOPClassUID = sop_class_uid
    made.PixelData = b"CSA HEADER"
    return with_meta(made, ExplicitVRLittleEndian)


@pytest.mark.parametrize("sop_class_uid", PRIVATE.values(), ids=PRIVATE)
def test_images_and_objects_of_a_private_class_in_one_association_are_all_kept(
    keeping: Intake, sop_class_uid: str
) -> None:
    image = mr_image()
    thing, second = private_object(sop_class_uid, image), mr_image(image.StudyInstanceUID)
    assert keeping.send(image, thing, second) == [0x0000] * 3
    kept = {row.sop_instance_uid: row for row in keeping.rows()}
    assert kept[thing.SOPInstanceUID].sop_class_uid == sop_class_uid
    read = dcmread(keeping.home / "inbox" / kept[thing.SOPInstanceUID].path)
    assert read.PixelData == thing.PixelData


def test_what_is_kept_unread_is_neither_read_nor_analysed_and_opens_no_study_again(keeping: Intake) -> None:
    image = mr_image()
    keeping.send(image)
    (study,) = keeping.studies.receiving()
    before = keeping.studies.content_digest(study.study_instance_uid)
    assert keeping.send(private_object(PRIVATE["Siemens CSA non-image"], image)) == [0x0000]
    assert keeping.studies.receiving() == (study,)
    assert [kept.sop_instance_uid for kept in keeping.studies.instances_of(study.study_instance_uid)] == [
        image.SOPInstanceUID
    ]
    assert keeping.studies.content_digest(study.study_instance_uid) == before
    assert len(keeping.studies.series_headers(study.study_instance_uid)) == 1
    assert keeping.studies.images_by_series(study.study_instance_uid) == {image.SeriesInstanceUID: 2}


def test_what_is_kept_unread_must_still_say_where_it_belongs_and_be_whole(keeping: Intake) -> None:
    thing = private_object(PRIVATE["Siemens CSA non-image"], mr_image())
    del thing.StudyInstanceUID
    assert keeping.send(thing) == [0xC000]
    assert keeping.files() == []


def test_services_other_than_storage_are_rejected_whatever_the_setting(keeping: Intake) -> None:
    """Study Root Query/Retrieve, the modality worklist, printing."""
    client = AE(ae_title="SENDER")
    classes = ("1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.1.9")
    client.requested_contexts = [build_context(uid) for uid in (*classes, "1.2.840.10008.1.1")]
    peer = client.associate("127.0.0.1", keeping.listener.port, ae_title="HEATPROOF")
    assert [context.abstract_syntax for context in peer.rejected_contexts] == list(classes)
    peer.release()


def test_by_default_they_are_rejected_and_the_administrator_is_told_of_the_setting(listening: Intake) -> None:
    image = mr_image()
    peer = listening.associate(image, private_object(PRIVATE["Siemens CSA non-image"], image))
    assert [context.abstract_syntax for context in peer.rejected_contexts] == [PRIVATE["Siemens CSA non-image"]]
    assert peer.send_c_store(image).Status == 0x0000
    peer.release()
    (refusal,) = listening.refusals.latest()
    assert "node.keep_unknown_classes = true" in refusal.cure


def test_one_that_comes_by_another_way_is_refused_too(intake: Intake) -> None:
    thing = private_object(PRIVATE["Siemens CSA non-image"], mr_image())
    with pytest.raises(UnsupportedClass, match="keep_unknown_classes"):
        intake.inbox.keep(arrival(thing))
    assert intake.files() == []


def test_thousands_of_private_classes_leave_nothing_in_the_memory_of_the_node(keeping: Intake) -> None:
    before = len(keeping.listener._acceptor._entity.supported_contexts)
    for number in range(20):
        client = AE(ae_title="SENDER")
        client.requested_contexts = [build_context(f"1.3.12.2.1107.{number}.{place}") for place in range(128)]
        peer = client.associate("127.0.0.1", keeping.listener.port, ae_title="HEATPROOF")
        assert len(peer.accepted_contexts) == 128
        peer.release()
    assert len(keeping.listener._acceptor._entity.supported_contexts) == before


def test_every_class_that_is_read_counts_as_known() -> None:
    assert not any(is_unread_class(sop_class_uid) for sop_class_uid in READ_CLASSES)

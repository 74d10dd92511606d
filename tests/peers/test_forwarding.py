"""Orthanc forwards new series to the node, and never the node's own results: nothing travels in a circle."""

import threading
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from pydicom import dcmread, dcmwrite
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.transport import ThreadedAssociationServer

from inference.phantom.phantom import make_phantom
from node.demo.ports import reserve_port
from reports.objects.phantom_study import write_study
from tests.patience import assert_stays, patient
from tests.peers.orthanc import PROGRAM, OrthancServer

pytestmark = [pytest.mark.peers, pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed")]
QUIET_SECONDS = 4
"""A series is stable after one second without a new image, and looked for every second."""


class StandInNode:
    """A storage SCP in the node's place that counts what it gets."""

    def __init__(self) -> None:
        self.port = reserve_port()
        self.uids: list[str] = []
        self._arrived = threading.Condition()
        entity = AE(ae_title="HEATPROOF")
        entity.supported_contexts = AllStoragePresentationContexts
        self._server: ThreadedAssociationServer = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def wait(self, count: int) -> list[str]:
        with self._arrived:
            self._arrived.wait_for(lambda: len(self.uids) >= count, timeout=patient(60))
        return self.uids

    def stop(self) -> None:
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        with self._arrived:
            self.uids.append(event.request.AffectedSOPInstanceUID)
            self._arrived.notify_all()
        return 0


@pytest.fixture
def receiver() -> Iterator[StandInNode]:
    receiver = StandInNode()
    yield receiver
    receiver.stop()


def as_result(source: Path, target: Path, *, manufacturer: str) -> Path:
    """Return a copy of an image in a series of its own, made by somebody."""
    result = dcmread(source)
    result.SOPInstanceUID = result.file_meta.MediaStorageSOPInstanceUID = f"2.25.{crc32(target.name.encode())}"
    result.SeriesInstanceUID = f"{result.SOPInstanceUID}.1"
    result.Manufacturer, result.Modality = manufacturer, "OT"
    dcmwrite(target, result)
    return target


def store(path: Path, *, port: int, calling_ae_title: str) -> None:
    dataset = dcmread(path)
    entity = AE(ae_title=calling_ae_title)
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title="ORTHANC")
    assert association.is_established
    assert association.send_c_store(dataset).Status == 0
    association.release()


def test_a_new_series_is_forwarded_once_and_the_nodes_results_never(receiver: StandInNode, tmp_path: Path) -> None:
    files = write_study(
        make_phantom(1, lesions=0, slices=3, rows=64, columns=64), tmp_path, patient_id="P1", patient_name="A^B"
    )
    with OrthancServer(heatproof_port=receiver.port) as orthanc:
        for path in files:
            orthanc.upload(path)
        assert len(receiver.wait(3)) == 3
        uploaded = as_result(files[0], tmp_path / "uploaded.dcm", manufacturer="heatproof")
        stored = as_result(files[0], tmp_path / "stored.dcm", manufacturer="somebody")
        orthanc.upload(uploaded)
        store(stored, port=orthanc.dicom_port, calling_ae_title="HEATPROOF")
        for path in files:
            orthanc.upload(path)
        assert len(orthanc.instances()) == 5
        assert_stays(lambda: len(receiver.uids) == 3, QUIET_SECONDS, "the count of what was forwarded")
        assert not any("failed" in line for line in orthanc.log().splitlines() if "heatproof:" in line)


def test_another_senders_series_in_the_same_study_is_forwarded(receiver: StandInNode, tmp_path: Path) -> None:
    files = write_study(
        make_phantom(1, lesions=0, slices=3, rows=64, columns=64), tmp_path, patient_id="P1", patient_name="A^B"
    )
    other = as_result(files[0], tmp_path / "other.dcm", manufacturer="somebody")
    with OrthancServer(heatproof_port=receiver.port) as orthanc:
        store(other, port=orthanc.dicom_port, calling_ae_title="MODALITY")
        assert receiver.wait(1) == [dcmread(other).SOPInstanceUID]

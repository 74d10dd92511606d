"""Priors by DICOMweb from a server that does what it likes."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import generate_uid

from node.demo.ports import reserve_port
from node.settings.destination import Destination
from node.store import StudyState
from tests.node.receiving.intake import Intake
from tests.patience import patient

from .ward import PRESENT, Ward, image


class StandInWebPacs(ThreadingHTTPServer):
    """Lists ``images`` by QIDO-RS, and sends ``files`` whatever is asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.images: list[Dataset] = []
        self.files: list[bytes] = []
        self.status, self.kind = 200, "multipart/related; boundary=x"
        self.endless = False
        self.false_uid = ""
        self.paths: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: StandInWebPacs

    def do_GET(self) -> None:
        pacs, path = self.server, self.path.partition("?")[0]
        pacs.paths.append(path)
        if path == "/studies":
            self._tell("StudyInstanceUID", "StudyDate", "StudyTime", "PatientID")
        elif path.endswith("/series"):
            self._tell("SeriesInstanceUID", "Modality", "BodyPartExamined")
        else:
            self._send()

    def _tell(self, *names: str) -> None:
        items = [Dataset() for _ in self.server.images]
        for item, made in zip(items, self.server.images, strict=True):
            for name in names:
                setattr(item, name, made.get(name))
        listed = [item.to_json_dict() for item in items]
        for item in listed if self.server.false_uid else []:
            item["0020000D"] = {"vr": "UI", "Value": [self.server.false_uid]}
        self._begin(200, "application/dicom+json")
        self.wfile.write(json.dumps(listed).encode())

    def _send(self) -> None:
        self._begin(self.server.status, self.server.kind)
        for file in self.server.files:
            self.wfile.write(b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\n" + file)
        while self.server.endless:
            self.wfile.write(b"0")
            time.sleep(0.05)  # slow enough for the deadline of the study to come before any bound of size
        self.wfile.write(b"\r\n--x--")

    def _begin(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def pacs() -> Iterator[StandInWebPacs]:
    with StandInWebPacs() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.endless = False
        server.shutdown()
        thread.join()


@pytest.fixture
def ward(intake: Intake, pacs: StandInWebPacs, monkeypatch: pytest.MonkeyPatch) -> Ward:
    url = f"http://127.0.0.1:{pacs.server_port}"
    return Ward(intake, Destination(name="pacs", protocol="stow", url=url), reserve_port(), monkeypatch, by="web")


@pytest.fixture
def prior(pacs: StandInWebPacs) -> Dataset:
    made = image(generate_uid(), "20250101")
    pacs.images, pacs.files = [made], [as_file(made)]
    return made


def as_file(made: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


def test_only_files_of_the_prior_and_its_patient_are_kept(ward: Ward, pacs: StandInWebPacs, prior: Dataset) -> None:
    others = image(prior.StudyInstanceUID, "20250101", PatientID="ANOTHER"), image(generate_uid(), "20250101")
    pacs.files += [as_file(others[0]), as_file(others[1]), b"no DICOM", as_file(prior)[:600]]
    ward.decide()
    assert ward.states() == {PRESENT: StudyState.ROUTED, prior.StudyInstanceUID: StudyState.PRIOR}
    assert prior.SOPInstanceUID in ward.kept()
    assert len(ward.kept()) == 2
    assert "1 incomplete, from pacs by QIDO-RS, WADO-RS. " in ward.told().sentence
    assert "4 of its images could not be sent, or were refused here" in ward.told().sentence


@pytest.mark.usefixtures("prior")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"endless": True}, "did not send everything in time"),
        ({"status": 500}, "HTTP status 500"),
        ({"kind": "text/html"}, "not a multipart message"),
        ({"kind": "multipart/related; boundary=y"}, "not a multipart message"),
        ({"files": []}, "sent none of its images"),
    ],
    ids=["endless", "broken", "another kind", "another boundary", "nothing"],
)
def test_a_server_that_sends_no_prior_costs_a_sentence(
    ward: Ward, pacs: StandInWebPacs, change: dict[str, Any], said: str
) -> None:
    for name, value in change.items():
        setattr(pacs, name, value)
    assert ward.decide() < patient(5)
    late = "the study was analysed without them"  # the study's deadline came before the request's
    assert said in ward.told().sentence or late in ward.told().sentence


def test_a_uid_that_is_none_is_not_put_into_a_path(ward: Ward, pacs: StandInWebPacs, prior: Dataset) -> None:
    pacs.false_uid = "../../instances?" + prior.StudyInstanceUID[:20]
    ward.decide()
    assert pacs.paths == ["/studies"]
    assert ward.told().state in ("none", "failed")

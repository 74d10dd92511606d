"""A sender is asked how many images a study has: over a real association, and never for longer than it is worth."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from inference.errors import DeliveryFailed
from node.delivery.peer_requests import PeerRequests
from node.demo.ports import reserve_port
from node.settings.destination import Destination
from node.studies.counting import CountingPeer, count
from tests.patience import patient

STUDY = "1.2.3"


class StandInPacs:
    """A C-FIND provider that gives what it is told to."""

    def __init__(self) -> None:
        self.port = reserve_port()
        self.queries: list[Dataset] = []
        self.answers: list[Dataset] = []
        self.status = 0x0000
        entity = AE(ae_title="PACS")
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        entity.add_supported_context(Verification)
        self.server: Any = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_FIND, self._find)]
        )

    @property
    def peer(self) -> CountingPeer:
        return CountingPeer(Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=self.port), "find")

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        self.queries.append(event.identifier)
        for answer in self.answers:
            yield 0xFF00, answer
        if self.status:
            yield self.status, None


@pytest.fixture(scope="module")
def running() -> Iterator[StandInPacs]:
    pacs = StandInPacs()
    yield pacs
    pacs.server.shutdown()


@pytest.fixture
def pacs(running: StandInPacs) -> StandInPacs:
    running.queries, running.answers, running.status = [], [], 0x0000
    return running


def series(uid: str, number: int | None) -> Dataset:
    item = Dataset()
    item.QueryRetrieveLevel, item.StudyInstanceUID, item.SeriesInstanceUID = "SERIES", STUDY, uid
    item.NumberOfSeriesRelatedInstances = number
    return item


def test_the_images_of_each_series_are_asked_for(pacs: StandInPacs) -> None:
    pacs.answers = [series("1.2.3.1", 24), series("1.2.3.2", 3)]
    assert count(pacs.peer, STUDY, calling_ae_title="HEATPROOF") == {"1.2.3.1": 24, "1.2.3.2": 3}
    (query,) = pacs.queries
    assert (query.QueryRetrieveLevel, query.StudyInstanceUID) == ("SERIES", STUDY)
    assert {"SeriesInstanceUID", "NumberOfSeriesRelatedInstances"} <= set(query.dir())


def test_a_study_the_peer_does_not_know_has_no_series(pacs: StandInPacs) -> None:
    assert count(pacs.peer, STUDY, calling_ae_title="HEATPROOF") == {}


def test_a_peer_that_does_not_count_says_so(pacs: StandInPacs) -> None:
    pacs.answers = [series("1.2.3.1", None)]
    with pytest.raises(DeliveryFailed, match="does not count"):
        count(pacs.peer, STUDY, calling_ae_title="HEATPROOF")


def test_a_query_that_fails_is_no_count_of_zero(pacs: StandInPacs) -> None:
    pacs.status = 0xA700
    with pytest.raises(DeliveryFailed, match="0xA700"):
        count(pacs.peer, STUDY, calling_ae_title="HEATPROOF")


def test_a_peer_that_does_not_stop_answering_is_cut_off(pacs: StandInPacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.studies.counting.MOST_SERIES", 20)
    pacs.answers = [series(f"1.2.3.{number}", 1) for number in range(200)]
    with pytest.raises(DeliveryFailed, match="went on answering"):
        count(pacs.peer, STUDY, calling_ae_title="HEATPROOF")


def test_a_peer_that_is_not_there_cannot_be_asked() -> None:
    nobody = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=reserve_port())
    with pytest.raises(DeliveryFailed, match="No association"):
        count(CountingPeer(nobody, "find"), STUDY, calling_ae_title="HEATPROOF")


class StandInWeb(BaseHTTPRequestHandler):
    body: bytes = b""

    def do_GET(self) -> None:
        assert self.path == f"/dicom-web/studies/{STUDY}/series?includefield=00201209"
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web() -> Iterator[CountingPeer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandInWeb)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    yield CountingPeer(Destination(name="pacs", protocol="stow", url=url), "qido")
    server.shutdown()
    server.server_close()


def test_qido_counts_as_c_find_does(web: CountingPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [
        {"0020000E": {"vr": "UI", "Value": [f"1.2.3.{number}"]}, "00201209": {"vr": "IS", "Value": [number]}}
        for number in (3, 24)
    ]
    monkeypatch.setattr(StandInWeb, "body", json.dumps(items).encode())
    assert count(web, STUDY, calling_ae_title="HEATPROOF") == {"1.2.3.3": 3, "1.2.3.24": 24}


@pytest.mark.parametrize("body", [b'{"a": 1}', b"[1]", b'[{"0020000E": {"vr": "UI"}}]', b"no JSON"])
def test_what_is_no_list_of_series_is_no_count(web: CountingPeer, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setattr(StandInWeb, "body", body)
    with pytest.raises(DeliveryFailed):
        count(web, STUDY, calling_ae_title="HEATPROOF")


def test_threads_go_on_after_an_answer_that_is_none_and_skip_what_nobody_waits_for() -> None:
    threads: PeerRequests[dict[str, int]] = PeerRequests("test")

    def broken() -> dict[str, int]:
        raise ValueError("CANARY")

    answers = [threads.submit(broken) for _ in range(4)]
    assert all("cannot be understood (ValueError)" in str(answer.exception(patient(5))) for answer in answers)
    held = threading.Event()
    busy = [threads.submit(lambda: {"1": held.wait(patient(5))}) for _ in range(2)]
    dropped = threads.submit(broken)
    assert dropped.cancel()
    held.set()
    assert [answer.result(patient(5)) for answer in busy] == [{"1": True}] * 2

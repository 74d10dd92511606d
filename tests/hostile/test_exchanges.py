"""Every exchange ends: a destination that drips or answers what breaks a parser is a failed attempt (row 43)."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find

from inference.errors import DeliveryFailed
from node.associations import exchanges
from node.associations.requestor import associate
from node.delivery.dicomweb import StowTransport, exchange
from node.delivery.querying import matches
from node.delivery.transport import Parcel
from node.settings.destination import Destination
from tests.hostile.footprint import footprint, settled
from tests.hostile.hostile_pacs import HostilePacs, accepted, read_pdu, wait_for_end
from tests.hostile.raw_peer import IMPLICIT
from tests.patience import patient, wait_until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: %d\r\n\r\n"


def answering(content: bytes, *, then: Callable[[socket.socket], None] = wait_for_end) -> Callable[..., None]:
    def script(caller: socket.socket) -> None:
        caller.recv(65536)
        caller.sendall(content)
        then(caller)

    return script


def drip(caller: socket.socket) -> None:
    while True:
        caller.sendall(b" ")
        time.sleep(0.05)  # each byte is in time, all of them never


def web(pacs: HostilePacs, *, seconds: float) -> Destination:
    root = f"http://127.0.0.1:{pacs.destination.port}/dicom-web"
    return Destination(name="pacs", protocol="stow", url=root, exchange_seconds=seconds)


DRIPS = {
    "headers": answering(b"HTTP/1.1 200 OK\r\nX: ", then=drip),
    "a body": answering(HEAD % (1 << 20), then=drip),
}


@pytest.mark.parametrize("what", DRIPS)
def test_a_web_service_that_drips_is_cut_at_the_deadline_of_the_whole_exchange(what: str) -> None:
    before = footprint()
    with HostilePacs(DRIPS[what]) as pacs, pytest.raises(DeliveryFailed, match="TimeoutError"):
        exchange(web(pacs, seconds=patient(0.3)), "GET", "/studies")
    settled(before)


@pytest.mark.parametrize(
    "body",
    [b"[" * 400_000, b'{"a":' * 100_000, b'{"00081199": ' + b"9" * 5000 + b"}", b"\xff\xfe\x00", b'"\\ud800', b"nul"],
)
def test_what_breaks_a_parser_is_a_failed_attempt(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "result.dcm"
    path.write_bytes(bytes(100))
    parcel = Parcel("1.2.3", "1.2.840.10008.5.1.4.1.1.7", "1.2", "1", path)
    with HostilePacs(answering(HEAD % len(body) + body)) as pacs, pytest.raises(DeliveryFailed, match="not JSON"):
        StowTransport().store(web(pacs, seconds=patient(10)), [parcel])


def silent_finds(caller: socket.socket) -> None:
    """Take the association and every PDU on it, and never answer."""
    read_pdu(caller)
    caller.sendall(accepted((1,), syntax=IMPLICIT))
    while caller.recv(65536):
        pass


def test_an_association_of_ours_is_cut_at_the_deadline_whatever_is_under_way_on_it() -> None:
    before = footprint()
    with HostilePacs(silent_finds) as pacs:
        destination = pacs.destination.model_copy(update={"exchange_seconds": patient(0.5)})
        association = associate(destination, [(Find, ImplicitVRLittleEndian)], calling_ae_title="HEATPROOF")
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        with pytest.raises(DeliveryFailed):
            list(matches(association, destination, query, most=1))
        wait_until(lambda: not association.is_established, 5, "the end of the association")
        association.abort()
    settled(before)


def test_a_node_that_stops_ends_every_exchange_of_its_own() -> None:
    before = footprint()
    problems: list[DeliveryFailed] = []
    asked = threading.Event()

    def drip_once_asked(caller: socket.socket) -> None:
        caller.recv(65536)
        asked.set()
        drip(caller)

    with HostilePacs(drip_once_asked) as pacs:

        def ask() -> None:
            try:
                exchange(web(pacs, seconds=patient(600)), "GET", "/studies")
            except DeliveryFailed as error:
                problems.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        assert asked.wait(patient(10))
        exchanges.end_all()
        asking.join(patient(5))
    assert len(problems) == 1
    assert not exchanges._under_way
    settled(before)


STUCK = """
import os, signal, sys, threading
from types import SimpleNamespace
from node import service
service.STOP_SECONDS = 0.5
node = service.Node.__new__(service.Node)
node._asked, node._replaced, node._log = threading.Event(), False, SimpleNamespace(error=lambda *_, **said: print(said))
node.start = lambda: print("started", flush=True)
node.stop = lambda: threading.Thread(target=threading.Event().wait, name="never").start()
node.run()
"""


@pytest.mark.slow
def test_a_node_that_was_told_to_stop_ends_whatever_still_runs_in_it() -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, env={**os.environ}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(patient(20)) == 0

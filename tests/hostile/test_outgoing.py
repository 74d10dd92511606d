"""A destination may be hostile too: what it answers is held to the bounds of what a peer may ask (row 43)."""

import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find

from inference.errors import DeliveryFailed
from node.associations import connection, requestor
from node.associations.requestor import answers, associate
from node.demo.ports import reserve_port
from node.settings.destination import Destination
from node.settings.settings import Settings
from tests.hostile.certificates import Authority
from tests.hostile.footprint import footprint, settled
from tests.hostile.hostile_pacs import FIND, HostilePacs, accepted, read_pdu, wait_for_end
from tests.hostile.raw_peer import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    EXPLICIT,
    IMPLICIT,
    P_DATA,
    command,
    even,
    fragment,
    pdu,
)
from tests.node.receiving.intake import mr_image
from tests.node.running import is_listening
from tests.patience import patient, wait_until

FIND_CONTEXT = [(Find, ImplicitVRLittleEndian)]


def say(*pdus: bytes, then: Callable[[socket.socket], None] = wait_for_end) -> Callable[[socket.socket], None]:
    """Take the association request, say these, then do that."""

    def script(caller: socket.socket) -> None:
        read_pdu(caller)
        for one in pdus:
            caller.sendall(one)
        then(caller)

    return script


def drip(caller: socket.socket) -> None:
    caller.sendall(struct.pack(">BBL", ASSOCIATE_AC, 0, 500))
    while True:
        caller.sendall(b"\0")
        time.sleep(0.05)  # each byte is in time, all of them never


SCRIPTS = {
    "an answer of 4 GiB": say(struct.pack(">BBL", ASSOCIATE_AC, 0, 0xFFFFFFFF) + bytes(100_000)),
    "an answer that never comes": say(),
    "an answer that drips": say(then=drip),
    "garbage": say(b"\xff" * 500),
    "HTTP": say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "an answer cut short": say(pdu(ASSOCIATE_AC, bytes(30))),
    "items that do not fit": say(pdu(ASSOCIATE_AC, accepted(syntax=IMPLICIT)[6:90] + b"\x21\0\xff\xff")),
    "contexts that nobody offered": say(accepted((77, 78), syntax=IMPLICIT)),
    "P-DATA in place of an answer": say(fragment(1, 3, bytes(100))),
    "a rejection": say(pdu(ASSOCIATE_RJ, bytes((0, 1, 1, 3)))),
    "an abort": say(pdu(ABORT, bytes(4))),
    "PDUs of 7 bytes": say(accepted((1,), syntax=IMPLICIT, longest=7)),
    "an end": lambda _: None,
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_whatever_a_destination_answers_there_is_a_delivery_failed_in_time(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requestor, "CONNECTION_SECONDS", patient(1.0))
    monkeypatch.setattr(connection, "PDU_SECONDS", patient(0.5))
    before = footprint()
    started = time.monotonic()
    with HostilePacs(SCRIPTS[what]) as pacs, pytest.raises(DeliveryFailed, match="pacs"):
        associate(pacs.destination, FIND_CONTEXT, calling_ae_title="HEATPROOF")
    assert time.monotonic() - started < patient(4)
    assert settled(before).resident_bytes - before.resident_bytes < 5 << 20


def test_nobody_at_the_address_is_said_plainly() -> None:
    nobody = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=reserve_port())
    with pytest.raises(DeliveryFailed, match="Connection refused"):
        associate(nobody, FIND_CONTEXT, calling_ae_title="HEATPROOF")
    unknown = Destination(name="pacs", ae_title="PACS", host="no-such-host.invalid", port=104)
    with pytest.raises(DeliveryFailed, match="has no address"):
        associate(unknown, FIND_CONTEXT, calling_ae_title="HEATPROOF")


def pending() -> bytes:
    said = command(
        (0x0002, even(FIND)),
        (0x0100, struct.pack("<H", 0x8020)),
        (0x0120, struct.pack("<H", 1)),
        (0x0800, struct.pack("<H", 0x0001)),
        (0x0900, struct.pack("<H", 0xFF00)),
    )
    comments = struct.pack("<HHL", 0x0010, 0x4000, 1000) + b"X" * 1000
    return fragment(1, 3, said) + fragment(1, 2, comments)


def test_pending_responses_without_end_are_cut_and_do_not_pile_up() -> None:
    held_back = threading.Event()

    def flood(caller: socket.socket) -> None:
        read_pdu(caller), read_pdu(caller)
        content, sent = pending() * 100, 0
        while True:
            if select.select([], [caller], [], 0.2)[1]:
                sent = (sent + caller.send(content[sent:])) % len(content)
            else:
                held_back.set()

    before = footprint()
    with HostilePacs(say(accepted((1,), syntax=IMPLICIT), then=flood)) as pacs:
        association = associate(pacs.destination, FIND_CONTEXT, calling_ae_title="HEATPROOF")
        asked = Dataset()
        asked.QueryRetrieveLevel = "STUDY"
        responses = association.send_c_find(asked, Find)
        taken = answers(responses, pacs.destination, most=50, seconds=patient(30))
        first = next(taken)
        assert held_back.wait(patient(10)), "the peer could send without end"
        assert footprint().resident_bytes - before.resident_bytes < 10 << 20
        with pytest.raises(DeliveryFailed, match="went on answering"):
            list(taken)
        association.abort()
    assert first[0].Status == 0xFF00
    settled(before)


def test_a_response_longer_than_negotiated_ends_the_association() -> None:
    def script(caller: socket.socket) -> None:
        read_pdu(caller), read_pdu(caller)
        caller.sendall(struct.pack(">BBL", P_DATA, 0, 1 << 30) + bytes(100_000))
        wait_for_end(caller)

    before = footprint()
    image = mr_image()
    with HostilePacs(say(accepted((1,), syntax=EXPLICIT), then=script)) as pacs:
        contexts = [(image.SOPClassUID, ExplicitVRLittleEndian)]
        association = associate(pacs.destination, contexts, calling_ae_title="HEATPROOF")
        assert not association.send_c_store(image)
        wait_until(lambda: not association.is_established, 2, "the end of the association")
    assert settled(before).resident_bytes - before.resident_bytes < 5 << 20


def test_a_destination_that_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS", patient(0.5))
    before = footprint()
    image, given_up = mr_image(size=2048), threading.Event()

    def stay_silent(_: socket.socket) -> None:
        given_up.wait(patient(10))

    with HostilePacs(say(accepted((1,), syntax=EXPLICIT), then=stay_silent)) as pacs:
        contexts = [(image.SOPClassUID, ExplicitVRLittleEndian)]
        association = associate(pacs.destination, contexts, calling_ae_title="HEATPROOF")
        started = time.monotonic()
        assert not association.send_c_store(image)
        assert time.monotonic() - started < patient(3)
        given_up.set()
    settled(before)


def over_tls(authority: Authority, port: int, **changes: object) -> Destination:
    destination = Destination.model_validate(
        {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "tls": True, **changes}
    )
    return destination.with_tls(authority.settings(authority.issue("node")))


@pytest.mark.peers
def test_results_go_over_tls_to_storescp_of_dcmtk_and_to_nobody_who_shows_another_certificate(tmp_path: Path) -> None:
    storescp = shutil.which("storescp")
    if storescp is None:
        pytest.skip("storescp of DCMTK is not installed")
    authority, stranger, image, port = Authority(tmp_path), Authority(tmp_path, "another"), mr_image(), reserve_port()
    pacs = authority.issue("pacs")
    tls = ["+tls", str(pacs.key), str(pacs.certificate), "+cf", str(authority.own.certificate)]
    contexts = [(image.SOPClassUID, ExplicitVRLittleEndian)]
    with subprocess.Popen([storescp, *tls, "-od", str(tmp_path), str(port)], env={"TCP_NODELAY": "1"}) as server:
        wait_until(lambda: is_listening(port), 5, "storescp")
        for certificate in ("", pacs.sha256):
            destination = over_tls(authority, port, certificate_sha256=certificate)
            association = associate(destination, contexts, calling_ae_title="HEATPROOF")
            assert association.send_c_store(image).Status == 0x0000
            association.release()
        pinned = over_tls(authority, port, certificate_sha256=authority.own.sha256)
        with pytest.raises(DeliveryFailed, match="another certificate"):
            associate(pinned, contexts, calling_ae_title="HEATPROOF")
        with pytest.raises(DeliveryFailed, match=r"local issuer|self-signed|verify failed"):
            associate(over_tls(stranger, port), contexts, calling_ae_title="HEATPROOF")
        elsewhere = over_tls(authority, port, host="127.0.0.2")
        with pytest.raises(DeliveryFailed, match=r"mismatch|not valid for"):
            associate(elsewhere, contexts, calling_ae_title="HEATPROOF")
        server.terminate()


def test_a_destination_that_wants_tls_needs_the_table_for_it(tmp_path: Path) -> None:
    raw = {
        "node": {"home": tmp_path},
        "http": {"token_file": tmp_path / "token"},
        "destinations": [{"name": "pacs", "ae_title": "PACS", "host": "h", "port": 2762, "tls": True}],
    }
    with pytest.raises(ValueError, match=r"add the table \[tls\]"):
        Settings.model_validate(raw)

"""The association doctor: what the node refused, and what works with a peer, in words with a cure."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification
from typer.testing import CliRunner, Result

from inference.errors import UnknownName
from node import doctor
from node.associations import rejection
from node.associations.refusals import Refusals
from node.associations.request import Offer, Refusal
from node.cli import app
from node.delivery import reach
from node.delivery.reach import Step
from node.demo.ports import reserve_port
from node.doctor import examine, find_peer, way_back
from node.settings.destination import Destination
from node.settings.http import HttpSettings
from node.settings.node import NodeSettings
from node.settings.peer import Peer
from node.settings.settings import Settings
from node.settings.tls import TlsSettings
from tests.node.running import is_listening
from tests.node.web.web import WebServer
from tests.node.web.web_site import Site
from tests.patience import patient, wait_until
from tests.peers.orthanc import PROGRAM, OrthancServer

STORESCP = shutil.which("storescp")


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "STEP_SECONDS", patient(2))
    monkeypatch.setattr(doctor, "WHOLE_SECONDS", max(20.0, 3 * doctor.STEP_SECONDS))
    monkeypatch.setattr(rejection, "PROBE_SECONDS", patient(0.3))
    monkeypatch.setattr(reach, "CONNECT_SECONDS", patient(1.0))


@contextmanager
def stand_in_pacs(*classes: str, context: ssl.SSLContext | None = None, **options: object) -> Iterator[int]:
    """A peer called PACS that takes these SOP classes."""
    entity = AE(ae_title="PACS")
    for name, value in options.items():
        setattr(entity, name, value)
    for abstract_syntax in classes:
        entity.add_supported_context(abstract_syntax)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _event: 0x0000)], ssl_context=context
    )
    assert server is not None
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def hang_up(server: socket.socket) -> None:
    """Accept connections and close them, until the server is closed."""
    with suppress(OSError):
        while True:
            server.accept()[0].close()


def ask(port: int, title: str = "PACS", **options: object) -> dict[str, Step]:
    peer = Destination(name="pacs", host="127.0.0.1", port=port, ae_title=title, **options)  # type: ignore[arg-type]
    return {step.name: step for step in examine(peer, calling_ae_title="HEATPROOF")}


STORAGE = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]


def test_a_peer_that_takes_everything_works_in_every_step() -> None:
    with stand_in_pacs(Verification, *STORAGE, StudyRootQueryRetrieveInformationModelFind) as port:
        steps = ask(port, proof="find")
    assert {step.outcome for step in steps.values()} == {"works", "note"}
    assert steps["C-FIND"].outcome == "works"
    assert steps["store report"].said == (
        "Accepts Comprehensive 3D SR in Explicit VR Little Endian and Implicit VR Little Endian."
    )
    assert [name for name, step in steps.items() if step.outcome == "note"] == [
        "storage commitment",
        "C-MOVE",
        "C-GET",
    ]


def test_a_missing_sop_class_or_proof_is_named_with_its_cure() -> None:
    with stand_in_pacs(Verification, SecondaryCaptureImageStorage) as port:
        steps = ask(port, proof="commitment")
    assert steps["store capture"].outcome == "works"
    assert (steps["store report"].outcome, steps["storage commitment"].outcome) == ("fails", "fails")
    assert "1.2.840.10008.5.1.4.1.1.88.34" in steps["store report"].cure
    assert steps["store parametric map"].outcome == "note"  # nothing of it is to be sent there


def test_a_port_nobody_listens_on_says_so_and_ends_there() -> None:
    steps = ask(reserve_port())
    assert list(steps) == ["connection"]
    assert steps["connection"].said.startswith("Nothing listens on port")


def test_a_host_without_an_address_says_so() -> None:
    peer = Destination(name="x", host="no-such-host.invalid", port=104, ae_title="X")
    (step,) = examine(peer, calling_ae_title="HEATPROOF")
    assert (step.name, step.outcome) == ("name", "fails")


def test_a_wrong_called_title_and_an_unknown_calling_one_are_told_apart() -> None:
    with stand_in_pacs(Verification, require_called_aet=True) as port:
        called = ask(port, "PASC")["association"]
    with stand_in_pacs(Verification, require_calling_aet=["OTHER"]) as port:
        calling = ask(port)["association"]
    assert "it is not called PASC" in called.said
    assert "result 1, source 1, reason 7" in called.said
    assert "does not know the calling AE title HEATPROOF" in calling.said
    assert calling.cure == "Enter HEATPROOF with this machine's address among the peers that it knows."


def test_a_peer_at_its_limit_is_told_from_one_that_refuses() -> None:
    with stand_in_pacs(Verification, maximum_associations=0) as port:
        step = ask(port)["association"]
    assert "for now: its limit of associations is reached" in step.said
    assert step.cure == "Try again later, or have its limit raised."


def test_a_silent_peer_one_that_hangs_up_and_a_web_server_are_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = ask(silent.getsockname()[1])["association"].said
    assert said == (
        f"The peer accepts the TCP connection, and then gives no answer within {doctor.STEP_SECONDS:.3g} s where an "
        "association is asked for."
    )
    with socket.create_server(("127.0.0.1", 0)) as closing:
        threading.Thread(target=hang_up, args=(closing,), daemon=True).start()
        said = ask(closing.getsockname()[1])["association"].said
    assert said == "The peer accepts the TCP connection, and then closes it where an association is asked for."
    site = Site(tmp_path)
    with WebServer(site.application) as web:
        step = ask(int(web.url.rpartition(":")[2]))["association"]
    assert "web server" in step.said


def test_a_peer_that_never_answers_a_request_is_left_at_the_step_that_it_does_not_answer() -> None:
    answered = threading.Event()

    def never(_event: evt.Event) -> int:
        answered.wait()
        return 0x0000

    entity = AE(ae_title="PACS")
    entity.supported_contexts = AllStoragePresentationContexts[:100]
    entity.add_supported_context(Verification)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, never)])
    assert server is not None
    try:
        steps = ask(server.socket.getsockname()[1])
    finally:
        answered.set()
        server.shutdown()
    assert list(steps) == ["connection", "association", "C-ECHO"]
    assert steps["C-ECHO"].said == f"PACS gives no answer to C-ECHO within {doctor.STEP_SECONDS:.3g} s."


def test_a_web_server_that_never_answers_is_left_as_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/dicom-web"
        peer = Destination(name="web", protocol="stow", url=url)
        *_, step = examine(peer, calling_ae_title="HEATPROOF")
    assert step.said == f"{url} gives no answer to a search for studies within {doctor.STEP_SECONDS:.3g} s."


def test_all_answers_of_a_peer_together_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.Deadline().seconds == doctor.STEP_SECONDS
    monkeypatch.setattr(doctor, "STEP_SECONDS", 10.0)
    monkeypatch.setattr(doctor, "WHOLE_SECONDS", 0.0)
    assert doctor.Deadline().seconds == 1.0


def test_no_verification_is_a_fault_of_echo_and_not_of_the_association() -> None:
    with stand_in_pacs(SecondaryCaptureImageStorage) as port:
        steps = ask(port)
    assert (steps["association"].outcome, steps["C-ECHO"].outcome) == ("works", "fails")
    with stand_in_pacs(MRImageStorage) as port:
        assert "none of its presentation contexts" in ask(port)["association"].said


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    found = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=peer", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-out", str(found[0]), "-keyout", str(found[1])]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return found


def test_tls_is_examined_by_itself_and_missed_where_only_the_peer_wants_it(certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    ours = TlsSettings(certificate=certificate[0], key=certificate[1], ca_file=certificate[0])
    with stand_in_pacs(Verification, context=context) as port:
        plain = ask(port)["association"]
        peer = Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS", tls=True).with_tls(ours)
        steps = {step.name: step for step in examine(peer, calling_ae_title="HEATPROOF")}
        pinned = peer.model_copy(update={"certificate_sha256": "0" * 64}).with_tls(ours)
        other = {step.name: step for step in examine(pinned, calling_ae_title="HEATPROOF")}
    assert "speaks TLS" in plain.said
    assert steps["TLS"].outcome == steps["C-ECHO"].outcome == "works"
    assert "not the expected one" in other["TLS"].said
    with stand_in_pacs(Verification) as port:
        peer = Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS", tls=True).with_tls(ours)
        step = list(examine(peer, calling_ae_title="HEATPROOF"))[-1]
    assert (step.name, step.outcome) == ("TLS", "fails")


def test_a_dicomweb_destination_is_asked_for_studies(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with WebServer(site.application) as web:  # no QIDO-RS there: it answers 404, which QIDO may
        peer = Destination(name="web", protocol="stow", url=f"{web.url}/dicom-web")
        steps = {step.name: step.outcome for step in examine(peer, calling_ae_title="HEATPROOF")}
    assert steps["connection"] == "works"
    assert "QIDO-RS" in steps
    steps = {step.name: step.outcome for step in examine(peer, calling_ae_title="HEATPROOF")}
    assert steps == {"connection": "fails"}


def test_a_peer_is_named_by_its_destination_or_by_host_port_and_title(tmp_path: Path) -> None:
    known = Destination(name="pacs", host="10.1.2.3", port=104, ae_title="ORTHANC")
    settings = Settings(
        node=NodeSettings(home=tmp_path), http=HttpSettings(token_file=tmp_path / "token"), destinations=(known,)
    )
    assert find_peer("pacs", settings) == known
    found = find_peer("[::1]:11112/SCP", None)
    assert (found.host, found.port, found.ae_title) == ("::1", 11112, "SCP")
    for wrong in ("pasc", "host:104", "host/X", "host:0/X", "host:104/" + "X" * 17):
        with pytest.raises(UnknownName):
            find_peer(wrong, settings)


def test_the_way_back_tells_what_the_node_refused_of_this_peer(tmp_path: Path) -> None:
    http = HttpSettings(token_file=tmp_path / "token")
    peer = Destination(name="pacs", host="127.0.0.1", port=104, ae_title="ORTHANC")
    told = [
        Refusal("Wrong title.", "Use HEATPROOF.", "127.0.0.1", "CT1", "HEATPROFF", times=3),
        Refusal("Not known.", "Enter it.", "10.0.0.9", "ORTHANC", "HEATPROOF"),
        Refusal("Not its own.", "None.", "10.0.0.9", "OTHER", "HEATPROOF"),
    ]
    steps = list(way_back(told, peer, Settings(node=NodeSettings(home=tmp_path), http=http)))
    assert [step.cure for step in steps] == ["Use HEATPROOF.", "Enter it."]
    assert "CT1 3 times" in steps[0].said
    only_ct = (Peer(name="ct", ae_title="CT1", addresses=("10.0.0.5",)),)
    closed = Settings(node=NodeSettings(home=tmp_path), http=http, peers=only_ct)
    (step,) = way_back([], peer.model_copy(update={"proof": "commitment"}), closed)
    assert (step.name, step.outcome) == ("may call", "fails")


def test_a_peer_that_only_calls_is_known_by_name_and_cannot_be_asked(tmp_path: Path) -> None:
    http = HttpSettings(token_file=tmp_path / "token")
    ct = Peer(name="ct", ae_title="CT1", addresses=("10.0.0.5",))
    found = find_peer("ct", Settings(node=NodeSettings(home=tmp_path), http=http, peers=(ct,)))
    (step,) = examine(found, calling_ae_title="HEATPROOF")
    assert (step.name, step.outcome) == ("address", "note")
    assert "HOST:PORT/CT1" in step.cure


def heatproof(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.peers
@pytest.mark.skipif(STORESCP is None, reason="DCMTK is not installed")
def test_the_command_tells_people_and_programs_and_ends_with_0_or_1(tmp_path: Path) -> None:
    port = reserve_port()
    options = ["-aet", "STORESCP", "--output-directory", str(tmp_path)]
    server = subprocess.Popen([str(STORESCP), *options, str(port)])
    try:
        wait_until(lambda: is_listening(port), 20, "the start of storescp")
        told = heatproof("doctor", f"127.0.0.1:{port}/STORESCP", "--config", str(tmp_path / "none"))
        rows = heatproof("doctor", f"127.0.0.1:{port}/STORESCP", "--json", "--config", str(tmp_path / "none"))
    finally:
        server.kill()
        server.wait()
    assert told.exit_code == rows.exit_code == 0, told.output + rows.output
    assert "✓ C-ECHO: STORESCP answers C-ECHO." in told.stdout
    assert {row["name"]: row["outcome"] for row in json.loads(rows.stdout)}["store report"] == "works"
    assert list(tmp_path.iterdir()) == []  # nothing is stored there
    gone = heatproof("doctor", f"127.0.0.1:{port}/STORESCP", "--config", str(tmp_path / "none"))
    assert gone.exit_code == 1
    assert "Nothing listens" in gone.stdout


@pytest.mark.peers
@pytest.mark.skipif(PROGRAM is None, reason="Orthanc is not installed")
def test_a_real_orthanc_passes_and_its_web_port_is_recognised() -> None:
    with OrthancServer() as orthanc:
        steps = ask(orthanc.dicom_port, "ORTHANC", proof="commitment")
        web = ask(orthanc.http_port, "ORTHANC")
    assert {step.outcome for step in steps.values()} == {"works"}
    assert "web server" in web["association"].said


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("home"))
    refused = Refusals(made.engine)
    offer = Offer(1, str(MRImageStorage), ("1.2.840.10008.1.2.1.99",))
    mismatch = Refusal(
        "The title HEATPROFF is one letter off.", "Call HEATPROOF.", "10.0.0.5", "CT<1>", "HEATPROFF",
        (offer,), result=1, source=1, reason=7, at=datetime(2026, 11, 22, 9, tzinfo=UTC),
    )  # fmt: skip
    aborted = Refusal("It spoke no DICOM.", "", "10.0.0.6", source=2, reason=1)
    partly = Refusal(
        "One context was not accepted.", "Send it unpacked.", "10.0.0.7", "MR1", offers=(offer,), accepted=True
    )
    for one in (mismatch, mismatch, aborted, partly):
        refused.record(one)
    refused.close()
    return made


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[httpx.Client]:
    with (
        WebServer(site.application) as server,
        httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {site.token}"}, timeout=patient(30)
        ) as made,
    ):
        yield made


def test_the_page_shows_when_who_what_why_and_the_cure(client: httpx.Client) -> None:
    page = client.get("/doctor").text
    for shown in (
        "The title HEATPROFF is one letter off.",
        "Call HEATPROOF.",
        "the last of 2 times",
        "CT&lt;1&gt;",
        "rejected permanently by the service user (result, source, reason: 1, 1, 7)",
        "aborted by the service provider (source, reason: 2, 1)",
        "1 presentation context not accepted",
        "MR Image",
        "Deflated Explicit VR Little Endian",
        "None is known; look into the log at this time.",
    ):
        assert shown in page, shown
    assert "CT<1>" not in page


def test_one_peer_can_be_picked_by_title_address_or_both(client: httpx.Client) -> None:
    for peer in ("MR1", "10.0.0.7", "MR1 at 10.0.0.7"):
        (row,) = client.get("/api/refusals", params={"peer": peer}).json()
        assert row["cure"] == "Send it unpacked."
        assert row["outcome"] == "accepted without these contexts"
        page = client.get("/doctor", params={"peer": peer}).text
        assert "Send it unpacked." in page
        assert "Call HEATPROOF." not in page
    assert len(client.get("/api/refusals").json()) == 3
    assert len(client.get("/api/refusals", params={"limit": 1}).json()) == 1


def test_an_unknown_peer_and_an_empty_table_say_so(client: httpx.Client, tmp_path: Path) -> None:
    assert "Nothing was refused to &lt;i&gt;." in client.get("/doctor", params={"peer": "<i>"}).text
    fresh = Site(tmp_path)
    with WebServer(fresh.application) as server:
        page = httpx.get(
            f"{server.url}/doctor", headers={"Authorization": f"Bearer {fresh.token}"}, timeout=patient(30)
        ).text
    assert "Nothing has been refused" in page

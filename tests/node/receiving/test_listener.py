import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE, AllStoragePresentationContexts, build_context
from pynetdicom.dsutils import encode
from structlog.testing import capture_logs

from node.associations import entrance
from node.associations.connection import MAXIMUM_PDU_LENGTH_BYTES
from node.associations.storage_classes import RETIRED_IMAGE_CLASSES
from node.receiving import inbox
from tests.patience import patient, wait_until

from .intake import Intake, compressed, mr_image, own_capture, with_meta

HERE = Path(__file__).parent
ANSWER = r'sendto\(\d+<[^>]*>, "\\4\\0'
"""A P-DATA, in what strace writes."""
COMMON_SYNTAXES = (
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGBaseline8Bit,
    JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless, JPEG2000,
    HTJ2KLossless,
)  # fmt: skip


def test_echo_is_answered(listening: Intake) -> None:
    peer = listening.associate()
    assert peer.send_c_echo().Status == 0x0000
    peer.release()


def test_an_association_for_another_title_is_rejected(listening: Intake) -> None:
    peer = listening.associate(called="SOMEBODY")
    assert peer.is_rejected
    refusal = peer.acceptor.primitive
    assert (refusal.result, refusal.result_source, refusal.diagnostic) == (1, 1, 7)


def test_a_stopped_listener_accepts_nothing_and_can_be_started_again(listening: Intake) -> None:
    listening.listener.stop()
    assert not listening.listener.running
    listening.listener.start()
    assert listening.listener.running
    assert listening.send(mr_image()) == [0x0000]


def test_stopping_lets_an_open_association_finish_what_it_sends(listening: Intake) -> None:
    image = mr_image()
    peer = listening.associate(image)
    stopping = threading.Thread(target=listening.listener.stop, kwargs={"grace_seconds": patient(5.0)})
    stopping.start()
    assert peer.send_c_store(image).Status == 0x0000
    peer.release()
    stopping.join(timeout=patient(6))
    assert not stopping.is_alive()


def test_every_common_transfer_syntax_is_accepted_for_every_storage_class(listening: Intake) -> None:
    classes = [context.abstract_syntax for context in AllStoragePresentationContexts]
    for number, syntax in enumerate(COMMON_SYNTAXES):
        client = AE()
        some = classes[:128] if number % 2 else classes[-128:]  # no association can ask for more
        client.requested_contexts = [build_context(uid, syntax) for uid in some]
        peer = client.associate("127.0.0.1", listening.listener.port, ae_title="HEATPROOF")
        assert len(peer.accepted_contexts) == len(some)
        assert peer.acceptor.maximum_length == MAXIMUM_PDU_LENGTH_BYTES
        peer.release()


def test_what_is_refused_is_logged_with_its_sender(listening: Intake) -> None:
    image = mr_image()
    del image.StudyInstanceUID
    with capture_logs() as written:
        assert listening.send(image, calling="MODALITY7") == [0xC000]
    (entry,) = [one for one in written if one["event"] == "instance_refused"]
    assert (entry["calling_ae_title"], entry["peer_address"]) == ("MODALITY7", "127.0.0.1")


@pytest.mark.parametrize("retired", RETIRED_IMAGE_CLASSES)
def test_images_of_retired_storage_classes_are_kept(listening: Intake, retired: str) -> None:
    image = mr_image()
    image.SOPClassUID = retired
    assert listening.send(with_meta(image, ExplicitVRLittleEndian)) == [0x0000]
    assert [row.sop_class_uid for row in listening.rows()] == [retired]


def test_the_deflated_transfer_syntax_is_not(listening: Intake) -> None:
    client = AE()
    client.add_requested_context("1.2.840.10008.5.1.4.1.1.4", DeflatedExplicitVRLittleEndian)
    client.add_requested_context("1.2.840.10008.1.1")
    peer = client.associate("127.0.0.1", listening.listener.port, ae_title="HEATPROOF")
    assert len(peer.rejected_contexts) == 1
    peer.release()


def test_instances_are_kept_as_sent_compressed_or_not(listening: Intake) -> None:
    images = [mr_image(), compressed(mr_image())]
    assert listening.send(*images) == [0x0000, 0x0000]
    kept = {row.sop_instance_uid: row for row in listening.rows()}
    for image in images:
        row = kept[image.SOPInstanceUID]
        assert row.transfer_syntax_uid == image.file_meta.TransferSyntaxUID
        assert (row.calling_ae_title, row.peer_address) == ("SENDER", "127.0.0.1")


def test_sent_again_it_is_a_success_and_other_bytes_are_0111(listening: Intake) -> None:
    image, other = mr_image(seed=1), mr_image(seed=2)
    other.SOPInstanceUID = image.SOPInstanceUID
    assert listening.send(image, image, other) == [0x0000, 0x0000, 0x0111]
    assert len(listening.files()) == 1


def test_twenty_associations_with_the_same_instance_leave_one_file(listening: Intake) -> None:
    image = mr_image()
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: listening.send(image), range(20)))
    assert statuses == [[0x0000]] * 20
    assert len(listening.files()) == len(listening.rows()) == 1


def store_raw(intake: Intake, image: Dataset, encoded: bytes, *, instance: str | None = None) -> Dataset:
    """Send a data set that pynetdicom itself would not build."""
    from io import BytesIO

    from pynetdicom.dimse_primitives import C_STORE

    peer = intake.associate(image)
    context = next(cx for cx in peer.accepted_contexts if cx.abstract_syntax == image.SOPClassUID)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = image.SOPClassUID, instance or image.SOPInstanceUID
    request.DataSet = BytesIO(encoded)
    peer._reactor_checkpoint.clear()
    peer.dimse.send_msg(request, context.context_id)
    _, answer = peer.dimse.get_msg(block=True)
    peer._reactor_checkpoint.set()
    assert peer.is_established
    assert peer.send_c_echo().Status == 0x0000
    peer.release()
    return answer


@pytest.mark.parametrize("kept_part", [0.5, 0.99])
def test_cut_pixel_data_is_refused_over_a_real_association(listening: Intake, kept_part: float) -> None:
    image = mr_image()
    whole = encode(image, is_implicit_vr=False, is_little_endian=True)
    assert whole is not None
    answer = store_raw(listening, image, whole[: int(len(whole) * kept_part)])
    assert answer.Status == 0xC000
    assert answer.ErrorComment == "The instance cannot be kept: the data set is cut short."
    assert listening.files() == listening.rows() == []
    assert len(listening.quarantined()) == 1
    assert listening.events() == ["refused"]


def test_bytes_that_are_no_data_set_are_refused_and_the_association_stays(listening: Intake) -> None:
    assert store_raw(listening, mr_image(), b"GIF89a" * 100).Status == 0xC000


def test_another_uid_in_the_command_set_is_a900(listening: Intake) -> None:
    image = mr_image()
    whole = encode(image, is_implicit_vr=False, is_little_endian=True)
    assert whole is not None
    assert store_raw(listening, image, whole, instance="1.2.3").Status == 0xA900


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")  # said by the peer of this test
@pytest.mark.parametrize("uid", ["../../outside", "/var/outside", ".."])
def test_a_path_in_place_of_a_uid_stays_outside_the_file_system(listening: Intake, uid: str) -> None:
    image = mr_image()
    whole = encode(image, is_implicit_vr=False, is_little_endian=True)
    assert whole is not None
    before = set(listening.home.parent.rglob("*outside*"))
    assert store_raw(listening, image, whole, instance=uid).Status == 0xC000
    assert set(listening.home.parent.rglob("*outside*")) == before


def test_what_only_says_that_we_made_it_is_kept(listening: Intake) -> None:
    assert listening.send(own_capture()) == [0x0000]
    assert [row.foreign_result for row in listening.rows()] == [True]


def test_an_error_nobody_foresaw_is_answered_and_set_aside(
    listening: Intake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("CANARY in the text of an error")

    monkeypatch.setattr(inbox, "inspect", broken)
    image = mr_image()
    peer = listening.associate(image)
    assert peer.send_c_store(image).Status == 0xC000
    assert peer.send_c_echo().Status == 0x0000
    peer.release()
    (reason,) = listening.quarantined()
    assert "RuntimeError" in reason.read_text()
    printed = capsys.readouterr()
    assert reason.stem in printed.out + printed.err
    assert "CANARY" not in printed.out + printed.err


def test_no_patient_is_in_what_is_logged_or_named(
    listening: Intake, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    image, other = mr_image(seed=1), mr_image(seed=2)
    other.SOPInstanceUID = image.SOPInstanceUID
    listening.send(image, other)
    store_raw(listening, image, b"\x10\x00\x10\x00PN\x06\x00CANARY")
    printed = capsys.readouterr()
    reasons = [path.read_text() for path in listening.quarantined()]
    names = [str(path) for path in listening.home.rglob("*")]
    assert "CANARY" not in "".join([printed.out, printed.err, caplog.text, *reasons, *names])


def raw_connection(intake: Intake) -> socket.socket:
    return socket.create_connection(("127.0.0.1", intake.listener.port), timeout=patient(5))


def test_a_pdu_that_announces_4_gib_is_cut_before_it_is_read(listening: Intake) -> None:
    with raw_connection(listening) as peer:
        peer.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFFF) + bytes(1000))
        started = time.monotonic()
        assert was_closed(peer)
        assert time.monotonic() - started < patient(2)
    assert listening.associate().send_c_echo().Status == 0x0000


def was_closed(peer: socket.socket) -> bool:
    try:
        while peer.recv(4096):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def test_a_peer_that_sends_a_byte_now_and_then_is_cut(listening: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "REQUEST_SECONDS", patient(0.5))
    with raw_connection(listening) as peer:
        peer.sendall(struct.pack(">BBL", 1, 0, 20_000))

        def is_cut() -> bool:
            try:
                peer.sendall(b"\0")
            except ConnectionError:
                return True
            return False

        wait_until(is_cut, 1.5, "the end of the connection, while a byte came now and then,")


def test_a_peer_that_drops_in_the_middle_leaves_nothing_behind(listening: Intake) -> None:
    image = mr_image(size=512)
    peer = listening.associate(image)
    whole = encode(image, is_implicit_vr=False, is_little_endian=True)
    assert whole is not None
    with peer.dul.socket.socket as connection:
        connection.sendall(struct.pack(">BBL", 4, 0, 100_000) + whole[:50_000])
        connection.shutdown(socket.SHUT_RDWR)
        peer.abort()
    assert listening.send(mr_image()) == [0x0000]
    assert len(listening.files()) == len(listening.rows()) == 1


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[tuple[int, Path, Path]]:
    """A node of its own whose system calls are written down: its port, its home, and the file of the calls."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    home, log = tmp_path / "home", tmp_path / "calls"
    home.mkdir()
    code = (
        "import sys, pathlib; from tests.node.receiving.intake import Intake;"
        "intake = Intake(pathlib.Path(sys.argv[1]));"
        "intake.listener.start(); print(intake.listener.port, flush=True); sys.stdin.read(); intake.close()"
    )
    calls = "trace=openat,fsync,fdatasync,rename,renameat,renameat2,write,pwrite64,sendto,sendmsg"
    with subprocess.Popen(
        [sys.executable, "-c", code, home], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE.parents[2]
    ) as node:
        assert node.stdout is not None
        port = int(node.stdout.readline())
        trace = ["strace", "-f", "-y", "-s", "8", "-e", calls, "-o", log, "-p", str(node.pid)]
        with subprocess.Popen(trace, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            if "attached" not in said:
                node.kill()
                pytest.skip(f"strace may not trace here: {said.strip()}")
            yield port, home, log
            node.kill()


@pytest.mark.peers
def test_success_is_sent_only_after_fsync_of_file_and_folder_and_commit(traced: tuple[int, Path, Path]) -> None:
    port, home, log = traced
    image = mr_image()
    client = AE()
    client.add_requested_context(image.SOPClassUID, ExplicitVRLittleEndian)
    peer = client.associate("127.0.0.1", port, ae_title="HEATPROOF")
    for sent in (image, mr_image()):
        start = len(log.read_text().splitlines())
        assert peer.send_c_store(sent).Status == 0x0000
        wait_until(lambda first=start: is_answered(calls_since(log, first)), 5, "the record of the answer")
        assert promised_order(calls_since(log, start), home)
    peer.release()


def calls_since(log: Path, first: int) -> list[str]:
    return log.read_text().splitlines()[first:]


def is_answered(calls: list[str]) -> bool:
    return any(re.search(ANSWER, call) for call in calls)


def promised_order(calls: list[str], home: Path) -> bool:
    """Whether the calls that make an instance durable come in order, and all before the response."""
    folder = re.escape(str(home / "inbox"))
    store = re.escape(str(home / "heatproof.sqlite-wal"))
    wanted = [
        rf"write\(\d+<{folder}/[0-9a-f]+\.dcm>",
        rf"fsync\(\d+<{folder}/[0-9a-f]+\.dcm>",
        rf"fsync\(\d+<{folder}>",
        rf"pwrite64\(\d+<{store}>",
        rf"f(data)?sync\(\d+<{store}>",
        ANSWER,
    ]
    places = []
    for pattern in wanted:
        after = places[-1] + 1 if places else 0
        found = [index for index in range(after, len(calls)) if re.search(pattern, calls[index])]
        assert found, f"{pattern} is missing after {wanted[: len(places)]} in:\n" + "\n".join(calls)
        places.append(found[0])
    assert not any(re.search(wanted[-1], call) for call in calls[: places[-2]]), "answered before it was durable"
    return True


@pytest.mark.peers
@pytest.mark.parametrize("option", ["-xr", "-xs", "-xe"])
def test_storescu_of_dcmtk_sends_compressed_and_plain_files(listening: Intake, tmp_path: Path, option: str) -> None:
    storescu = shutil.which("storescu")
    if storescu is None:
        pytest.skip("storescu of DCMTK is not installed")
    from pydicom.data import get_testdata_file

    names = {"-xr": "MR_small_RLE.dcm", "-xs": "SC_rgb_jpeg_gdcm.dcm", "-xe": "MR_small.dcm"}
    path = get_testdata_file(names[option], download=False)
    assert path is not None
    command = [storescu, option, "-aec", "HEATPROOF", "127.0.0.1", str(listening.listener.port), str(path)]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env={"TCP_NODELAY": "1"}, check=False)
        assert done.returncode == 0, done.stderr
    assert len(listening.files()) == len(listening.rows()) == 1

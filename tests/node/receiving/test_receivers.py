"""Several processes receive on one port: what one process promises, four promise together."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep, StorageCommitmentPushModel
from sqlalchemy import select

from node.associations import admission
from node.associations.shares import Shares
from node.receiving import receivers
from node.receiving.listener import Listener
from node.settings.node import NodeSettings
from node.store import performed_steps, studies
from node.studies.performed_steps import PerformedSteps
from tests.hostile.kill_sweep import digest_of
from tests.hostile.raw_peer import ABORT, ASSOCIATE_RJ, IMAGE_CONTEXT, P_DATA, RawPeer, echo_request, fragment, request
from tests.hostile.test_memory import MEBIBYTE, status_of, unfinished
from tests.patience import patient, wait_until

from .intake import Intake, mr_image

COUNT = 4


def ready(intake: Intake, count: int = COUNT) -> tuple[int, ...]:
    """Wait until so many receivers are ready; give their process IDs."""
    several = intake.listener._receivers
    assert several is not None
    wait_until(lambda: len(several.process_ids) == count, 30, "the start of the receivers")
    return several.process_ids


def opened(intake: Intake) -> list[int]:
    """How many associations each receiver has."""
    assert intake.listener._receivers is not None
    return [seat.burden[0] for seat in intake.listener._receivers._seats]


def is_gone(process_id: int) -> bool:
    return not Path(f"/proc/{process_id}").exists()


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[Intake]:
    """A listener with four receivers."""
    home = tmp_path_factory.mktemp("several")
    shutil.copy(migrated_store, home)
    intake = Intake(home, receivers=COUNT)
    intake.listener.start()
    ready(intake)
    yield intake
    processes = ready(intake)
    intake.close()
    assert all(is_gone(process_id) for process_id in processes)


@pytest.fixture
def many() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_one_receiver_is_this_process_alone(tmp_path: Path) -> None:
    assert NodeSettings(home=tmp_path).receivers == 1
    intake = Intake(tmp_path)
    assert intake.listener._receivers is None
    intake.close()


def test_what_four_associations_send_at_once_is_registered_once_and_belongs_to_one_study(several: Intake) -> None:
    study = generate_uid()
    images = [mr_image(study, seed=number) for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        shares = [[*images[number::4], images[0]] for number in range(4)]  # the first comes from each of them
        answers = list(pool.map(lambda share: several.send(*share), shares))
    assert {status for statuses in answers for status in statuses} == {0x0000}
    rows = [row for row in several.rows() if row.study_instance_uid == study]
    assert sorted(row.sop_instance_uid for row in rows) == sorted(image.SOPInstanceUID for image in images)
    assert {(row.calling_ae_title, row.peer_address) for row in rows} == {("SENDER", "127.0.0.1")}
    assert all(digest_of(several.home / "inbox" / row.path) == row.sha256 for row in rows)
    with several.engine.connect() as connection:
        assert (
            connection.execute(select(studies.c.arrivals).where(studies.c.study_instance_uid == study)).scalar() == 24
        )


def test_associations_go_to_the_least_busy_receiver(several: Intake) -> None:
    wait_until(lambda: sum(opened(several)) == 0, 5, "the end of earlier associations")
    peers = [several.associate() for _ in range(2 * COUNT)]
    assert opened(several) == [2] * COUNT
    for peer in peers:
        peer.release()
    wait_until(lambda: sum(opened(several)) == 0, 5, "the end of the associations")


def test_refusals_and_figures_are_those_of_the_node(several: Intake) -> None:
    image, other = mr_image(seed=1), mr_image(seed=2)
    other.SOPInstanceUID = image.SOPInstanceUID
    with RawPeer(several.listener.port) as stranger:
        assert stranger.send(request(called=b"SOMEBODY")).answer()[0] == ASSOCIATE_RJ
    assert several.send(image, other) == [0x0000, 0x0111]
    assert "quarantined" in several.events()
    page = several.metrics.page().decode()
    assert 'heatproof_instances_total{outcome="quarantined"} 1.0' in page
    assert 'heatproof_associations_total{outcome="rejected"}' in page
    client = AE(ae_title="SENDER")
    client.add_requested_context("1.2.840.10008.1.1")
    client.add_requested_context("1.2.840.10008.5.1.4.1.2.1.1")  # no storage class
    client.associate("127.0.0.1", several.listener.port, ae_title="HEATPROOF").release()
    wait_until(lambda: several.refusals.latest(1)[0].accepted, 5, "the record of the context that was not accepted")
    assert several.refusals.latest(1)[0].calling_ae_title == "SENDER"


def test_the_limit_of_associations_of_one_peer_holds_over_all_receivers(
    several: Intake, monkeypatch: pytest.MonkeyPatch, many: ExitStack
) -> None:
    wait_until(lambda: sum(opened(several)) == 0, 5, "the end of earlier associations")
    monkeypatch.setattr(several.listener._acceptor._admission, "_most_of_peer", COUNT)
    monkeypatch.setattr(admission, "IDLE_ENOUGH_SECONDS", patient(60.0))
    port = several.listener.port
    peers = [many.enter_context(RawPeer(port)).associate() for _ in range(COUNT)]
    assert many.enter_context(RawPeer(port)).send(request()).answer() == (ASSOCIATE_RJ, bytes((0, 2, 3, 2)))
    monkeypatch.setattr(admission, "IDLE_ENOUGH_SECONDS", 0.0)
    assert peers[0].send(echo_request()).answer()[0] == P_DATA
    first, *others = several.listener._acceptor._admission.associations
    wait_until(
        lambda: first.idle_seconds() < min(other.idle_seconds() for other in others),
        5,
        "the node's knowledge that the first was used, which comes after the answer",
    )
    many.enter_context(RawPeer(port)).associate()
    assert peers[1].answer()[0] == ABORT
    assert peers[0].send(echo_request()).answer()[0] == P_DATA


def test_the_memory_of_one_peer_is_shared_over_all_receivers(
    several: Intake, monkeypatch: pytest.MonkeyPatch, many: ExitStack
) -> None:
    shares = Shares(24 * MEBIBYTE, 16 * MEBIBYTE)
    monkeypatch.setattr(several.listener._acceptor, "_memory", shares)
    greedy = [unfinished(many, several.listener.port, 8) for _ in range(COUNT)]
    wait_until(lambda: shares.taken >= 12 * MEBIBYTE, 5, "the use of the share")
    assert shares.taken <= 16 * MEBIBYTE
    statuses = [status_of(peer.send(fragment(IMAGE_CONTEXT, 2, b"\0" * 8)).answer()[1]) for peer in greedy]
    assert 0xA700 in statuses
    many.close()
    wait_until(lambda: shares.taken == 0, 5, "the end of what was held")


def test_a_receiver_killed_under_load_loses_nothing_that_was_acknowledged_and_is_started_again(
    several: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ready(several)
    acknowledged: list[str] = []
    stop = threading.Event()

    def send_on(sender: int) -> list[str]:
        """Send one image after another, each until it is acknowledged, over a new association where one ends."""
        sent: list[str] = []
        while not stop.is_set():
            image = mr_image(seed=sender, size=256)
            deadline = time.monotonic() + patient(30)
            while not is_acknowledged(several, image):
                assert time.monotonic() < deadline
            sent.append(image.SOPInstanceUID)
            acknowledged.append(image.SOPInstanceUID)
        return sent

    with ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send_on, number) for number in range(4)]
        for victim in before[:2]:
            known = len(acknowledged)
            wait_until(lambda known=known: len(acknowledged) >= known + 8, 30, "some load")
            os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not set(before[:2]) & set(ready(several)), 30, "the start of others")
        stop.set()
        sent = [uid for future in sending for uid in future.result()]
    kept = {row.sop_instance_uid: row for row in several.rows()}
    assert set(sent) <= kept.keys()
    assert all(digest_of(several.home / "inbox" / kept[uid].path) == kept[uid].sha256 for uid in sent)
    assert len(several.files()) == len(kept)
    assert set(before[2:]) <= set(ready(several))
    assert several.listener._acceptor._memory.taken == 0
    assert capsys.readouterr().out.count("receiver_ended") == 2


def is_acknowledged(intake: Intake, image: Dataset) -> bool:
    association = intake.associate(image)
    held = association.dul.socket.socket if association.dul.socket else None
    try:
        return bool(association.is_established and association.send_c_store(image).get("Status") == 0x0000)
    except (RuntimeError, ValueError):  # it ended just now
        return False
    finally:
        if association.is_established:
            association.release()
        if association.is_alive():
            association.join(patient(5))
        if held is not None:
            held.close()


def test_the_node_serves_associations_itself_where_no_receiver_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(receivers, "PROGRAM", "node.receiving.missing")
    intake = Intake(tmp_path, receivers=2)
    intake.listener.start()
    assert intake.send(mr_image()) == [0x0000]
    wait_until(lambda: "receiver_ended" in capfd.readouterr().out, 10, "the line of the log")
    intake.close()


def test_storage_commitment_and_performed_steps_are_answered_by_the_node(tmp_path: Path) -> None:
    intake = Intake(tmp_path)
    steps, reported = PerformedSteps(intake.engine), []

    def hear(event: Any) -> tuple[int, None]:
        reported.append((event.event_information.TransactionUID, event.assoc.requestor.ae_title))
        if len(reported) > 1:
            raise RuntimeError
        return 0x0000, None

    settings = NodeSettings(home=tmp_path, receivers=2).model_copy(update={"port": 0})
    handlers = [(evt.EVT_N_EVENT_REPORT, hear), *steps.handlers]
    listener = Listener(settings, intake.inbox, intake.metrics, intake.refusals, handlers=handlers)
    listener.start()
    assert listener._receivers is not None
    wait_until(lambda: len(listener._receivers.process_ids) == 2, 30, "the start of the receivers")
    client = AE(ae_title="PEER")
    client.add_requested_context(ModalityPerformedProcedureStep, ExplicitVRLittleEndian)
    client.add_requested_context(StorageCommitmentPushModel, ExplicitVRLittleEndian)
    peer = client.associate("127.0.0.1", listener.port, ae_title="HEATPROOF")
    report = Dataset()
    report.TransactionUID = "1.2.3"
    arguments = (report, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
    assert peer.send_n_event_report(*arguments)[0].Status == 0x0000
    assert reported == [("1.2.3", "PEER")]
    assert peer.send_n_event_report(*arguments)[0].Status == 0x0110
    step, item = Dataset(), Dataset()
    item.StudyInstanceUID = "1.2.3.4"
    step.ScheduledStepAttributesSequence, step.PerformedProcedureStepStatus = [item], "IN PROGRESS"
    assert peer.send_n_create(step, ModalityPerformedProcedureStep, "1.2.3.5")[0].Status == 0x0000
    assert peer.send_n_create(step, ModalityPerformedProcedureStep, "1.2.3.5")[0].Status == 0x0111
    ended = Dataset()
    ended.PerformedProcedureStepStatus = "COMPLETED"
    assert peer.send_n_set(ended, ModalityPerformedProcedureStep, "1.2.3.5")[0].Status == 0x0000
    final = peer.send_n_set(ended, ModalityPerformedProcedureStep, "1.2.3.5")[0]
    assert (final.Status, final.ErrorID) == (0x0110, 0xA710)
    peer.release()
    with intake.engine.connect() as connection:
        assert connection.execute(select(performed_steps.c.calling_ae_title)).scalars().all() == ["PEER"]
    listener.stop()
    intake.close()


def test_receivers_end_with_the_node_however_that_ends(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from tests.node.receiving.intake import Intake;"
        "intake = Intake(pathlib.Path(sys.argv[1]), receivers=2); intake.listener.start();\n"
        "while len(intake.listener._receivers.process_ids) < 2: time.sleep(0.05)\n"
        "print(intake.listener.port, *intake.listener._receivers.process_ids, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as node:
        assert node.stdout is not None
        port, *processes = map(int, node.stdout.readline().split())
        with RawPeer(port).associate() as peer:
            for process_id in processes:
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    os.kill(process_id, number)  # which a terminal sends to all, and the node's own way is to tell them
            assert peer.send(echo_request()).answer()[0] == P_DATA
            node.kill()
            assert peer.is_closed_within(5)
        wait_until(lambda: all(is_gone(process_id) for process_id in processes), 5, "the end of the receivers")

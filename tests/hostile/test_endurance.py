"""What hundreds of sessions leave behind, and what a stop under load does (rows 50 and 51)."""

import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.hostile.footprint import footprint, seconds_of, settled
from tests.hostile.raw_peer import ABORT, P_DATA, RawPeer, echo_request, echo_seconds, pdu, store_command
from tests.node.receiving.intake import Intake, mr_image
from tests.patience import patient, wait_until

SESSIONS = int(os.environ.get("HEATPROOF_ENDURANCE_SESSIONS", "100"))


def abort(port: int, *, by_reset: bool) -> None:
    with RawPeer(port) as peer:
        peer.associate().send(store_command())
        if by_reset:
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            peer.send(pdu(ABORT, bytes(4)))


def test_echoes_stores_and_aborts_leave_threads_descriptors_and_memory_flat(node: Intake) -> None:
    port = node.listener.port

    def sessions(count: int) -> None:
        for number in range(count):
            match number % 10:
                case 0:
                    assert node.send(mr_image(seed=number)) == [0x0000]
                case 1 | 2:
                    abort(port, by_reset=number % 2 == 0)
                case _:
                    echo_seconds(port)

    sessions(SESSIONS // 4)
    before = footprint()
    sessions(SESSIONS)
    after = settled(before)
    assert after.resident_bytes < before.resident_bytes * 1.05
    assert echo_seconds(port) < patient(1)


def test_a_stop_under_load_lets_transfers_finish_aborts_the_rest_and_takes_its_time_only(
    tmp_path: Path, migrated_store: Path
) -> None:
    shutil.copy(migrated_store, tmp_path)
    node = Intake(tmp_path)
    node.listener.start()
    port, image = node.listener.port, mr_image()
    idle = [RawPeer(port).associate() for _ in range(10)]
    silent = [RawPeer(port) for _ in range(10)]
    stalled = RawPeer(port).associate().send(store_command())
    sender = node.associate(image)
    stopping = threading.Thread(target=node.listener.stop, kwargs={"grace_seconds": patient(1.0)})
    started = time.monotonic()
    stopping.start()
    wait_until(lambda: not is_open(port), 1, "the closed door")
    assert sender.send_c_store(image).Status == 0x0000
    sender.release()
    stopping.join(patient(5))
    assert not stopping.is_alive()
    assert time.monotonic() - started < patient(4)
    for peer in (*idle, stalled):
        assert peer.answer() == (ABORT, bytes(4))
    for peer in (*idle, *silent, stalled):
        assert peer.is_closed_within(1)
        peer.socket.close()
    assert len(node.rows()) == len(node.files()) == 1
    node.engine.dispose()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=patient(1)).close()
    except OSError:
        return False
    return True


@pytest.mark.peers
def test_echoscu_of_dcmtk_is_served_at_once_beside_a_hundred_silent_and_twenty_idle_peers(node: Intake) -> None:
    echoscu = shutil.which("echoscu")
    if echoscu is None:
        pytest.skip("echoscu of DCMTK is not installed")
    port = node.listener.port
    held = [RawPeer(port, source="127.0.0.3") for _ in range(100)]
    held += [RawPeer(port, source="127.0.0.4").associate() for _ in range(20)]
    command = [echoscu, "-aec", "HEATPROOF", "127.0.0.1", str(port)]
    taken = seconds_of(lambda: subprocess.run(command, check=True, env={"TCP_NODELAY": "1"}, timeout=patient(10)))
    assert taken < patient(1)
    assert held[-1].send(echo_request()).answer()[0] == P_DATA
    for peer in held:
        peer.socket.close()

"""Events that a peer can cause at will: bounded in the ledger, and counted although the process is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from reports.audit.counted import HOUR_SECONDS, CountedEvents
from reports.audit.ledger import METADATA, Event, Ledger
from reports.audit.tally import Tally
from tests.node.running import REPOSITORY

KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import create_engine
from reports.audit.counted import CountedEvents
from reports.audit.ledger import Event, Ledger
home = Path(sys.argv[1])
counted = CountedEvents(Ledger(create_engine(f"sqlite:///{home / 'store'}"), b"key"), home / "counted")
for number in range(1000):
    counted.tell(Event.REFUSED, "10.0.0.1", "UnreadableInstance")
for number in range(7):
    counted.tell(Event.OWN_RESULT, "10.0.0.2")
counted.tell(Event.OWN_RESULT, "10.0.0.3")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    engine = create_engine(f"sqlite:///{tmp_path / 'store'}")
    METADATA.create_all(engine)
    return Ledger(engine, b"key")


def rows(ledger: Ledger) -> list[tuple[str, str, int]]:
    return [
        (entry.event, str(entry.details["peer_address"]), int(entry.details.get("objects") or 1))
        for entry in ledger.events()
    ]


def test_what_was_counted_is_in_the_ledger_after_kill_9_and_only_once(ledger: Ledger, tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=REPOSITORY)
    assert run.returncode == -signal.SIGKILL
    first_of_each = [
        (Event.REFUSED, "10.0.0.1", 1),
        (Event.OWN_RESULT, "10.0.0.2", 1),
        (Event.OWN_RESULT, "10.0.0.3", 1),
    ]
    assert rows(ledger) == first_of_each
    CountedEvents(ledger, tmp_path / "counted")
    counted = [(Event.REFUSED, "10.0.0.1", 999), (Event.OWN_RESULT, "10.0.0.2", 6)]
    assert sorted(rows(ledger)[3:]) == sorted(counted)
    CountedEvents(ledger, tmp_path / "counted")
    assert len(rows(ledger)) == 5


def test_what_is_due_is_written_and_not_counted_again_at_the_next_start(ledger: Ledger, tmp_path: Path) -> None:
    clock = [0.0]
    counted = CountedEvents(ledger, tmp_path / "counted", clock=lambda: clock[0])
    for _ in range(5):
        counted.tell(Event.REFUSED, "10.0.0.1")
    clock[0] = HOUR_SECONDS + 1
    counted.write_due()
    assert [count for *_, count in rows(ledger)] == [1, 4]
    CountedEvents(ledger, tmp_path / "counted")
    assert len(rows(ledger)) == 2


def test_a_flood_of_addresses_takes_no_more_room_than_the_slots_there_are(ledger: Ledger, tmp_path: Path) -> None:
    counted = CountedEvents(ledger, tmp_path / "counted")
    size = (tmp_path / "counted").stat().st_size
    for number in range(300):
        counted.tell(Event.REFUSED, f"10.0.{number // 250}.{number % 250}")
    assert (tmp_path / "counted").stat().st_size == size
    assert len(rows(ledger)) <= 102
    CountedEvents(ledger, tmp_path / "counted")
    assert sum(count for *_, count in rows(ledger)) == 300


def test_a_damaged_slot_is_dropped_and_the_others_are_kept(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "counted", 3)
    for name in ("first", "second"):
        slot = tally.enter([name])
        assert slot is not None
        tally.count(slot, 5)
    content = bytearray((tmp_path / "counted").read_bytes())
    content[content.index(b"first") - 1] = 0xFF
    (tmp_path / "counted").write_bytes(content)
    assert list(Tally(tmp_path / "counted", 3).left()) == [(["second"], 5)]
    assert (tmp_path / "counted").stat().st_mode & 0o777 == 0o600

"""Old rows of the ledger leave by one door only, and the chain still holds."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from inference.errors import Refused
from reports.audit.ledger import Event, Ledger
from reports.audit.retention import let_go


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


def test_what_is_let_go_is_in_the_file_and_the_chain_still_holds(engine: Engine, tmp_path: Path) -> None:
    ledger = Ledger(engine, b"key")
    for _ in range(4):
        ledger.append(Event.STARTED)
    old = [entry.digest for entry in ledger.events()]
    between = datetime.now(UTC)
    ledger.append(Event.STOPPED)
    assert let_go(engine, ledger, between, tmp_path / "old.jsonl", by_whom="Ada") == 4
    lines = [json.loads(line) for line in (tmp_path / "old.jsonl").read_text().splitlines()]
    assert [line["digest"] for line in lines] == old
    assert [entry.event for entry in ledger.events()] == [Event.STOPPED, Event.LET_GO]
    assert ledger.verify() is None
    assert ledger.verify(ledger.head()) is None
    ledger.append(Event.STARTED)
    assert let_go(engine, ledger, soon(), tmp_path / "more.jsonl", by_whom="Ada") == 3
    assert ledger.verify() is None


def test_rows_leave_by_no_other_door_even_afterwards(engine: Engine, tmp_path: Path) -> None:
    ledger = Ledger(engine, b"key")
    ledger.append(Event.STARTED)
    let_go(engine, ledger, soon(), tmp_path / "old.jsonl", by_whom="Ada")
    for statement in ("DELETE FROM ledger", "UPDATE ledger SET details = '{}'"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    with engine.begin() as connection:
        connection.execute(text("UPDATE ledger_anchor SET digest = 'x'"))
    assert ledger.verify() == 2


def test_nothing_goes_from_a_broken_chain_over_a_file_or_without_a_name(engine: Engine, tmp_path: Path) -> None:
    ledger = Ledger(engine, b"key")
    ledger.append(Event.STARTED)
    there = tmp_path / "there.jsonl"
    there.write_text("keep me")
    with pytest.raises(Refused, match="already"):
        let_go(engine, ledger, soon(), there, by_whom="Ada")
    assert there.read_text() == "keep me"
    with pytest.raises(Refused, match="name of a user"):
        let_go(engine, ledger, soon(), tmp_path / "new.jsonl", by_whom=" ")
    with engine.begin() as connection:
        connection.execute(text("UPDATE ledger_head SET digest = 'x'"))
    with pytest.raises(Refused, match="broken"):
        let_go(engine, ledger, soon(), tmp_path / "new.jsonl", by_whom="Ada")
    assert len(ledger.events()) == 1

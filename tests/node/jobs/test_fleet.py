"""Who is dead, who says so, and what happens then; the takeover itself is in ``tests/peers/test_two_nodes.py``."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS
from sqlalchemy import Engine, text

from node.jobs.fleet import Fleet
from node.settings.node import NodeSettings
from node.store import open_engine, sqlite_url
from reports.audit.ledger import Ledger


@pytest.fixture
def store(tmp_path: Path, migrated_store: Path) -> Iterator[Engine]:
    shutil.copy(migrated_store, tmp_path)
    engine = open_engine(sqlite_url(tmp_path))
    yield engine
    engine.dispose()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The workers whose work was taken over, in order."""
    found: list[str] = []

    def recover(workers: list[str]) -> list[Any]:
        found.extend(workers)
        return [object()]

    monkeypatch.setattr(DBOS, "_recover_pending_workflows", recover)
    return found


def member(store: Engine, slot: str, resumed: list[str]) -> Fleet:
    settings = NodeSettings(home=Path("/nowhere"), slot=slot)
    return Fleet(settings, store, Ledger(store, b""), resume=lambda: resumed.append(slot), replaced=lambda: None)


def age(store: Engine, slot: str, seconds: int) -> None:
    with store.begin() as connection:
        aged = text("UPDATE nodes SET heartbeat_at = datetime('now', :age) WHERE id = :slot")
        connection.execute(aged, {"age": f"-{seconds} seconds", "slot": slot})


def test_a_living_nodes_work_is_left_alone_whatever_the_clock_of_the_other_says(
    store: Engine, taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = member(store, "first", []), member(store, "second", [])
    first.enter()
    second.enter()
    monkeypatch.setattr("time.time", lambda: 4e9)
    age(store, "first", 18)
    second.take_over()
    assert taken == []


def test_after_four_intervals_of_silence_the_work_is_taken_over_and_what_was_decided_is_resumed_once(
    store: Engine, taken: list[str]
) -> None:
    resumed: list[str] = []
    first, second = member(store, "first", []), member(store, "second", resumed)
    first.enter()
    second.enter()
    age(store, "first", 22)
    second.take_over()
    second.take_over()
    assert set(taken) == {"first"}
    assert resumed == ["second"]
    assert Ledger(store, b"").events()[0].details == {"worker": "first", "objects": 1}


def test_a_node_that_has_left_in_good_order_is_taken_over_at_once(store: Engine, taken: list[str]) -> None:
    first, second = member(store, "first", []), member(store, "second", [])
    first.enter()
    second.enter()
    first.leave()
    second.take_over()
    assert taken == ["first"]


def test_a_node_is_told_that_another_one_has_started_under_its_name(store: Engine) -> None:
    old, new = member(store, "first", []), member(store, "first", [])
    old.enter()
    assert old.beat()
    new.enter()
    assert not old.beat()
    assert new.beat()

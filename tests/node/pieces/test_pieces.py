"""A piece of a commissioning waits for studies, stays in its folder, and is left for later where the node stops."""

import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dbos._dbos import _get_or_create_dbos_registry
from sqlalchemy import Engine, insert, update

from node.pieces.pieces import Pieces, Stopped
from node.settings.node import NodeSettings
from node.store import JobState, jobs, open_engine, sqlite_url
from tests.patience import assert_stays, wait_until

PIECE = ["primary", 0, ["gradcam"]]


@pytest.fixture
def store(tmp_path: Path, migrated_store: Path) -> Iterator[Engine]:
    shutil.copy(migrated_store, tmp_path)
    engine = open_engine(sqlite_url(tmp_path))
    with engine.begin() as connection:
        row = {
            "id": "a" * 64, "study_instance_uid": "1.2.3", "route": "flair", "bundle": "tiny", "options": {},
            "state": JobState.QUEUED, "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        }  # fmt: skip
        connection.execute(insert(jobs).values(row))
    yield engine
    engine.dispose()


@pytest.fixture
def pieces(tmp_path: Path, store: Engine) -> Iterator[Pieces]:
    (tmp_path / "shared").mkdir()
    made = Pieces(NodeSettings(home=tmp_path, commissioning_folder=tmp_path / "shared"), store)
    yield made
    made.stop()
    _get_or_create_dbos_registry().instance_info_map.clear()  # else the next one would be a second "node"


def finish_study(store: Engine) -> None:
    with store.begin() as connection:
        connection.execute(update(jobs).values(state=JobState.DONE))


def test_a_piece_begins_when_no_study_is_waiting(pieces: Pieces, store: Engine) -> None:
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(pieces.perform("nothing", "maps", PIECE)))
    thread.start()
    assert_stays(lambda: not answers, 3, "waiting for the study")
    finish_study(store)
    wait_until(lambda: bool(answers), 60, "the answer")
    thread.join()
    assert answers == ["There is no work to share in the folder nothing."]


def test_a_place_outside_the_folder_is_refused(pieces: Pieces, store: Engine) -> None:
    finish_study(store)
    for place in ("..", "../elsewhere", "/etc"):
        assert "does not lie in node.commissioning_folder" in pieces.perform(place, "maps", PIECE)


def test_a_node_without_the_folder_says_that_it_takes_no_part(tmp_path: Path, store: Engine, pieces: Pieces) -> None:
    pieces._folder = None
    assert "takes no part" in pieces.perform("nothing", "maps", PIECE)


def test_a_waiting_piece_is_neither_done_nor_failed_when_the_node_stops(pieces: Pieces) -> None:
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            pieces.perform("nothing", "maps", PIECE)
        except Stopped as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    pieces.stop()
    thread.join(30)
    assert ended

"""The node's folder and the files in it are open to its user alone, however they were before."""

import grp
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.errors import Misconfigured
from node.home import enclose
from node.store import migrate, open_engine, sqlite_url


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [0o755, 0o777, 0o711, 0o700])
def test_a_home_that_is_open_to_others_is_closed(tmp_path: Path, before: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(before)
    enclose(home)
    assert mode(home) == 0o700


def test_what_a_node_writes_is_its_users_alone(tmp_path: Path) -> None:
    enclose(tmp_path / "home")
    (tmp_path / "home" / "result.dcm").write_bytes(b"")
    assert mode(tmp_path / "home" / "result.dcm") == 0o600


def test_a_database_is_its_users_alone_and_one_that_was_open_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for _ in range(2):
        engine = open_engine(sqlite_url(home))
        migrate(engine)
        assert {mode(path) for path in home.iterdir()} == {0o600}
        engine.dispose()
        (home / "heatproof.sqlite").chmod(0o644)


def test_a_group_that_the_settings_name_may_enter_and_nobody_else(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    home = tmp_path / "home"
    enclose(home, group)
    assert mode(home) == 0o2770
    (home / "result.dcm").write_bytes(b"")
    assert mode(home / "result.dcm") == 0o660
    open_engine(sqlite_url(home)).dispose()
    assert mode(home / "heatproof.sqlite") == 0o660


def test_a_group_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no-such-group"):
        enclose(tmp_path / "home", "no-such-group")


def test_a_home_of_another_user_that_is_open_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)

    def not_ours(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", not_ours)
    with pytest.raises(Misconfigured, match="cannot be closed"):
        enclose(home)


def test_a_second_engine_of_a_process_leaves_the_first_ones_locks_on_the_store(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    first = open_engine(url)
    migrate(first)
    with first.connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM studies").scalar_one()
        open_engine(url).dispose()
        (path,) = tmp_path.glob("*.sqlite")
        alone = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('PRAGMA journal_mode=DELETE')"
        other = subprocess.run([sys.executable, "-c", alone, str(path)], capture_output=True, text=True)
        assert "database is locked" in other.stderr
    first.dispose()

"""Access tokens: named, limited, expiring, kept as digests; and the check of the ledger from the command line."""

import json
import re
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from inference.errors import HeatproofError, Misconfigured, Refused, UnknownName
from node.cli import app
from node.store import METADATA, now, open_engine, sqlite_url
from node.web.access.caller import Principal, Scope
from node.web.access.tokens import Tokens, digest_of, scopes_of


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    made = open_engine(sqlite_url(tmp_path))
    METADATA.create_all(made)
    return made


def test_a_token_is_found_by_its_digest_until_it_expires_or_is_removed(engine: Engine) -> None:
    tokens = Tokens(engine)
    for_ever = tokens.add("prometheus", {Scope.READ})
    short = tokens.add("visitor", {Scope.READ, Scope.AUDIT}, expires_at=now() + timedelta(days=1))
    past = tokens.add("past", {Scope.READ}, expires_at=now() - timedelta(seconds=1))
    found = tokens.find(digest_of(short))
    assert found is not None
    assert (found.name, found.scopes) == ("visitor", {Scope.READ, Scope.AUDIT})
    assert tokens.find(digest_of(past)) is None
    tokens.remove("prometheus")
    assert tokens.find(digest_of(for_ever)) is None
    assert [token.name for token in tokens.all()] == ["past", "visitor"]


def test_a_token_is_random_recognisable_and_nowhere_in_the_store(engine: Engine, tmp_path: Path) -> None:
    one, two = (Tokens(engine).add(name, {Scope.READ}) for name in ("one", "two"))
    assert one != two
    assert re.fullmatch(r"heatproof_[\w-]{43}", one)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert one.encode() not in stored
    assert digest_of(one).encode() in stored


def test_a_name_is_taken_once_and_a_token_without_scope_or_name_is_refused(engine: Engine) -> None:
    tokens = Tokens(engine)
    tokens.add("ada", {Scope.READ})
    for name, scopes in (
        ("ada", {Scope.READ}),
        ("", {Scope.READ}),
        ("a\nb", {Scope.READ}),
        ("x" * 65, {Scope.READ}),
        ("b", set()),
    ):
        with pytest.raises(Refused):
            tokens.add(name, scopes)
    with pytest.raises(UnknownName):
        tokens.remove("nobody")
    with pytest.raises(UnknownName):
        scopes_of("read,write")
    assert scopes_of("read, audit") == {Scope.READ, Scope.AUDIT}


def test_no_scope_contains_another_and_a_form_is_its_callers_alone() -> None:
    caller = Principal("ada", frozenset({Scope.OPERATE}), form_token="a" * 64)
    assert not caller.may(Scope.READ)
    assert caller.owns_form("a" * 64)
    assert not caller.owns_form("")
    assert not caller.owns_form("é" * 64)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "heatproof.toml"
    path.write_text(f'[node]\nhome = "{tmp_path / "home"}"\n[http]\ntoken_file = "token"\n')
    return path


def heatproof(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: object) -> HeatproofError:
    error = heatproof(*arguments).exception
    assert isinstance(error, HeatproofError)
    return error


def test_tokens_are_added_listed_and_removed_from_the_command_line(settings: Path) -> None:
    added = heatproof("token", "add", "scanner", "--scope", "read,operate", "--days", 30, "--config", settings)
    assert added.exit_code == 0, added.output
    assert re.fullmatch(r"heatproof_[\w-]{43}\n", added.stdout)
    (row,) = json.loads(heatproof("token", "list", "--json", "--config", settings).stdout)
    assert (row["name"], row["scopes"]) == ("scanner", ["operate", "read"])
    assert "scanner" in heatproof("token", "list", "--config", settings).stdout
    assert "already" in str(refused("token", "add", "scanner", "--config", settings))
    assert heatproof("token", "remove", "scanner", "--config", settings).exit_code == 0
    assert json.loads(heatproof("token", "list", "--json", "--config", settings).stdout) == []
    assert "no scope 'write'" in str(refused("token", "add", "x", "--scope", "write", "--config", settings))


def test_the_ledger_knows_who_was_let_in_and_is_verified_offline(settings: Path, tmp_path: Path) -> None:
    heatproof("token", "add", "scanner", "--config", settings)
    heatproof("token", "remove", "scanner", "--config", settings)
    verified = heatproof("audit", "verify", "--json", "--config", settings)
    told = json.loads(verified.stdout)
    assert (verified.exit_code, told["intact"], told["first_broken"]) == (0, True, None)
    assert told["head"].startswith("2:")
    copy = tmp_path / "a copy.sqlite"
    with sqlite3.connect(tmp_path / "home" / "heatproof.sqlite") as store, sqlite3.connect(copy) as target:
        store.backup(target)
    assert "The ledger is intact." in heatproof("audit", "verify", "--database", copy).stdout


def test_a_tampered_ledger_is_named_by_row_and_ends_with_status_1(settings: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        heatproof("token", "add", name, "--config", settings)
    database = tmp_path / "home" / "heatproof.sqlite"
    with sqlite3.connect(database) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("DELETE FROM ledger WHERE seq = 2")
        connection.execute("DROP TRIGGER ledger_no_delete")  # as somebody with the file can
        connection.execute("DELETE FROM ledger WHERE seq = 2")
    verified = heatproof("audit", "verify", "--database", database)
    assert verified.exit_code == 1
    assert "row 2 is the first" in verified.stdout


def test_a_store_without_a_ledger_and_a_missing_file_are_told_apart_from_a_broken_one(tmp_path: Path) -> None:
    assert "no file" in str(refused("audit", "verify", "--database", tmp_path / "nowhere.sqlite"))
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    (tmp_path / "empty.sqlite").touch()
    assert "no ledger" in str(refused("audit", "verify", "--database", tmp_path / "empty.sqlite"))
    assert isinstance(refused("audit", "verify", "--config", tmp_path / "none.toml"), Misconfigured)

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from inference.errors import Misconfigured
from node.associations.refusals import refusals  # noqa: F401 - as are its
from node.audit.tables import opinions  # noqa: F401 - its tables belong to METADATA
from node.delivery.commitment import commitments  # noqa: F401 - as is its
from node.jobs.contents import contents  # noqa: F401 - as is its
from node.receiving.awaited import priors  # noqa: F401 - as is its
from node.routing.versions import rule_versions  # noqa: F401 - so do theirs
from node.store import METADATA, migrate, open_engine, sqlite_url
from reports.audit.ledger import METADATA as LEDGER
from reports.audit.ledger import Event, Ledger
from reports.audit.observations import METADATA as OBSERVATIONS
from reports.audit.repeatability.pairs import pairs  # noqa: F401 - so does it
from tests.peers.postgresql import MISSING, postgresql


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(sqlite_url(tmp_path))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[str]:
    if MISSING:
        pytest.skip("PostgreSQL is not installed, or this is not root")
    with postgresql() as url:
        yield url


@pytest.fixture
def postgresql_store(postgresql_server: str) -> Iterator[Engine]:
    engine = open_engine(postgresql_server)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite_store", pytest.param("postgresql_store", marks=pytest.mark.peers)])
def store(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.getfixturevalue(request.param)
    return engine


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[object] = compare_metadata(context, [METADATA, LEDGER, OBSERVATIONS])  # type: ignore[arg-type]
    return found


def test_a_migrated_store_is_what_the_code_expects(store: Engine) -> None:
    migrate(store)
    assert differences(store) == []
    migrate(store)
    assert differences(store) == []


def test_nodes_that_start_at_once_migrate_once(store: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [store] * 4))
    assert differences(store) == []


def test_a_store_of_a_newer_release_is_refused_with_a_sentence_and_left_as_it_is(store: Engine) -> None:
    migrate(store)
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Misconfigured, match="newer release"):
        migrate(store)
    with store.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(store: Engine) -> None:
    with store.begin() as connection:
        connection.execute(text("CREATE TABLE ledger (x INTEGER)"))
    with pytest.raises(DBAPIError):
        migrate(store)
    assert inspect(store).get_table_names() == ["ledger"]


@pytest.mark.parametrize("statement", ["UPDATE ledger SET event = 'x'", "DELETE FROM ledger"])
def test_the_store_itself_forbids_changing_the_ledger(store: Engine, statement: str) -> None:
    migrate(store)
    ledger = Ledger(store, b"key")
    ledger.append(Event.STARTED)
    with pytest.raises(DBAPIError, match="append-only"), store.begin() as connection:
        connection.execute(text(statement))
    assert [entry.event for entry in ledger.events()] == ["started"]


def test_rows_appended_at_once_form_one_chain(store: Engine) -> None:
    migrate(store)
    ledger = Ledger(store, b"key")
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: ledger.append(Event.STARTED), range(40)))
    assert sorted(numbers) == list(range(1, 41))
    assert ledger.verify() is None


def test_sqlite_syncs_at_every_commit(sqlite_store: Engine) -> None:
    with sqlite_store.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"

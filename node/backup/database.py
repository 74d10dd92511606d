"""A consistent copy of the store, always an SQLite file, whatever the node itself runs on; and the way back."""

import sqlite3
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, Table, delete, func, insert, select, text

from inference.errors import Refused
from node.associations.refusals import refusals
from node.audit.tables import baselines, opinions, replays, returned, route_states
from node.delivery.commitment import commitments
from node.jobs.contents import contents
from node.receiving.awaited import priors
from node.routing.versions import rule_versions
from node.store import (
    deliveries,
    instances,
    jobs,
    migrate,
    nodes,
    open_engine,
    performed_steps,
    results,
    sessions,
    studies,
    tokens,
)
from reports.audit.ledger import anchor, entries, head
from reports.audit.observations import observations
from reports.audit.repeatability.pairs import pairs

TABLES: tuple[Table, ...] = (
    instances, studies, performed_steps, jobs, results, deliveries, commitments, tokens, sessions, nodes, contents,
    priors, refusals, route_states, baselines, replays, opinions, returned, entries, head, anchor, observations, pairs,
    rule_versions,
)  # fmt: skip
"""All tables, each after those that it refers to."""
_COUNTED = (replays, pairs)
"""Tables whose keys PostgreSQL counts up by itself."""
_ROWS_AT_ONCE = 1000


def snapshot(engine: Engine, path: Path) -> None:
    """Copy the store as it is at one moment, while it is in use, to a new SQLite file."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection, sqlite3.connect(path) as copy:
            source = connection.connection.driver_connection
            cast(sqlite3.Connection, source).backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        copy.close()
        return
    fresh = open_engine(f"sqlite:///{path}")
    migrate(fresh)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as source_of, fresh.begin() as to:
        _copy(source_of, to)
    fresh.dispose()


def load(path: Path, engine: Engine) -> None:
    """Put the rows of a copy into an empty PostgreSQL.

    Raises:
        Refused: there are rows in it already.
    """
    migrate(engine)
    copy = open_engine(f"sqlite:///{path}")
    migrate(copy)
    with copy.connect() as source, engine.begin() as to:
        if to.execute(select(func.count()).select_from(entries)).scalar_one():
            raise Refused("The database is not empty: nothing is overwritten.", cure="Give an empty database.")
        _copy(source, to)
        for table in _COUNTED:
            last = to.execute(select(func.max(table.c.id))).scalar()
            if last:
                to.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {int(last)})"))
    copy.dispose()


def begin_anew(connection: Connection) -> None:
    """Delete what is of the machine that was: its heartbeats, and the sessions of its console."""
    for table in (nodes, sessions):
        connection.execute(delete(table))


def _copy(source: Connection, to: Connection) -> None:
    to.execute(delete(head))  # that of an empty ledger
    for table in TABLES:
        rows = source.execute(select(table).execution_options(yield_per=_ROWS_AT_ONCE))
        for piece in rows.mappings().partitions(_ROWS_AT_ONCE):
            to.execute(insert(table), [dict(row) for row in piece])

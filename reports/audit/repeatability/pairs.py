"""The table of test-retest pairs; the newest of each kind are read, so that a report of a busy site stays bounded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, Connection, Engine, Float, Index, Integer, String, Table, Text, and_, func, select

from reports.audit.observation import FORMER_FIGURES
from reports.audit.observations import GROUPINGS, METADATA, grouping_columns
from reports.audit.repeatability.pair import BETWEEN, MEASURED, Again, Pair

MOST_PAIRS = 5_000
"""Read of each kind: the newest. Intervals of so many are narrower than any use of them."""
KEYS = (*GROUPINGS[1:], "other")
FIGURE_COLUMNS = (
    *(f"{which}_{name}" for name in MEASURED for which in ("first", "second")),
    *BETWEEN,
)

pairs = Table(
    "repeat_pairs",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_seconds", Float, nullable=False),  # since 1970, UTC
    Column("again", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    *grouping_columns(),  # the route of the golden set is empty
    Column("other", String(64), nullable=False),
    Column("days_apart", Integer),
    Column("registered", Text, nullable=False),
    *(Column(name, Float) for name in FIGURE_COLUMNS),
    *(Column(f"{which}_{name}", Float) for name in FORMER_FIGURES.values() for which in ("first", "second")),
    Index("ix_repeat_pairs_newest", "again", "route", "at_seconds"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Pairs, newest first."""

    keys: Sequence[tuple[str, ...]]
    """(N), in the order of ``KEYS``."""
    subjects: Sequence[str]
    registered: Sequence[str]
    days_apart: NDArray[np.float64]
    """(N,), NaN where it is not between examinations."""
    figures: Mapping[str, NDArray[np.float64]]
    """(N,) by column, NaN where it could not be had."""


def keep(connection: Connection, given: Sequence[Pair]) -> None:
    """Store pairs, within the transaction that stores what they are of."""
    if given:
        connection.execute(pairs.insert(), [_row(pair) for pair in given])


def read(
    engine: Engine,
    again: Again,
    route: str,
    bundles: Collection[str],
    since: datetime | None = None,
    before: datetime | None = None,
) -> Read:
    """Read the newest pairs of a route, and of the golden sets of its bundles.

    Args:
        engine: of the store.
        again: by what things were measured again.
        route: whose.
        bundles: of the route.
        since: first time, where there is one.
        before: first time no more of it.
    """
    golden = and_(pairs.c.route == "", pairs.c.bundle.in_(bundles))
    is_golden = again in (Again.REPLAY, Again.VERSION)
    names = (*KEYS, "subject", "registered", "days_apart", *FIGURE_COLUMNS)
    query = select(*(pairs.c[name] for name in names)).where(
        pairs.c.again == again.value, golden if is_golden else pairs.c.route == route
    )
    if since is not None:
        query = query.where(pairs.c.at_seconds >= since.timestamp())
    if before is not None:
        query = query.where(pairs.c.at_seconds < before.timestamp())
    with engine.connect() as connection:
        newest = query.order_by(pairs.c.at_seconds.desc(), pairs.c.id.desc()).limit(MOST_PAIRS)
        rows = [tuple(row) for row in connection.execute(newest)]
    keys, texts = len(KEYS), len(KEYS) + 2
    table = np.array([row[texts:] for row in rows], dtype=np.float64).reshape(len(rows), len(names) - texts)
    return Read(
        [row[:keys] for row in rows],
        [row[keys] for row in rows],
        [row[keys + 1] for row in rows],
        table[:, 0],
        {name: table[:, number] for number, name in enumerate(FIGURE_COLUMNS, start=1)},
    )


def count_ever(engine: Engine) -> int:
    """Return how many pairs were ever kept; another number, other pairs."""
    with engine.connect() as connection:
        return int(connection.execute(select(func.max(pairs.c.id))).scalar_one() or 0)


def _row(pair: Pair) -> dict[str, object]:
    texts = ("subject", "route", *KEYS, "days_apart", "registered")
    return {
        "at_seconds": pair.at.timestamp(),
        "again": pair.again.value,
        **{name: getattr(pair, name) for name in texts},
        **{f"first_{name}": pair.first.get(name) for name in MEASURED},
        **{f"second_{name}": pair.second.get(name) for name in MEASURED},
        **{name: pair.between.get(name) for name in BETWEEN},
    }

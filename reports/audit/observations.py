"""The table of observations, a row for each finding, read by column: a million fit in memory, their maps do not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    Text,
    func,
    select,
)

from inference.errors import UnknownName
from reports.audit.observation import FIGURES, FORMER_FIGURES, Observation

METADATA = MetaData()
ROWS_AT_ONCE = 10_000
STUDIES_AT_ONCE = 500
GROUPINGS = ("route", "bundle", "model", "method", "scanner", "protocol", "label")
"""What observations can be split by."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def grouping_columns() -> tuple[Column[str], ...]:
    """Make the columns of ``GROUPINGS`` for a table."""
    return tuple(
        Column(name, Text if name in ("scanner", "protocol") else String(64), nullable=False) for name in GROUPINGS
    )


observations = Table(
    "observations",
    METADATA,
    Column("job_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # of the map within the job
    Column("at_seconds", Float, nullable=False, index=True),  # since 1970, UTC
    Column("day", Integer, nullable=False),  # since 1970-01-01, UTC
    Column("study", String(64), nullable=False, index=True),
    Column("patient", String(64), nullable=False, index=True),
    *grouping_columns(),
    Column("verdict", String(16), nullable=False),
    Column("map_digest", String(64), nullable=False),
    Column("thumbnail", LargeBinary, nullable=False),
    Column("peak_x_mm", Float),
    Column("peak_y_mm", Float),
    Column("peak_z_mm", Float),
    Column("study_day", Integer),  # of the Study Date, since 1970-01-01
    *(Column(name, Float) for name in (*FIGURES, *FORMER_FIGURES.values())),
    Index("ix_observations_route", "route", "at_seconds"),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which observations: those whose groupings all have the value named, from and before a time."""

    where: Mapping[str, str]
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One figure and the day of each case."""

    days: NDArray[np.int32]
    """(N,), since 1970-01-01."""
    values: NDArray[np.float64]
    """(N,)."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is of a selection; another extent, another selection."""

    cases: int
    first_seconds: float
    last_seconds: float


class Observations:
    """The observations of one store."""

    def __init__(self, engine: Engine, where: Mapping[str, str] | None = None) -> None:
        """Bind to a store.

        Args:
            engine: of the store.
            where: only observations whose groupings have these values are ever read.
        """
        self.engine = engine
        self._where = dict(where or {})

    def narrowed(self, where: Mapping[str, str]) -> "Observations":
        """Return those of them whose groupings have these values."""
        return Observations(self.engine, {**self._where, **where})

    def add(self, job_id: str, seen: Sequence[Observation], connection: Connection) -> bool:
        """Keep what was observed of a job, within the transaction that keeps its results; again changes nothing.

        Returns:
            whether it was new.
        """
        have = select(func.count()).select_from(observations).where(observations.c.job_id == job_id)
        if not seen or connection.execute(have).scalar_one():
            return False
        connection.execute(
            observations.insert(), [_row(job_id, number, observation) for number, observation in enumerate(seen)]
        )
        return True

    def series(self, figures: Sequence[str], selection: Selection) -> Mapping[str, Series]:
        """Read figures, each of the cases that have it, in no order.

        Raises:
            UnknownName: there is no such figure, or the selection is by something that is no grouping.
        """
        query = select(observations.c.day, *(_figure(name) for name in figures))
        days, *columns = self._columns(query, len(figures) + 1, selection)
        return {name: _series(days.astype(np.int32), values) for name, values in zip(figures, columns, strict=True)}

    def table(self, figures: Sequence[str], selection: Selection) -> Mapping[str, NDArray[np.float64]]:
        """Read figures case by case, oldest first.

        Returns:
            (N,) each: "day" since 1970-01-01, "study" as a number, and by figure, NaN where a case has none.

        Raises:
            UnknownName: as ``series``.
        """
        study = func.dense_rank().over(order_by=observations.c.study)
        query = select(observations.c.day, study, *(_figure(name) for name in figures)).order_by(
            observations.c.at_seconds, observations.c.job_id, observations.c.number
        )
        names = ("day", "study", *figures)
        return dict(zip(names, self._columns(query, len(names), selection), strict=True))

    def groups(self, grouping: str) -> Mapping[str, int]:
        """Return the values of a grouping with their number of observations, most first.

        Raises:
            UnknownName: it is no grouping.
        """
        column = observations.c[_known(grouping)]
        query = select(column, func.count()).group_by(column).order_by(func.count().desc(), column)
        return {str(value): int(count) for value, count in self.rows(query, Selection({}))}

    def extent(self, selection: Selection) -> Extent:
        """Say how much there is of a selection, from when, and until when."""
        at = observations.c.at_seconds  # of a route the index alone answers
        ((cases, first, last),) = self.rows(select(func.count(), func.min(at), func.max(at)), selection)
        return Extent(int(cases), first or 0.0, last or 0.0)

    def values(self, groupings: Sequence[str], selection: Selection) -> frozenset[tuple[str, ...]]:
        """Return which values of some groupings come together, (groupings,) each.

        Raises:
            UnknownName: one is no grouping.
        """
        columns = [observations.c[_known(name)] for name in groupings]
        return frozenset(tuple(row) for row in self.rows(select(*columns).distinct(), selection))

    def rows(self, query: Any, selection: Selection) -> Sequence[Any]:
        """Ask ``query`` of the observations that are selected."""
        with self.engine.connect() as connection:
            return connection.execute(self._selected(query, selection)).all()

    def tally(self, selection: Selection) -> Mapping[tuple[str, str], int]:
        """Count maps by scanner and verdict; images without a finding have the verdict ""."""
        columns = observations.c.scanner, observations.c.verdict
        query = select(*columns, func.count()).group_by(*columns)
        return {(str(scanner), str(verdict)): int(count) for scanner, verdict, count in self.rows(query, selection)}

    def count_studies(self, selection: Selection) -> int:
        """Count the studies."""
        return int(self.rows(select(func.count(observations.c.study.distinct())), selection)[0][0])

    def among(self, studies: Sequence[str], selection: Selection) -> frozenset[str]:
        """Return those of some studies, by their keyed hashes, that are selected."""
        selected: set[str] = set()
        query = self._selected(select(observations.c.study).distinct(), selection)
        with self.engine.connect() as connection:
            for begin in range(0, len(studies), STUDIES_AT_ONCE):
                some = query.where(observations.c.study.in_(studies[begin : begin + STUDIES_AT_ONCE]))
                selected.update(connection.execute(some).scalars())
        return frozenset(selected)

    def maps(self, selection: Selection, most: int) -> Mapping[tuple[str, str, str], Sequence[tuple[str, bytes]]]:
        """Read the newest small maps, each with its patient, by (bundle, method, label).

        Args:
            selection: which.
            most: read at once.
        """
        names = ("bundle", "method", "label", "patient", "thumbnail")
        query = select(*(observations.c[name] for name in names)).where(observations.c.label != "")
        query = self._selected(query, selection).order_by(observations.c.at_seconds.desc()).limit(most)
        maps: dict[tuple[str, str, str], list[tuple[str, bytes]]] = {}
        with self.engine.connect() as connection:
            for bundle, method, label, patient, thumbnail in connection.execute(query):
                maps.setdefault((bundle, method, label), []).append((patient, thumbnail))
        return maps

    def _selected(self, query: Select[Any], selection: Selection) -> Select[Any]:
        for grouping, value in [*self._where.items(), *selection.where.items()]:
            query = query.where(observations.c[_known(grouping)] == value)
        if selection.since is not None:
            query = query.where(observations.c.at_seconds >= selection.since.timestamp())
        if selection.before is not None:
            query = query.where(observations.c.at_seconds < selection.before.timestamp())
        return query

    def _columns(self, query: Select[Any], columns: int, selection: Selection) -> Sequence[NDArray[np.float64]]:
        parts = [np.empty((0, columns))]
        parts += [np.array(rows, dtype=np.float64) for rows in self._pieces(self._selected(query, selection))]
        return [np.concatenate([part[:, column] for part in parts]) for column in range(columns)]

    def _pieces(self, query: Select[Any]) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield the driver's own tuples, some at a time: a Row of each would double the time."""
        with self.engine.connect().execution_options(stream_results=True) as connection:
            result = connection.execute(query)
            while rows := result.cursor_strategy.fetchmany(result, result.cursor, ROWS_AT_ONCE):
                yield rows


def day_of(at: datetime) -> int:
    """Return the number of days since 1970-01-01, UTC."""
    return (at - _EPOCH) // timedelta(days=1)


def _series(days: NDArray[np.int32], values: NDArray[np.float64]) -> Series:
    here = ~np.isnan(values)
    return Series(days, values) if here.all() else Series(days[here], values[here])


def _figure(name: str) -> Column[float]:
    if name not in (*FIGURES, *FORMER_FIGURES.values()):
        raise UnknownName(f"There is no figure {name!r}.", cure=f"There are {', '.join(FIGURES)}.")
    return observations.c[name]


def _known(grouping: str) -> str:
    if grouping not in GROUPINGS:
        raise UnknownName(f"There is no grouping {grouping!r}.", cure=f"There are {', '.join(GROUPINGS)}.")
    return grouping


def _row(job_id: str, number: int, seen: Observation) -> dict[str, object]:
    names = ("study", "patient", "study_day", *GROUPINGS, "verdict", "map_digest", "thumbnail")
    peak = seen.peak_mm or (None, None, None)
    return {
        "job_id": job_id,
        "number": number,
        "at_seconds": seen.at.timestamp(),
        "day": day_of(seen.at),
        **{name: getattr(seen, name) for name in names},
        **dict(zip(("peak_x_mm", "peak_y_mm", "peak_z_mm"), peak, strict=True)),
        **{name: seen.figures.get(name) for name in FIGURES},
    }

"""Export of ledger and observations to CSV, JSON lines or Parquet, in batches of rows."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, Table, select

from inference.errors import Misconfigured

Format = Literal["csv", "jsonl", "parquet"]
TextFormat = Literal["csv", "jsonl"]
ROWS_AT_ONCE = 20_000
Piece = Sequence[tuple[Any, ...]]


def export(engine: Engine, table: Table, path: Path, kind: Format) -> int:
    """Write every row of a table, by its primary key; bytes as hexadecimal digits.

    Returns:
        how many rows.

    Raises:
        Misconfigured: Parquet is asked for and pyarrow is not installed.
    """
    columns = [column.name for column in table.columns]
    query = select(table).order_by(*table.primary_key.columns)
    rows = 0
    writing = _parquet(path, columns) if kind == "parquet" else _text(path, columns, kind)
    with writing as write, engine.connect().execution_options(yield_per=ROWS_AT_ONCE) as connection:
        for part in connection.execute(query).partitions():
            write([tuple(_plain(value) for value in row) for row in part])
            rows += len(part)
    return rows


def heading(columns: Sequence[str], kind: TextFormat) -> str:
    """Return what a file of text begins with."""
    return _csv([tuple(columns)]) if kind == "csv" else ""


def as_text(rows: Iterable[tuple[Any, ...]], columns: Sequence[str], kind: TextFormat) -> str:
    """Write some rows as lines."""
    if kind == "csv":
        return _csv(rows)
    return "".join(json.dumps(dict(zip(columns, row, strict=True)), default=str) + "\n" for row in rows)


def _csv(rows: Iterable[tuple[Any, ...]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


@contextmanager
def _text(path: Path, columns: Sequence[str], kind: TextFormat) -> Iterator[Callable[[Piece], object]]:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(heading(columns, kind))
        yield lambda rows: file.write(as_text(rows, columns, kind))


@contextmanager
def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Piece], object]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise Misconfigured(
            "Parquet needs pyarrow, which is not installed.", cure="pip install 'heatproof[parquet]', or ask for csv."
        ) from error
    opened: list[Any] = []

    def write(rows: Piece) -> None:
        piece = pa.table({name: [row[at] for row in rows] for at, name in enumerate(columns)})
        if not opened:
            opened.append(parquet.ParquetWriter(path, _wide(piece.schema, pa)))
        opened[0].write_table(piece.cast(opened[0].schema))

    yield write
    if opened:
        opened[0].close()
    else:
        parquet.write_table(pa.table({name: pa.array([], pa.string()) for name in columns}), path)


def _wide(schema: Any, pa: Any) -> Any:
    """Take a column whose first batch has only missing values as numbers: text is never missing here."""
    fields = [field.with_type(pa.float64()) if pa.types.is_null(field.type) else field for field in schema]
    return pa.schema(fields)

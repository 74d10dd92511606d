"""What leaves the store for other programs is what is in it."""

import csv
import json
from pathlib import Path

from pyarrow import parquet
from sqlalchemy import create_engine

from reports.audit.export import export
from reports.audit.ledger import METADATA, Event, Ledger, entries
from reports.audit.observations import observations
from tests.reports.audit.years import Hospital, draw_year, store_of


def test_csv_json_lines_and_parquet_hold_every_row_of_the_ledger(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    METADATA.create_all(engine)
    ledger = Ledger(engine, b"key")
    for number in range(5):
        ledger.append(Event.ANALYSED, study_instance_uid=f"1.2.{number}", details={"problem": 'a, b\n"c"'})
    wanted = [(entry.seq, entry.digest) for entry in ledger.events()]
    assert [export(engine, entries, tmp_path / f"ledger.{kind}", kind) for kind in ("csv", "jsonl", "parquet")] == [
        5
    ] * 3
    with (tmp_path / "ledger.csv").open(newline="") as file:
        from_csv = [(int(row["seq"]), row["digest"]) for row in csv.DictReader(file)]
    from_json = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    from_parquet = parquet.read_table(tmp_path / "ledger.parquet").to_pylist()
    assert from_csv == wanted
    assert [(row["seq"], row["digest"]) for row in from_json] == wanted
    assert [(row["seq"], row["digest"]) for row in from_parquet] == wanted


def test_findings_keep_their_missing_figures_missing(tmp_path: Path) -> None:
    day, rows = draw_year(0, Hospital(), days=20)
    del rows["trust"]
    store = store_of(day, rows)
    path = tmp_path / "findings.parquet"
    assert export(store.engine, observations, path, "parquet") == len(day)
    table = parquet.read_table(path)
    assert table["trust"].null_count == len(day)
    assert abs(sum(table["hot_area"].to_pylist()) - rows["hot_area"].sum()) < 1e-6


def test_an_empty_table_is_an_empty_file(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    METADATA.create_all(engine)
    assert export(engine, entries, tmp_path / "ledger.parquet", "parquet") == 0
    assert parquet.read_table(tmp_path / "ledger.parquet").num_rows == 0

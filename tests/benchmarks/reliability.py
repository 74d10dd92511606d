"""What goes wrong at a DICOM node, row by row, and whether the tests that hold it pass here.

    python -m tests.benchmarks.reliability [--rows 1-20] [--workers 2]
    python -m tests.benchmarks.reliability --write

The rows are those of ``reliability.toml``. The first runs the tests of each row and prints what came of them: a row is
held where all pass, and partly held where some could not run on this machine. The second writes the rows, as they
stand, into deploy/RELIABILITY.md.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "deploy" / "RELIABILITY.md"
BEGIN, END = "<!-- rows of tests/benchmarks/reliability.toml -->", "<!-- end of rows -->"


@dataclass(frozen=True)
class Row:
    """One fault."""

    number: int
    fault: str
    answer: str
    held_by: tuple[str, ...]
    """Test files below ``tests``, or ``FILE::TEST``."""


@dataclass(frozen=True)
class Outcome:
    """What came of one test, all its parameters together."""

    passed: int
    failed: int
    skipped: int
    seconds: float


def read_rows() -> tuple[Row, ...]:
    """Read the table."""
    with Path(__file__).with_suffix(".toml").open("rb") as file:
        listed = tomllib.load(file)["row"]
    return tuple(
        Row(number, row["fault"], row["answer"], tuple(row["held_by"])) for number, row in enumerate(listed, start=1)
    )


def page_table(rows: Sequence[Row]) -> str:
    """Return the rows as they stand in deploy/RELIABILITY.md."""
    lines = ["| # | what goes wrong | what the node does | held by |", "|---|---|---|---|"]
    for row in rows:
        files = dict.fromkeys(name.partition("::")[0] for name in row.held_by)
        lines.append(f"| {row.number} | {row.fault} | {row.answer} | {', '.join(f'`{name}`' for name in files)} |")
    return "\n".join(lines)


def with_table(page: str, rows: Sequence[Row]) -> str:
    """Return a page with the rows between their two marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{page_table(rows)}\n\n{END}{rest.partition(END)[2]}"


def run(rows: Sequence[Row], workers: int) -> dict[str, Outcome]:
    """Run every test of the rows once; give the outcome by ``FILE::TEST``."""
    wanted = dict.fromkeys(str(TESTS / name) for row in rows for name in row.held_by)
    whole = {name for name in wanted if "::" not in name}
    asked = [name for name in wanted if name in whole or name.partition("::")[0] not in whole]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-q", "-p", "no:cacheprovider", "-n", str(workers), "--dist", "loadfile", f"--junit-xml={report}"]
        subprocess.run([sys.executable, "-m", "pytest", *options, *asked], cwd=TESTS.parent, check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))  # noqa: S314 - pytest's own
    found: dict[str, Counter[str]] = {}
    for case in cases:
        file = case.attrib["classname"].removeprefix("tests.").replace(".", "/") + ".py"
        kinds = {child.tag for child in case}
        kind = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        one = found.setdefault(f"{file}::{case.attrib['name'].partition('[')[0]}", Counter())
        one[kind] += 1
        one["milliseconds"] += round(1000 * float(case.attrib["time"]))
    return {
        name: Outcome(one["passed"], one["failed"], one["skipped"], one["milliseconds"] / 1000)
        for name, one in found.items()
    }


def of_row(row: Row, outcomes: dict[str, Outcome]) -> Outcome:
    """Return the outcome of a row: the sum over its tests."""
    mine = [
        one
        for name, one in outcomes.items()
        if any(name == wanted or name.startswith(f"{wanted}::") for wanted in row.held_by)
    ]
    sums = (sum(getattr(one, kind) for one in mine) for kind in ("passed", "failed", "skipped", "seconds"))
    return Outcome(*sums)


def lines(rows: Sequence[Row], outcomes: dict[str, Outcome]) -> Iterator[str]:
    """Yield a line for each row, and the sum."""
    said: Counter[str] = Counter()
    for row in rows:
        one = of_row(row, outcomes)
        word = "NOT HELD" if one.failed or not one.passed else "partly held" if one.skipped else "held"
        said[word] += 1
        skipped = f", {one.skipped} skipped" if one.skipped else ""
        failed = f", {one.failed} FAILED" if one.failed else ""
        yield f"{row.number:3d}  {word:12}{one.passed:4d} passed{failed}{skipped} in {one.seconds:.1f} s: {row.fault}"
        yield f"{'':17}{row.answer}"
    yield ", ".join(f"{count} rows {word}" for word, count in said.items())


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--write", action="store_true", help="write the rows into deploy/RELIABILITY.md, and run nothing"
    )
    parser.add_argument("--rows", default="", help="only these, such as 1-20")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    rows = read_rows()
    if asked.write:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
        return
    if asked.rows:
        first, _, last = asked.rows.partition("-")
        rows = rows[int(first) - 1 : int(last or first)]
    for line in lines(rows, run(rows, asked.workers)):
        print(line, flush=True)


if __name__ == "__main__":
    main()

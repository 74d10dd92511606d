"""What goes wrong at a DICOM node, row by row, and whether the tests that hold it pass here.

    python -m tests.benchmarks.reliability [--rows 1-20] [--workers 2] [--keep FILE]
    python -m tests.benchmarks.reliability --write

The rows are those of ``reliability.toml``. The first runs the tests of each row and prints what came of them: a row is
held where all pass, and partly held where some could not run on this machine. With ``--keep`` what came of them is kept
row by row, and a run that was broken off goes on where it was; once all rows are done the table is written into
``reliability.txt`` beside it. The second writes the rows, as they stand, into deploy/RELIABILITY.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from tests.benchmarks.attack_table import machine

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "deploy" / "RELIABILITY.md"
FIGURES = Path(__file__).with_suffix(".txt")
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


@dataclass
class Kept:
    """What came of tests so far; in a file where one is named."""

    path: Path | None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By ``FILE::TEST``."""
    done: set[str] = field(default_factory=set)
    """What was asked for: test files, or ``FILE::TEST``."""

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read what an earlier run left; nothing where there is none."""
        if path is None or not path.is_file():
            return cls(path)
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(path, {name: Outcome(**one) for name, one in content["outcomes"].items()}, set(content["done"]))

    def missing(self, row: Row) -> tuple[str, ...]:
        """Return what of a row has not been run."""
        return tuple(name for name in row.held_by if not {name, name.partition("::")[0]} & self.done)

    def add(self, names: Sequence[str], outcomes: dict[str, Outcome]) -> None:
        """Keep what came of some tests."""
        self.outcomes.update(outcomes)
        self.done.update(names)
        if self.path is not None:
            content = {
                "outcomes": {name: asdict(one) for name, one in self.outcomes.items()},
                "done": sorted(self.done),
            }
            self.path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def run(names: Sequence[str], workers: int) -> dict[str, Outcome]:
    """Run tests once, files or ``FILE::TEST``; give the outcome by ``FILE::TEST``."""
    wanted = dict.fromkeys(str(TESTS / name) for name in names)
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
    parser.add_argument("--keep", type=Path, help="file of what came of the tests so far; what stands there is not run")
    asked = parser.parse_args()
    every = rows = read_rows()
    if asked.write:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
        return
    if asked.rows:
        first, _, last = asked.rows.partition("-")
        rows = rows[int(first) - 1 : int(last or first)]
    kept = Kept.read(asked.keep)
    for row in rows:
        if names := kept.missing(row):
            kept.add(names, run(names, min(asked.workers, len(names))))
        print(*list(lines([row], kept.outcomes))[:-1], sep="\n", flush=True)
    print(list(lines(rows, kept.outcomes))[-1])
    if asked.keep and not any(map(kept.missing, every)):
        head = f"python -m tests.benchmarks.reliability\n{machine()}\n"
        FIGURES.write_text("\n".join([head, *lines(every, kept.outcomes)]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

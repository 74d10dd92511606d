"""Three years of a hospital on one node: what it takes at the end against the beginning, and what retention keeps.

    python -m tests.benchmarks.three_years [--days 1096] [--studies-a-day 60] [--minutes 20]

The clock is injected. Every study goes through the node's own inbox, completion, decision, outbox, observations, ledger
and deliveries; every 500th is analysed by the shipped network, and the results of the others are its bytes under new
UIDs. Left out is DBOS Transact, whose rows go with those of the study, and, for speed, every sync to the disk. One
study in 1,000 is never delivered, and for ten days of each year a destination is away. Start and pages are those of
the real node on that home. With ``--minutes`` it ends at the day that is reached then.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from node.retention.leftovers import used_bytes
from node.store import deliveries, instances, open_engine, results, sqlite_url, studies
from reports.audit.ledger import Ledger, entries
from tests.benchmarks.simulated_node import Clock, SimulatedNode
from tests.hostile import stand_in
from tests.node.running import RunningNode
from tests.patience import wait_until

EARLY_DAYS = 30
WATERMARK_DAYS = 50
"""Room for originals and results of so many days: less than what the ages alone would keep."""
RETENTION_DAYS = 2
"""Between two looks of the retention; the product looks every hour."""
PAGES = ("/", "/studies", "/studies?page=10", "/studies?sort=finding", "/deliveries", "/ledger", "/audit")
REPEATS = 5


@dataclass(frozen=True)
class Figures:
    """What a node takes at one moment."""

    day: int
    rows: dict[str, int]
    store_mib: float
    files_mib: float
    """Of inbox and outbox."""
    verify_seconds: float
    """To recompute the ledger's chain."""
    start_seconds: tuple[float, float]
    """Until images are taken, and until they are analysed."""
    page_seconds: dict[str, tuple[float, float]]
    """First, and median of the others."""


def measure(folder: Path, day: int) -> Figures:
    """Start the real node on the home, ask it for its pages, and stop it."""
    home = folder / "home"
    engine = open_engine(sqlite_url(home))
    with engine.connect() as connection:
        tables = (studies, instances, results, deliveries, entries)
        rows = {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}
    began = time.monotonic()
    broken_at = Ledger(engine, b"").verify()
    verify_seconds = time.monotonic() - began
    assert broken_at is None, f"row {broken_at} of the ledger"
    engine.dispose()
    sizes = [path.stat().st_size for path in home.glob("heatproof.sqlite*")]
    files = sum(path.stat().st_size for name in ("inbox", "outbox") for path in (home / name).rglob("*"))
    started, pages = serve(folder)
    return Figures(day, rows, sum(sizes) / (1 << 20), files / (1 << 20), verify_seconds, started, pages)


def serve(folder: Path) -> tuple[tuple[float, float], dict[str, tuple[float, float]]]:
    """Return what the start of the real node takes, and each of its pages."""
    node = RunningNode(folder, destination_port=1)
    began = time.monotonic()
    process = stand_in.start_node(node)
    taken = time.monotonic() - began
    try:
        wait_until(lambda: node.analysing, 120, "the start of the node")
        analysed = time.monotonic() - began
        pages = {page: [seconds_of(node, page) for _ in range(REPEATS + 1)] for page in PAGES}
    finally:
        process.terminate()
        process.join()
    return (taken, analysed), {page: (found[0], statistics.median(found[1:])) for page, found in pages.items()}


def seconds_of(node: RunningNode, page: str) -> float:
    """Ask for a page."""
    began = time.monotonic()
    node.get(page).raise_for_status()
    return time.monotonic() - began


def simulate(node: SimulatedNode, clock: Clock, days: int, a_day: int, until: float) -> Iterator[int]:
    """Live day after day; give each that is over."""
    for day in range(days):
        away = day % 365 in range(100, 110)
        for number in range(a_day):
            clock.at += timedelta(days=1) / a_day
            node.study(day * a_day + number, away=away)
        if not away:
            node.deliver_waiting()
        if day % RETENTION_DAYS == RETENTION_DAYS - 1:
            node.retain()
        yield day
        if time.monotonic() > until:
            return


def report(early: Figures, late: Figures, node: SimulatedNode) -> Iterator[str]:
    """Compare the end with the beginning."""
    yield f"{'':44}{f'after {early.day} days':>20}{f'after {late.day} days':>20}"
    lines: dict[str, Sequence[str]] = {
        f"rows of {name}": [f"{found.rows[name]:,}" for found in (early, late)] for name in early.rows
    }
    lines["heatproof.sqlite"] = [f"{found.store_mib:,.1f} MiB" for found in (early, late)]
    lines["files in inbox and outbox"] = [f"{found.files_mib:,.1f} MiB" for found in (early, late)]
    lines["heatproof audit verify"] = [f"{found.verify_seconds:.2f} s" for found in (early, late)]
    lines["start, until images are taken"] = [f"{found.start_seconds[0]:.1f} s" for found in (early, late)]
    lines["start, until they are analysed"] = [f"{found.start_seconds[1]:.1f} s" for found in (early, late)]
    for page in PAGES:
        of_page = [found.page_seconds[page] for found in (early, late)]
        lines[f"{page} (first, median of {REPEATS})"] = [f"{first:.2f}, {later:.2f} s" for first, later in of_page]
    for name, values in lines.items():
        yield f"{name:44}" + "".join(f"{value:>20}" for value in values)
    yield (
        f"retention: {node.removed:,} removals; inbox and outbox after it at most "
        f"{node.most_used / (1 << 20):,.1f} MiB, watermark {node.watermark_mebibytes:,} MiB"
    )
    yield (
        f"not delivered: {len(node.undelivered):,} studies, of which {node.lost_undelivered():,} lack an image or a "
        f"result; removed before they were delivered: {node.removed_too_early:,}"
    )
    yield f"a study: {1000 * node.seconds_a_study:.0f} ms, {node.real:,} of {node.made:,} analysed by the network"


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=1096)
    parser.add_argument("--studies-a-day", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=0.0, help="end after so many, at whatever day; 0: all days")
    asked = parser.parse_args()
    until = time.monotonic() + 60.0 * asked.minutes if asked.minutes else float("inf")
    clock = Clock(datetime.now(UTC) - timedelta(days=asked.days))
    clock.inject()
    print(
        f"python -m tests.benchmarks.three_years --days {asked.days} --studies-a-day {asked.studies_a_day} "
        f"--minutes {asked.minutes:g} ({os.cpu_count()} cores)",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        node = SimulatedNode(folder / "home", clock, watermark_studies=WATERMARK_DAYS * asked.studies_a_day)
        early: Figures | None = None
        day = 0
        for day in simulate(node, clock, asked.days, asked.studies_a_day, until):
            if day + 1 == min(EARLY_DAYS, asked.days):
                node.rest()
                serve(folder)  # it imports the libraries, for all starts that come after it
                early = measure(folder, day + 1)
            if day % 100 == 99:
                print(f"day {day + 1}: {used_bytes(node.settings) / (1 << 20):,.1f} MiB", flush=True)
        assert early is not None, "the time was over within the first month"
        node.rest()
        for line in report(early, measure(folder, day + 1), node):
            print(line, flush=True)


if __name__ == "__main__":
    main()

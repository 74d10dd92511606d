"""How soon the audit sees what goes wrong, and how often it alarms without a cause: years of a made-up hospital.

``python -m tests.benchmarks.audit [--years 200] [--findings 1000000]``; with ``--years 0`` no year is simulated.

Prints a table: the share of in-control years with an alarm beside the one designed, the delay of each event beside the
one that the charts' design expects; then time and memory of one report over many findings, and what an appended row of
the ledger costs.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from scipy.stats import binom, binomtest
from sqlalchemy import create_engine

from node.settings.audit import AuditSettings
from reports.audit.charts.design import Design
from reports.audit.charts.monitor import Watch, design, watch
from reports.audit.ledger import METADATA as LEDGER
from reports.audit.ledger import Event as LedgerEvent
from reports.audit.ledger import Ledger
from reports.audit.month.month import month_of, range_of
from reports.audit.month.page import month_page
from reports.audit.observations import METADATA, Observations
from tests.reports.audit.charts.troubles import (
    LOCKED,
    TROUBLES,
    YEAR_DAYS,
    Change,
    Trouble,
    other_driver,
    other_weights,
    replays_of,
    seen_after,
    year_of,
)
from tests.reports.audit.years import BASELINE_DAYS, Hospital, draw_year, fill

FIRST_OF_TROUBLES = 1000
"""Seed of the first year with an event; years in control count from 0, with a quiet summer from 2000."""


def in_control(name: str, first: int, years: int, hospital: Hospital) -> None:
    """Print the share of years without a cause that alarm all the same."""
    drawn = (year_of(seed, hospital=hospital) for seed in range(first, first + years))
    alarms, designs = zip(*((bool(one.alarms), one.design) for one in drawn), strict=True)
    alarmed, designed = sum(alarms), designs[0].share_of_years
    share = binomtest(alarmed, years, designed).proportion_ci()
    met = "yes" if share.low <= designed <= share.high else "NO"
    length = statistics.median(one.run_length for one in designs)
    measured = f"{alarmed / years:.2f} [{share.low:.2f}, {share.high:.2f}]"
    by = f"{len(Watch().figures) * len(Watch().kinds)} charts, each alone once in {length:.0f} days"
    row(name, f"{designed:.2f} of years alarm", f"{alarmed} of {years}", measured, by, met)


def charted(trouble: Trouble, years: int) -> None:
    """Print how many days an event takes to be seen by the charts."""
    controls = [year_of(seed, trouble.event) for seed in range(FIRST_OF_TROUBLES, FIRST_OF_TROUBLES + years)]
    designed = statistics.median(trouble.designed_days(one) for one in controls)
    seen = [one for one in map(seen_after, controls) if one is not None]
    first = Counter(f"mostly {alarm.kind} of {alarm.figure.replace('_', ' ')}" for _, alarm in seen)
    by = first.most_common(1)[0][0] if first else ""
    delay(trouble.name, designed, "days", [days for days, _ in seen], years, by)


def replayed(name: str, change: Change, years: int) -> None:
    """Print how many hours a change takes to be seen by the replay of the golden set."""
    hours = AuditSettings().replay_hours
    with tempfile.TemporaryDirectory() as folder:
        found = [
            replays_of(seed, change, Path(folder), hours=hours)
            for seed in range(FIRST_OF_TROUBLES, FIRST_OF_TROUBLES + years)
        ]
    levels = Counter("R0 fails, R1 passes" if level == "R1" else "R0 and R1 fail" for _, level in found)
    delay(name, hours, "hours", [one for one, _ in found], years, levels.most_common(1)[0][0])


def delay(name: str, designed: float, unit: str, delays: Sequence[float], years: int, by: str) -> None:
    """Print a row: the designed delay, and the median of the delays with its 95 % interval by order statistics."""
    if len(delays) < 6:
        row(name, f"{designed:.1f} {unit}", f"{len(delays)} of {years}", "too few to say", by, "NO")
        return
    ordered, rank = sorted(delays), int(binom.ppf(0.025, len(delays), 0.5))
    low, high = ordered[rank - 1], ordered[len(delays) - rank]
    middle = statistics.median(delays)
    met = "yes" if middle <= designed and len(delays) == years else "NO"
    span = f"{middle:.0f} [{low:.0f}, {high:.0f}] {unit}, {ordered[0]:.0f} to {ordered[-1]:.0f}"
    row(name, f"{designed:.1f} {unit}", f"{len(delays)} of {years}", span, by, met)


def row(*cells: str) -> None:
    """Print a row of the table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def table(years: int) -> None:
    """Print all years."""
    row("what happens", "designed", "seen in", "measured: share, or median delay, [95 %], range", "by", "met")
    row(*["---"] * 6)
    in_control("nothing", 0, years, Hospital())
    in_control("nothing, and a quiet summer", 2000, years, Hospital(quiet=(BASELINE_DAYS + 150, BASELINE_DAYS + 220)))
    some = max(years // 10, 10)
    for trouble in TROUBLES:
        charted(trouble, some)
    replayed("a driver that alters the last bits", other_driver, some)
    replayed("silent model update, in the golden set", other_weights, some)


def fill_years(url: str, findings: int) -> int:
    """Put about so many findings of a baseline and a year into a new store; give how many they are."""
    engine = create_engine(url)
    METADATA.create_all(engine)
    LEDGER.create_all(engine)
    hospital = replace(Hospital(), cases_a_day=findings / (BASELINE_DAYS + YEAR_DAYS) * 7 / 5.5)
    day, rows = draw_year(7, hospital, days=BASELINE_DAYS + YEAR_DAYS)
    fill(engine, day, rows)
    return len(day)


def large_report(findings: int) -> None:
    """Print time and memory of the charts and of a whole month's page over many findings in an SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'years.sqlite'}"
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:  # whose memory is not the report's
            cases = elsewhere.submit(fill_years, url, findings).result()
        engine = create_engine(url)
        locked = replace(LOCKED, design=Design(10_000.0, 1.0))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, worked = time.perf_counter(), time.process_time()
        control = watch(Observations(engine), "flair", locked, Watch())
        charts, charts_cpu = time.perf_counter() - began, time.process_time() - worked
        ledger, within = Ledger(engine, b""), range_of("2026-03")
        month = month_of("flair", (), within, Observations(engine), ledger, control=control, locked=locked)
        page = month_page(month)
        whole, whole_cpu = time.perf_counter() - began, time.process_time() - worked
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(
            f"{cases:,} findings, {len(control.figures)} figures: charts {charts:.1f} s ({charts_cpu:.1f} s CPU), "
            f"with the month's page of {len(page) >> 10} KiB {whole:.1f} s ({whole_cpu:.1f} s CPU), "
            f"{grown:.0f} MiB more at its peak",
            flush=True,
        )
        began = time.perf_counter()
        design(Observations(engine), "flair", LOCKED.since, LOCKED.before, Watch())
        print(f"its charts are designed in {time.perf_counter() - began:.1f} s, at locking", flush=True)


def ledger_cost(rows: int = 300) -> None:
    """Print what one durable row of the ledger costs."""
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'ledger.sqlite'}")
        LEDGER.create_all(engine)
        ledger = Ledger(engine, b"key")
        began = time.perf_counter()
        for _ in range(rows):
            ledger.append(LedgerEvent.STARTED)
        print(f"ledger: {1000 * (time.perf_counter() - began) / rows:.2f} ms a row, each a transaction of its own")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=200)
    parser.add_argument("--findings", type=int, default=1_000_000)
    asked = parser.parse_args()
    if asked.years:
        table(asked.years)
    ledger_cost()
    large_report(asked.findings)


if __name__ == "__main__":
    main()

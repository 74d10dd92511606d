"""How soon the audit sees what goes wrong, and how often it alarms without a cause: years of a made-up hospital.

``python -m tests.benchmarks.audit [--years 200] [--findings 1000000]``; with ``--years 0`` no year is simulated.

Prints the share of in-control years with an alarm beside what was designed, the delay of each event beside what the
charts' design expects, the time and memory of one report over many findings, and what an appended row of the ledger
costs.
"""

import argparse
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from sqlalchemy import create_engine

from reports.audit.control_charts import Kind
from reports.audit.ledger import METADATA as LEDGER
from reports.audit.ledger import Event as LedgerEvent
from reports.audit.ledger import Ledger
from reports.audit.monitor import Control, Locked, Watch, watch
from reports.audit.month import month_of, range_of
from reports.audit.month_page import month_page
from reports.audit.observations import METADATA, Observations
from tests.reports.audit.years import BASELINE_DAYS, Event, Hospital, Rows, at_day, draw_year, fill, store_of

YEAR = 365
STARTS = 60
"""Day after arming on which an event begins."""
LOCKED = Locked(at_day(0), at_day(BASELINE_DAYS), at_day(BASELINE_DAYS))


def new_scanner(rows: Rows, day: np.ndarray) -> None:
    """Gain up by 3 %, noise by 20 %, from one day to the next."""
    after = day >= BASELINE_DAYS + STARTS
    rows["image_mean"][after] *= 1.03
    rows["image_sd"][after] *= 1.03
    rows["image_noise"][after] *= 1.2


def silent_update(rows: Rows, day: np.ndarray) -> None:
    """Another model: its maps agree less with the old replicates, its trust is a little lower."""
    after = day >= BASELINE_DAYS + STARTS
    rows["replicate_agreement"][after] -= 0.05
    rows["trust"][after] *= 0.97


def slow_drift(rows: Rows, day: np.ndarray) -> None:
    """The maps spread: entropy rises by one standard deviation in 200 days."""
    rows["map_entropy"] += 0.045 * np.clip((day - BASELINE_DAYS - STARTS) / 200, 0, 1)


def other_body_part(rows: Rows, day: np.ndarray) -> None:
    """For five days every third study is of something else."""
    burst = (day >= BASELINE_DAYS + STARTS) & (day < BASELINE_DAYS + STARTS + 5)
    struck = burst & (np.arange(len(day)) % 3 == 0)
    rows["image_mean"][struck] += 0.15
    rows["trust"][struck] *= 0.4
    rows["found"][struck] = 0.0


@dataclass(frozen=True)
class Trouble:
    """An event, the figure that it moves most, and by how many standard deviations of a case."""

    name: str
    event: Event
    figure: str
    shift: float


TROUBLES = (
    Trouble("new scanner: gain + 3 %, noise + 20 %", new_scanner, "image_noise", 0.85),
    Trouble("silent model update: agreement - 0.05, trust - 3 %", silent_update, "replicate_agreement", 0.5),
    Trouble("slow drift: entropy + 1 SD in 200 days", slow_drift, "map_entropy", float("nan")),
    Trouble("five days with every third study of another body part", other_body_part, "image_mean", float("nan")),
)


def year_of(seed: int, event: Event | None = None, hospital: Hospital | None = None) -> Control:
    """Draw baseline and year, and watch it."""
    day, rows = draw_year(seed, hospital or Hospital(), days=BASELINE_DAYS + YEAR, event=event)
    return watch(store_of(day, rows), "flair", LOCKED, Watch(), until=at_day(BASELINE_DAYS + YEAR))


def in_control(years: int, hospital: Hospital, what: str) -> None:
    """Print the share of years without a cause that alarm all the same."""
    alarmed = sum(bool(year_of(seed, hospital=hospital).alarms) for seed in range(years))
    interval = binomtest(alarmed, years).proportion_ci()
    designed = 1 - np.exp(-1.0)
    print(
        f"{what}: {alarmed} of {years} years alarm, {alarmed / years:.2f} [{interval.low:.2f}, {interval.high:.2f}]; "
        f"designed: at most one alarm a year, {designed:.2f} of years",
        flush=True,
    )


def troubles(years: int) -> None:
    """Print how many days each event takes to be seen."""
    for trouble in TROUBLES:
        delays, before, kinds = [], 0, []
        for seed in range(1000, 1000 + years):
            control = year_of(seed, trouble.event)
            starts = int(at_day(BASELINE_DAYS + STARTS).timestamp() // 86400)
            seen = [alarm for alarm in control.alarms if alarm.day >= starts]
            before += any(alarm.day < starts for alarm in control.alarms)
            if seen:
                delays.append(seen[0].day - starts)
                kinds.append(seen[0].kind)
        chart = next(line.chart for line in control.figures[0].lines if line.chart.kind is Kind.CUSUM)
        cases = 12.0 * (5 + 2 / 4) / 7
        expected = chart.delay(trouble.shift * cases**0.5) if np.isfinite(trouble.shift) else float("nan")
        told = f"designed {expected:.1f} (CUSUM of {trouble.figure})" if np.isfinite(expected) else "no constant shift"
        if not delays:
            print(f"{trouble.name}: never seen in {years} years", flush=True)
            continue
        print(
            f"{trouble.name}: seen in {len(delays)} of {years} years, after {statistics.median(delays):.0f} days "
            f"(median; {min(delays)} to {max(delays)}); {told}; "
            f"first seen by {max(set(kinds), key=kinds.count)} mostly",
            flush=True,
        )


def large_report(findings: int) -> None:
    """Print time and memory of the charts and of a whole month's page over many findings in an SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'years.sqlite'}")
        METADATA.create_all(engine)
        LEDGER.create_all(engine)
        hospital = replace(Hospital(), cases_a_day=findings / (BASELINE_DAYS + YEAR) * 7 / 5.5)
        day, rows = draw_year(7, hospital, days=BASELINE_DAYS + YEAR)
        fill(engine, day, rows)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, worked = time.perf_counter(), time.process_time()
        control = watch(Observations(engine), "flair", LOCKED, Watch())
        charts, charts_cpu = time.perf_counter() - began, time.process_time() - worked
        month = month_of("flair", (), range_of("2026-03"), Observations(engine), Ledger(engine, b""), control=control)
        page = month_page(month, false_alarms_per_year=1.0)
        whole, whole_cpu = time.perf_counter() - began, time.process_time() - worked
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(
            f"{len(day):,} findings, {len(control.figures)} figures: charts {charts:.1f} s ({charts_cpu:.1f} s CPU), "
            f"with the month's page of {len(page) >> 10} KiB {whole:.1f} s ({whole_cpu:.1f} s CPU), "
            f"{grown:.0f} MiB more at its peak",
            flush=True,
        )


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
        in_control(asked.years, Hospital(), "in control")
        in_control(asked.years, Hospital(quiet=(BASELINE_DAYS + 150, BASELINE_DAYS + 220)), "in control, quiet summer")
        troubles(max(asked.years // 10, 5))
    ledger_cost()
    large_report(asked.findings)


if __name__ == "__main__":
    main()

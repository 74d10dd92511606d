"""What goes wrong in a made-up hospital: events that charts are to see, and changes that the replay is to see."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reports.audit.charts.monitor import SHIFT, Alarm, Locked, RouteCharts, Watch, watch
from reports.audit.observation import map_digest
from reports.audit.repeatability.replay import GoldenBaseline, Level, Recorded, compare, load, save
from tests.reports.audit.years import BASELINE_DAYS, Event, Hospital, Rows, at_day, draw_year, store_of

YEAR_DAYS = 365
STARTS = BASELINE_DAYS + 60
"""Day on which an event begins."""
DRIFT_DAYS = 200
LOCKED = Locked(at_day(0), at_day(BASELINE_DAYS), at_day(BASELINE_DAYS))
SIDE = 32
KEY = b"key of this site"


@dataclass(frozen=True)
class Trouble:
    """An event, the figure that it moves most, and by how many standard deviations of a case."""

    name: str
    event: Event
    figure: str
    shift: float
    drifts: bool = False
    """Whether the shift is only reached after ``DRIFT_DAYS``."""

    def designed_days(self, control: RouteCharts) -> float:
        """Return the expected delay of the figure's best chart, in days with a case."""
        lines = next(one for one in control.figures if one.name == self.figure).lines
        shifts = [(line.chart, self.shift * line.shift / SHIFT) for line in lines]
        return min(
            chart.drift_delay(shift / DRIFT_DAYS) if self.drifts else chart.delay(shift) for chart, shift in shifts
        )


def new_scanner(rows: Rows, day: np.ndarray) -> None:
    """Gain up by 3 %, noise by 20 %, from one day to the next."""
    after = day >= STARTS
    rows["grey_mean"][after] *= 1.03
    rows["grey_sd"][after] *= 1.03
    rows["grey_noise"][after] *= 1.2


def silent_update(rows: Rows, day: np.ndarray) -> None:
    """Another model: its maps agree less with the old replicates, its trust is a little lower."""
    after = day >= STARTS
    rows["replicate_spearman"][after] -= 0.05
    rows["trust"][after] *= 0.97


def slow_drift(rows: Rows, day: np.ndarray) -> None:
    """The maps spread: entropy rises by one standard deviation in 200 days."""
    rows["map_entropy"] += 0.045 * np.clip((day - STARTS) / DRIFT_DAYS, 0, 1)


def other_body_part(rows: Rows, day: np.ndarray) -> None:
    """For five days every third study is of something else."""
    struck = (day >= STARTS) & (day < STARTS + 5) & (np.arange(len(day)) % 3 == 0)
    rows["grey_mean"][struck] += 0.15
    rows["trust"][struck] *= 0.4
    rows["found"][struck] = 0.0


OF_MAPS = (
    "trust", "probability", "map_entropy", "hot_area", "centroid_row", "centroid_column", "replicate_spearman"
)  # fmt: skip


def silent_weights(rows: Rows, day: np.ndarray) -> None:
    """Weights that always say "none": nothing is found any more, so there is no map; the images stay what they are."""
    after = day >= STARTS
    rows["found"][after] = 0.0
    for name in OF_MAPS:
        rows[name][after] = np.nan


def half_contrast(rows: Rows, day: np.ndarray) -> None:
    """A scanner that halves the contrast of tissue: the distance grows 1.77 times, and 0.15 of findings are lost.

    So much of images of 17 patients of glioma_flair (median distance, share of planes called); maps stay as they were.
    """
    after = day >= STARTS
    rows["distance"][after] *= 1.77
    lost = after & (np.random.default_rng(STARTS).random(len(day)) < 0.15)
    rows["found"][lost] = 0.0


TROUBLES = (
    Trouble("scanner swap: gain + 3 %, noise + 20 %", new_scanner, "grey_noise", 0.85),
    Trouble("silent model update: agreement - 0.05, trust - 3 %", silent_update, "replicate_spearman", 0.5),
    Trouble("slow drift: entropy + 1 SD in 200 days", slow_drift, "map_entropy", 1.0, drifts=True),
    Trouble("burst: five days with every third study of another body part", other_body_part, "grey_mean", 3.4 / 3),
    Trouble('weights that always say "none"', silent_weights, "found", 1.22),
    Trouble("a scanner that halves contrast", half_contrast, "distance", 2.86),
)
"""The burst scores beyond all of the baseline, 3.4, in every third case."""


def year_of(seed: int, event: Event | None = None, hospital: Hospital | None = None) -> RouteCharts:
    """Draw baseline and year, and watch it."""
    day, rows = draw_year(seed, hospital or Hospital(), days=BASELINE_DAYS + YEAR_DAYS, event=event)
    return watch(store_of(day, rows), "flair", LOCKED, Watch(), until=at_day(BASELINE_DAYS + YEAR_DAYS))


def seen_after(control: RouteCharts) -> tuple[int, Alarm] | None:
    """Return the days from an event's first to that of the first alarm, both counted, and that alarm; None: none."""
    starts = int(at_day(STARTS).timestamp() // 86400)
    return next(((alarm.day - starts + 1, alarm) for alarm in control.alarms if alarm.day >= starts), None)


Change = Callable[[Recorded, np.random.Generator], Recorded]


def other_driver(one: Recorded, draw: np.random.Generator) -> Recorded:
    """Return what another driver makes of it: the last bits of map, probability and trust are others."""
    values = np.nextafter(one.values, draw.choice([-np.inf, np.inf], size=one.values.shape).astype(np.float32))
    return replace(
        one, values=values, digest=map_digest(values), probability=one.probability + 1e-7, trust=(one.trust or 0) - 1e-7
    )


def other_weights(one: Recorded, draw: np.random.Generator) -> Recorded:
    """Return what a replicate makes of it: a map alike in its large features only."""
    values = one.values + 0.1 * draw.normal(size=one.values.shape).astype(np.float32)
    return replace(one, values=values, digest=map_digest(values), probability=one.probability - 0.01)


def replays_of(seed: int, change: Change, folder: Path, *, hours: float) -> tuple[float, Level]:
    """Replay a golden set of six maps for a year, within which something changes.

    Args:
        seed: of the golden set, of the hour of the change, and of the change.
        change: to each map.
        folder: to keep the signed baseline in.
        hours: between two replays.

    Returns:
        hours from the change to the first replay that does not repeat to the bit, and its level.

    Raises:
        AssertionError: a replay before the change did not repeat to the bit.
    """
    draw = np.random.default_rng(seed)
    records = tuple(_recorded(number, draw) for number in range(6))
    save(GoldenBaseline(records, 0.0, "f" * 64), folder, KEY)
    signed = load(folder, KEY)
    changes = draw.uniform(0.0, 24.0 * YEAR_DAYS - hours)
    changed = [change(one, draw) for one in records]
    for now in np.arange(hours, 24.0 * YEAR_DAYS + hours, hours):
        level = compare(signed.records, records if now < changes else changed, floor=signed.floor).level
        if level is not Level.R0:
            assert now >= changes
            return float(now - changes), level
    raise AssertionError("The change was never seen.")


def _recorded(number: int, draw: np.random.Generator) -> Recorded:
    at, where = draw.uniform(8, 24, size=2), np.indices((SIDE, SIDE))
    values = np.exp(-((where[0] - at[0]) ** 2 + (where[1] - at[1]) ** 2) / 40).astype(np.float32)
    peak = (int(at[0]), int(at[1]))
    return Recorded(f"phantom {number}", "gradcam", "glioma", 4, 0.9, "TRUSTED", 0.95, peak, map_digest(values), values)

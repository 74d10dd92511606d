"""Years of a made-up hospital, drawn by seed, for the audit to watch.

The figures are drawn from distributions as skewed as measured ones; no network runs here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Engine, create_engine, insert

from reports.audit.observation import FIGURES, Observation
from reports.audit.observations import METADATA, Observations, observations

START = datetime(2025, 1, 6, tzinfo=UTC)
BASELINE_DAYS = 180
Rows = dict[str, np.ndarray]
Event = Callable[[Rows, np.ndarray], None]
"""Changes the rows of a year, (N,) each, given the day of each row."""


@dataclass(frozen=True)
class Hospital:
    """How many cases a day, and on which days fewer."""

    cases_a_day: float = 12.0
    quiet: tuple[int, int] = (0, 0)
    """First and last day of a quiet summer, with a third of the cases."""
    patients: int = 4000


def draw_year(seed: int, hospital: Hospital, *, days: int = 365, event: Event | None = None) -> tuple[np.ndarray, Rows]:
    """Draw the days and figures of every case of a year."""
    draw = np.random.default_rng(seed)
    volume = np.full(days, hospital.cases_a_day)
    volume[hospital.quiet[0] : hospital.quiet[1]] /= 3
    volume[np.arange(days) % 7 >= 5] /= 4
    day = np.repeat(np.arange(days), draw.poisson(volume))
    count = len(day)
    latent = draw.normal(size=count)
    rows = {
        "trust": draw.beta(8, 1.5, size=count),
        "probability": draw.beta(9, 1, size=count),
        "map_entropy": np.clip(0.8 + 0.04 * latent + 0.02 * draw.normal(size=count), 0, 1),
        "hot_area": draw.gamma(4, 0.02, size=count),
        "centroid_row": np.clip(0.5 + 0.08 * draw.normal(size=count), 0, 1),
        "centroid_column": np.clip(0.5 + 0.12 * draw.normal(size=count), 0, 1),
        "replicate_spearman": np.clip(0.75 + 0.1 * draw.normal(size=count), -1, 1),
        "grey_mean": 0.25 + 0.03 * draw.normal(size=count),
        "grey_sd": 0.2 + 0.02 * draw.normal(size=count),
        "grey_noise": draw.gamma(20, 0.001, size=count),
        "found": (draw.random(count) < 0.6).astype(float),
        "patient": draw.integers(0, hospital.patients, size=count).astype(float),
        "distance": 0.7 * np.exp(0.2 * draw.normal(size=count)),
    }
    if event is not None:
        event(rows, day)
    explained = ~np.isnan(rows["trust"])
    rows["trusted"] = np.where(explained, rows["trust"] > 0.8, np.nan)
    rows["withheld"] = np.where(explained, rows["trust"] < 0.5, np.nan)
    rows["negative_unlike"] = np.where(rows["found"] == 0, rows["distance"] > 1, np.nan)
    return day, rows


def store_of(day: np.ndarray, rows: Rows, *, url: str = "sqlite://", route: str = "flair") -> Observations:
    """Put drawn cases into a store as the node would."""
    engine = create_engine(url)
    METADATA.create_all(engine)
    fill(engine, day, rows, route=route)
    return Observations(engine)


def fill(engine: Engine, day: np.ndarray, rows: Rows, *, route: str = "flair", start: int = 0) -> None:
    """Add drawn cases, numbered from ``start``."""
    common = {
        "number": 0, "route": route, "bundle": "glioma_flair", "model": "m" * 64, "method": "gradcam",
        "scanner": "Acme · One", "protocol": "MR · FLAIR", "label": "glioma", "verdict": "TRUSTED",
        "map_digest": "d" * 64, "thumbnail": bytes(64),
    }  # fmt: skip
    figures = {name: rows[name].tolist() for name in FIGURES if name in rows}
    first = START.timestamp()
    with engine.begin() as connection:
        for begin in range(0, len(day), 20_000):
            connection.execute(
                insert(observations),
                [
                    {
                        **common,
                        "job_id": f"{route}{start + n}",
                        "study": f"{n}",
                        "patient": f"{int(rows['patient'][n])}",
                        "at_seconds": first + 86400.0 * float(day[n]) + n % 80_000,
                        "day": int((START - datetime(1970, 1, 1, tzinfo=UTC)).days + day[n]),
                        **{name: values[n] for name, values in figures.items()},
                    }
                    for n in range(begin, min(begin + 20_000, len(day)))
                ],
            )


def at_day(day: int) -> datetime:
    """Return the time at which a day of the drawn years begins."""
    return START + timedelta(days=day)


__all__ = ["BASELINE_DAYS", "START", "Event", "Hospital", "Observation", "at_day", "draw_year", "fill", "store_of"]

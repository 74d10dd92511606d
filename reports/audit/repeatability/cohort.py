"""How consistent the maps of one class are with each other, month by month (after C-Score, Bi et al. 2023).

Each map is held against the mean map of its class in the locked baseline; the figure is the mean of their correlations
over patients. It falls when the maps of a class come to lie elsewhere, whatever each of them is worth by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from reports.audit.observation import likeness
from reports.audit.observations import Observations, Selection
from reports.audit.repeatability.repeats import mean_of
from reports.audit.repeatability.statistics import LEAST_SUBJECTS, Estimate

MONTHS = 12
MOST_MAPS = 2_000
"""Read of each month: the newest."""
ClassOf = tuple[str, str, str]
"""Bundle, method and label."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The maps of one class in one month."""

    bundle: str
    method: str
    label: str
    month: str
    """As 2026-10."""
    maps: int
    patients: int
    likeness: Estimate | None = None
    """Mean over patients, with its 95 % interval; None with too few."""

    @property
    def missing(self) -> int:
        """How many more patients it takes."""
        return max(LEAST_SUBJECTS - self.patients, 0)


def cohorts_of(
    observations: Observations, route: str, baseline: tuple[datetime, datetime], before: datetime
) -> tuple[Cohort, ...]:
    """Return the consistency of each class in each of the last twelve months, by class and month.

    Args:
        observations: of the store.
        route: whose.
        baseline: begin and end of the time known to have been good.
        before: end of the last month.
    """
    usual = {
        name: np.mean([_values(thumbnail) for _, thumbnail in maps], axis=0)
        for name, maps in observations.maps(Selection({"route": route}, *baseline), MOST_MAPS).items()
    }
    cohorts = [cohort for within in _months(before) for cohort in _month(observations, route, within, usual)]
    return tuple(sorted(cohorts, key=lambda cohort: (cohort.bundle, cohort.method, cohort.label, cohort.month)))


def _month(
    observations: Observations,
    route: str,
    within: tuple[datetime, datetime],
    usual: Mapping[ClassOf, NDArray[np.float64]],
) -> list[Cohort]:
    cohorts = []
    for name, maps in observations.maps(Selection({"route": route}, *within), MOST_MAPS).items():
        if name not in usual:
            continue
        alike = likeness([thumbnail for _, thumbnail in maps], usual[name])
        _, whose = np.unique([patient for patient, _ in maps], return_inverse=True)
        means = np.bincount(whose, weights=alike) / np.bincount(whose)
        enough = len(means) >= LEAST_SUBJECTS
        month = f"{within[0]:%Y-%m}"
        cohorts.append(Cohort(*name, month, len(maps), len(means), mean_of(means) if enough else None))
    return cohorts


def _months(before: datetime) -> Sequence[tuple[datetime, datetime]]:
    """Return begin and end of the months up to a time, oldest first."""
    last = before.year * 12 + before.month - 1
    last += before != _month_of(before, last)
    starts = [_month_of(before, number) for number in range(last - MONTHS, last + 1)]
    return list(zip(starts, [*starts[1:-1], min(before, starts[-1])], strict=False))


def _month_of(like: datetime, number: int) -> datetime:
    year, month = divmod(number, 12)
    return like.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0)


def _values(thumbnail: bytes) -> NDArray[np.float64]:
    return np.frombuffer(thumbnail, dtype=np.uint8).astype(np.float64)

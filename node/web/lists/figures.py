"""Figures of the overview: counts, queue, disk, the oldest delivery, studies a day and the mix of verdicts."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select

from node.jobs.summary import GRAVEST_FIRST
from node.store import DeliveryState, JobState, StudyState, deliveries, jobs, now, studies
from reports.audit.observations import observations
from reports.picture.svg import drawing, line, rectangle, text
from reports.wording import size_in_words

DAY = timedelta(days=1)
DAYS_SHOWN = 30
WIDTH, HEIGHT, FOOT, LEFT = 400, 130, 20, 34
"""Of the charts, in the coordinates of their pictures."""
BAR = 20


@dataclass(frozen=True)
class DiskSpace:
    """Space where studies are kept."""

    free_bytes: int
    size_bytes: int
    minimum_free_bytes: int
    """Below this no study is received."""

    @property
    def sentence(self) -> str:
        """Return them in words."""
        there = f"{size_in_words(self.free_bytes)} free of {size_in_words(self.size_bytes)}"
        if not self.minimum_free_bytes:
            return there
        return f"{there}; studies are refused below {size_in_words(self.minimum_free_bytes)}"


@dataclass(frozen=True)
class OverviewFigures:
    """What a look at the node should tell."""

    studies: int
    """In the store."""
    studies_today: int
    """Received in the last 24 hours."""
    analyses_today: int
    """Ended in the last 24 hours."""
    waiting: int
    """Studies that are not complete or not decided."""
    jobs_queued: int
    jobs_running: int
    oldest_job_at: datetime | None
    """When the analysis that waits longest was queued."""
    results_queued: int
    """Deliveries that are not done."""
    oldest_delivery_at: datetime | None
    """When the delivery that waits longest last changed."""
    disk: DiskSpace
    studies_a_day: Mapping[date, int]
    """Received on each of the last 30 days, UTC."""
    verdicts: Mapping[str, int]
    """Maps of the last 30 days, those that can be trusted least first."""


class FiguresReader:
    """Reads the figures from the store and the disk; each query uses an index."""

    def __init__(self, engine: Engine, files: Path, minimum_free_bytes: int) -> None:
        """Bind to a node.

        Args:
            engine: its store.
            files: where it keeps studies.
            minimum_free_bytes: ``node.minimum_free_bytes``.
        """
        self._engine = engine
        self._files = files
        self._minimum_free_bytes = minimum_free_bytes

    def read(self) -> OverviewFigures:
        """Read all of them."""
        since, count = now() - DAY, func.count()
        unfinished = jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING])
        states = dict(self._rows(select(jobs.c.state, count).where(unfinished).group_by(jobs.c.state)))
        queued = deliveries.c.state == DeliveryState.QUEUED
        undecided = studies.c.state.in_([StudyState.RECEIVING, StudyState.COMPLETE])
        usage = shutil.disk_usage(self._files)
        ((results_queued, oldest_delivery_at),) = self._rows(
            select(count, func.min(deliveries.c.updated_at)).where(queued)
        )
        return OverviewFigures(
            studies=self._one(select(count).select_from(studies)),
            studies_today=self._one(select(count).where(studies.c.first_received_at >= since)),
            analyses_today=self._one(select(count).where(jobs.c.finished_at >= since)),
            waiting=self._one(select(count).where(undecided)),
            jobs_queued=int(states.get(JobState.QUEUED, 0)),
            jobs_running=int(states.get(JobState.RUNNING, 0)),
            oldest_job_at=self._rows(select(func.min(jobs.c.created_at)).where(unfinished))[0][0],
            results_queued=int(results_queued),
            oldest_delivery_at=oldest_delivery_at,
            disk=DiskSpace(usage.free, usage.total, self._minimum_free_bytes),
            studies_a_day=self._studies_a_day(),
            verdicts=self._verdicts(),
        )

    def _studies_a_day(self) -> dict[date, int]:
        first = datetime.now(UTC).date() - timedelta(days=DAYS_SHOWN - 1)
        day = func.date(studies.c.first_received_at)
        since = datetime(first.year, first.month, first.day, tzinfo=UTC)
        query = select(day, func.count()).where(studies.c.first_received_at >= since).group_by(day)
        counted = {str(name): int(count) for name, count in self._rows(query)}
        days = (first + timedelta(days=number) for number in range(DAYS_SHOWN))
        return {day: counted.get(day.isoformat(), 0) for day in days}

    def _verdicts(self) -> dict[str, int]:
        since = observations.c.at_seconds >= (now() - DAYS_SHOWN * DAY).timestamp()
        query = select(observations.c.verdict, func.count()).where(since).group_by(observations.c.verdict)
        counted = {str(name): int(count) for name, count in self._rows(query)}
        return {name: counted[name] for name in GRAVEST_FIRST if name in counted}

    def _one(self, query: Any) -> int:
        return int(self._rows(query)[0][0])

    def _rows(self, query: Any) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()


def studies_chart(studies_a_day: Mapping[date, int]) -> str:
    """Draw a bar for each day, with the numbers of the highest one and of today."""
    days, most = list(studies_a_day), max(studies_a_day.values(), default=0)
    step, top = (WIDTH - LEFT) / len(days), 16.0
    room = HEIGHT - FOOT - top
    parts = [line(LEFT, HEIGHT - FOOT, WIDTH, HEIGHT - FOOT, class_="rule")]
    for place, (day, count) in enumerate(studies_a_day.items()):
        height = room * count / most if most else 0.0
        at = LEFT + place * step
        kind = "bar weekend" if day.weekday() >= 5 else "bar"
        parts.append(rectangle(at + 1, HEIGHT - FOOT - height, step - 2, height, class_=kind))
    parts += [
        text(LEFT - 6, top + 4, f"{most:,}", "end", class_="quiet"),
        text(LEFT - 6, HEIGHT - FOOT + 4, "0", "end", class_="quiet"),
        text(LEFT, HEIGHT - 4, f"{days[0]:%d %b}", "start", class_="quiet"),
        text(WIDTH, HEIGHT - 4, f"{days[-1]:%d %b}", "end", class_="quiet"),
    ]
    total = sum(studies_a_day.values())
    label = f"Studies received on each of the last {len(days)} days: {total:,} in all, at most {most:,} on one day"
    return drawing(WIDTH, HEIGHT, label, parts, class_="chart")


def verdicts_chart(verdicts: Mapping[str, int]) -> str:
    """Draw one bar in the shares of the verdicts, and below it a line for each with its number and share."""
    total = sum(verdicts.values())
    parts, at = [], 0.0
    for place, (name, count) in enumerate(verdicts.items()):
        width, kind = WIDTH * count / total, name.lower().replace(" ", "-")
        parts.append(rectangle(at, 0, max(width - 1, 1), BAR, class_=f"share {kind}"))
        at += width
        y = BAR + 24 + 18 * place
        parts.append(rectangle(0, y - 10, 12, 12, class_=f"share {kind}"))
        parts.append(text(20, y, f"{name}: {count:,} ({100 * count / total:.0f} %)", "start", class_="ink"))
    label = f"Verdicts of {total:,} maps: " + ", ".join(f"{name} {count:,}" for name, count in verdicts.items())
    return drawing(WIDTH, BAR + 30 + 18 * len(verdicts), label, parts, class_="chart")

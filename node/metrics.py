"""Figures of the node for Prometheus; no label ever holds a UID or anything about a patient."""

import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Column, Engine, and_, case, func, or_, select

from node.store import DeliveryState, JobState, StudyState, deliveries, jobs, now, results, studies

STEP_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
"""Upper bounds of the histogram of job steps."""


class Metrics:
    """What the node counts as it works, and what it reads from its store whenever it is asked."""

    def __init__(self, engine: Engine, home: Path, *, minimum_free_bytes: int = 0) -> None:
        self._registry = CollectorRegistry()
        self._instances = Counter(
            "heatproof_instances_total", "Instances sent to the node", ["outcome"], registry=self._registry
        )
        self._bytes = Counter(
            "heatproof_received_bytes_total", "Bytes of the instances that were kept", registry=self._registry
        )
        self._associations = Counter(
            "heatproof_associations_total", "Associations asked of the node", ["outcome"], registry=self._registry
        )
        self._verdicts = Counter(
            "heatproof_verdicts_total", "Saliency maps by verdict", ["bundle", "verdict"], registry=self._registry
        )
        self._said = Counter(
            "heatproof_stacks_total",
            "Analysed stacks by what is said of them: found, nothing found, no statement",
            ["bundle", "said"],
            registry=self._registry,
        )
        self._analysing = Gauge(
            "heatproof_analysing", "1 once the models are loaded; 0 while the node starts", registry=self._registry
        )
        self._steps = Histogram(
            "heatproof_job_seconds", "Duration of a job's step", ["step"], buckets=STEP_SECONDS, registry=self._registry
        )
        self._registry.register(_Stored(engine, home, minimum_free_bytes))

    def instance(self, outcome: str, *, size_bytes: int = 0) -> None:
        """Count one instance that was sent to the node.

        Args:
            outcome: "stored", "duplicate", or the ``audit_outcome`` of the error it was answered with.
            size_bytes: its size where it was kept.
        """
        self._instances.labels(outcome).inc()
        self._bytes.inc(size_bytes)

    def association(self, outcome: str) -> None:
        """Count one association: "accepted", "rejected" (A-ASSOCIATE-RJ) or "aborted"."""
        self._associations.labels(outcome).inc()

    def verdict(self, bundle: str, verdict: str) -> None:
        """Count one explained finding."""
        self._verdicts.labels(bundle, verdict).inc()

    def said(self, bundle: str, conclusion: str) -> None:
        """Count what is said of one stack: "found", "nothing found" or "no statement"."""
        self._said.labels(bundle, conclusion).inc()

    def analysing(self) -> None:
        """Say that the models are loaded."""
        self._analysing.set(1)

    def job_seconds(self, step: str) -> AbstractContextManager[object]:
        """Time one step of a job: ``with metrics.job_seconds("explain"): ...``."""
        timer: AbstractContextManager[object] = self._steps.labels(step).time()
        return timer

    def page(self) -> bytes:
        """Return everything in the text format of Prometheus, version 0.0.4."""
        return generate_latest(self._registry)


class _Stored(Collector):
    """Reads states and free space at every scrape."""

    def __init__(self, engine: Engine, home: Path, minimum_free_bytes: int) -> None:
        self._engine = engine
        self._home = home
        self._minimum_free_bytes = minimum_free_bytes

    def describe(self) -> Iterable[Metric]:
        """Name nothing: registering must not ask the store."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return the gauges; a state that nothing is in counts 0, so that an alarm on it does not go missing."""
        yield self._by_state("heatproof_studies", "Studies by state", studies.c.state, StudyState)
        yield self._by_state("heatproof_jobs", "Jobs by state", jobs.c.state, JobState)
        yield self._deliveries()
        yield from self._oldest()
        yield from self._waiting()
        disk = shutil.disk_usage(self._home)
        yield GaugeMetricFamily("heatproof_free_bytes", "Free space where studies are kept", value=disk.free)
        yield GaugeMetricFamily("heatproof_disk_bytes", "Size of the disk where studies are kept", value=disk.total)
        yield GaugeMetricFamily(
            "heatproof_minimum_free_bytes",
            "Free space below which studies are refused (node.minimum_free_bytes)",
            value=self._minimum_free_bytes,
        )

    def _by_state(self, name: str, meaning: str, column: Column[str], states: type[StrEnum]) -> Metric:
        counts = self._counts(column)
        family = GaugeMetricFamily(name, meaning, labels=["state"])
        for state in states:
            family.add_metric([state.value], counts.get((state.value,), 0))
        return family

    def _deliveries(self) -> Metric:
        counts = self._counts(deliveries.c.destination, deliveries.c.state)
        family = GaugeMetricFamily(
            "heatproof_deliveries", "Objects by destination and state", labels=["destination", "state"]
        )
        for destination in sorted({key[0] for key in counts}):
            for state in DeliveryState:
                family.add_metric([destination, state.value], counts.get((destination, state.value), 0))
        return family

    def _oldest(self) -> Iterable[Metric]:
        """Say of each destination since when its oldest undelivered object waits, and how often it was tried."""
        age = GaugeMetricFamily(
            "heatproof_oldest_delivery_seconds",
            "Age of the oldest object that a destination is not known to have; 0 where there is none",
            labels=["destination"],
        )
        attempts = GaugeMetricFamily(
            "heatproof_oldest_delivery_attempts", "Attempts at delivering that object", labels=["destination"]
        )
        undelivered = or_(
            deliveries.c.state == DeliveryState.QUEUED,
            and_(deliveries.c.state == DeliveryState.SENT, deliveries.c.proof.is_(None)),
        )
        waits = case((undelivered, results.c.created_at))
        tries = case((undelivered, deliveries.c.attempts), else_=0)
        query = (
            select(deliveries.c.destination, func.min(waits), func.max(tries))
            .join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
            .group_by(deliveries.c.destination)
            .order_by(deliveries.c.destination)
        )
        with self._engine.connect() as connection:
            for destination, since, tried in connection.execute(query):
                age.add_metric([destination], _age_seconds(since))
                attempts.add_metric([destination], int(tried))
        return age, attempts

    def _waiting(self) -> Iterable[Metric]:
        """Say since when the oldest study waits for its decision, and the oldest job for its end."""
        decision = select(func.min(studies.c.complete_at)).where(studies.c.state == StudyState.COMPLETE)
        unfinished = jobs.c.state.in_([JobState.QUEUED, JobState.RUNNING])
        end = select(func.min(jobs.c.created_at)).where(unfinished)
        with self._engine.connect() as connection:
            undecided, unanalysed = connection.execute(decision).scalar(), connection.execute(end).scalar()
        yield GaugeMetricFamily(
            "heatproof_oldest_undecided_seconds",
            "Time since the oldest complete study without a decision was complete; 0 where there is none",
            value=_age_seconds(undecided),
        )
        yield GaugeMetricFamily(
            "heatproof_oldest_job_seconds",
            "Age of the oldest job that has not ended; 0 where there is none",
            value=_age_seconds(unanalysed),
        )

    def _counts(self, *columns: Column[str]) -> dict[tuple[str, ...], int]:
        query = select(*columns, func.count()).group_by(*columns)
        with self._engine.connect() as connection:
            return {tuple(row[:-1]): int(row[-1]) for row in connection.execute(query)}


def _age_seconds(since: datetime | None) -> float:
    return max((now() - since).total_seconds(), 0.0) if since is not None else 0.0

"""Run lengths against the tables of the literature."""

from collections.abc import Sequence

import numpy as np
import pytest

from inference.errors import Refused
from reports.audit.charts.baseline import Baseline, Point
from reports.audit.charts.control_charts import Chart, ChartKind
from reports.audit.charts.run_length import (
    cusum_limit,
    cusum_run_length,
    ewma_limit,
    ewma_run_length,
    shewhart_limit,
    shewhart_run_length,
)

pytestmark = pytest.mark.numerics
CUSUM = [(4, (168, 74.2, 26.6, 8.38, 3.34)), (5, (465, 139, 38.0, 10.4, 4.01))]
"""Limit h and run lengths of k = 0.5 at shifts 0, 0.25, 0.5, 1 and 2: Lucas and Crosier 1982; Montgomery, table 9.3."""
EWMA = [
    (0.05, 2.615, (500, 84.1, 28.8, 11.4, 5.2)),
    (0.1, 2.814, (500, 106, 31.3, 10.3, 4.4)),
    (0.25, 2.998, (500, 170, 48.2, 11.1, 3.6)),
    (0.5, 3.071, (500, 255, 88.8, 17.5, 3.6)),
]
"""Weight, limit and run lengths at the same shifts: Lucas and Saccucci 1990, table 3; Montgomery, table 9.11."""
SHIFTS = (0.0, 0.25, 0.5, 1.0, 2.0)


@pytest.mark.parametrize(("limit", "published"), CUSUM)
def test_run_lengths_of_the_cusum_are_the_published_ones_within_2_percent(
    limit: float, published: tuple[float, ...]
) -> None:
    for shift, length in zip(SHIFTS, published, strict=True):
        assert cusum_run_length(0.5, limit, shift=shift) == pytest.approx(length, rel=0.02)


@pytest.mark.parametrize(("weight", "limit", "published"), EWMA)
def test_run_lengths_of_the_ewma_are_the_published_ones_within_2_percent(
    weight: float, limit: float, published: tuple[float, ...]
) -> None:
    for shift, length in zip(SHIFTS, published, strict=True):
        assert ewma_run_length(weight, limit, shift=shift) == pytest.approx(length, rel=0.02)


def test_run_lengths_of_shewhart_are_the_published_ones() -> None:
    published = (370.4, 281.15, 155.22, 43.89, 6.30)
    for shift, length in zip(SHIFTS, published, strict=True):
        assert shewhart_run_length(3.0, shift=shift) == pytest.approx(length, rel=2e-3)


@pytest.mark.parametrize("length", [20.0, 370.0, 5000.0, 200_000.0])
def test_a_limit_gives_the_run_length_it_was_asked_for(length: float) -> None:
    assert cusum_run_length(0.5, cusum_limit(length, allowance=0.5)) == pytest.approx(length, rel=1e-3)
    assert ewma_run_length(0.1, ewma_limit(length, weight=0.1)) == pytest.approx(length, rel=1e-3)
    assert shewhart_run_length(shewhart_limit(length)) == pytest.approx(length, rel=1e-6)


@pytest.mark.parametrize("kind", list(ChartKind))
def test_a_drift_is_seen_when_its_shifts_one_by_one_say(kind: ChartKind) -> None:
    draw = np.random.default_rng(6)
    chart = Chart.design(kind, 5000.0)
    up, down = kind.follow(draw.normal(size=(4000, 300)) + 0.02 * np.arange(300))
    seen = np.argmax((up > chart.reach) | (down < -chart.reach), axis=1) + 1
    assert chart.drift_delay(0.02) == pytest.approx(seen.mean(), rel=0.02)
    assert chart.drift_delay(-0.02) == pytest.approx(chart.drift_delay(0.02))


def test_a_run_length_no_chart_can_have_is_refused() -> None:
    with pytest.raises(Refused, match="points between false alarms"):
        Chart.design(ChartKind.CUSUM, 1.0)


def first_alarm(chart: Chart, points: Sequence[Point]) -> int:
    return next((n for n, reading in enumerate(chart.read(points), start=1) if reading.signals), len(points))


def year(baseline: Baseline, values: np.ndarray, cases: np.ndarray) -> Sequence[Point]:
    return baseline.points(values, np.repeat(np.arange(len(cases)), cases))


@pytest.mark.parametrize("kind", list(ChartKind))
def test_in_control_a_chart_signals_once_in_its_run_length_whatever_the_figure_and_the_number_of_cases(
    kind: ChartKind,
) -> None:
    draw = np.random.default_rng(1)
    baseline = Baseline.of(draw.beta(8, 2, size=200_000))
    chart = Chart.design(kind, 50.0)
    lengths = []
    for _ in range(60):
        cases = draw.integers(3, 60, size=300)
        lengths.append(first_alarm(chart, year(baseline, draw.beta(8, 2, size=cases.sum()), cases)))
    assert np.mean(lengths) == pytest.approx(50.0, rel=0.3)


def test_a_shift_is_seen_within_about_the_delay_the_design_names() -> None:
    draw = np.random.default_rng(2)
    baseline = Baseline.of(draw.normal(size=200_000))
    cases = np.full(150, 16)
    for kind in ChartKind:
        chart = Chart.design(kind, 370.0)
        seen = [first_alarm(chart, year(baseline, draw.normal(0.25, 1, size=16 * 150), cases)) for _ in range(60)]
        assert np.mean(seen) == pytest.approx(chart.delay(1.0), rel=0.25)


def test_a_rare_event_on_a_quiet_day_is_no_alarm() -> None:
    draw = np.random.default_rng(4)
    baseline = Baseline.of((draw.random(100_000) < 0.95).astype(float))
    chart = Chart.design(ChartKind.SHEWHART, 5000.0)
    cases = draw.integers(1, 6, size=20_000)
    points = year(baseline, (draw.random(cases.sum()) < 0.95).astype(float), cases)
    assert sum(reading.signals for reading in chart.read(points)) <= 10


def test_a_handful_of_cases_makes_no_baseline() -> None:
    with pytest.raises(Refused, match="too few for a baseline"):
        Baseline.of(np.arange(20.0))

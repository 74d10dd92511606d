"""The design of a route's charts, and the baselines that it is drawn from."""

from dataclasses import replace

import numpy as np
import pytest

from inference.errors import Refused
from reports.audit.charts import design as chart_design
from reports.audit.charts.baseline import Baseline
from reports.audit.charts.control_charts import Chart, ChartKind
from reports.audit.charts.design import Design, design_charts

pytestmark = pytest.mark.numerics

DAYS, CASES = 120, 8
KINDS = tuple(ChartKind)


def designed(figures: dict[str, np.ndarray], *, rate: float = 1.0, seed: str = "flair") -> Design:
    days, studies = np.repeat(np.arange(DAYS), CASES), np.arange(DAYS * CASES)
    return design_charts(figures, days, studies, DAYS, KINDS, false_alarms_per_year=rate, seed=seed)


def drawn(figures: int, *, seed: int = 1) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {str(number): draw.gamma(4, size=DAYS * CASES) for number in range(figures)}


def test_a_baseline_and_a_seed_give_one_design() -> None:
    figures = drawn(2)
    assert designed(figures) == designed(figures)
    assert designed(figures) != designed(figures, seed="another route")


def test_charts_that_alarm_together_share_less_than_charts_that_do_not() -> None:
    figures = drawn(6)
    alike = dict.fromkeys(figures, figures["0"])
    one, same, apart = (designed(each).run_length for each in ({"0": figures["0"]}, alike, figures))
    assert same == one
    assert apart > 3 * one


def test_fewer_false_alarms_take_longer_runs_of_each_chart() -> None:
    figures = drawn(2)
    lengths = [designed(figures, rate=rate).run_length for rate in (12.0, 1.0, 0.2)]
    assert lengths == sorted(lengths)
    assert designed(figures, rate=0.2).share_of_years == pytest.approx(1 - np.exp(-0.2))


def test_a_draw_is_charted_as_the_node_charts_a_baseline_and_its_days() -> None:
    draw = np.random.default_rng(3)
    sizes = np.array([40, 30, 5, 6, 7])
    at = draw.integers(90, size=(2, sizes.sum()))
    days = np.repeat(np.arange(5), sizes)
    some = np.where(draw.random(90) < 0.3, np.nan, draw.normal(size=90))
    for values in (draw.gamma(2, size=90), (draw.random(90) < 0.2).astype(float), some):
        points = chart_design._points(values, at, sizes, 2)
        for row in range(2):
            figure = values[at[row]]
            here, before = ~np.isnan(figure), days < 2
            baseline = Baseline.of(figure[here & before], days[here & before])
            expected = [one.deviation for one in baseline.points(figure[here & ~before], days[here & ~before])]
            assert points[row] == pytest.approx(expected)


def test_the_cases_of_a_study_are_drawn_together() -> None:
    days = np.array([0, 0, 0, 1, 1, *[2] * 10])
    studies = np.array([7, 3, 7, 3, 4, *[9] * 10])
    rows, volumes = chart_design._together(days, studies)
    told = [[case for case in row if case >= 0] for row in rows.tolist()]
    assert told == [[0, 2], [1], [3], [4], [5, 6, 7, 8, 9, 10, 11, 12], [13, 14]]
    assert volumes.tolist() == [2, 2, 2]


def test_days_whose_cases_are_alike_are_no_alarm() -> None:
    draw = np.random.default_rng(5)
    days = np.repeat(np.arange(400), 4)
    twice = np.repeat(draw.normal(size=800), 2)
    baseline = Baseline.of(twice[days < 200], days[days < 200])
    points = np.array([one.deviation for one in baseline.points(twice[days >= 200], days[days >= 200])])
    plain = replace(baseline, dispersion=1.0).points(twice[days >= 200], days[days >= 200])
    assert points.std() == pytest.approx(1.0, abs=0.15)
    assert np.std([one.deviation for one in plain]) == pytest.approx(np.sqrt(2), abs=0.2)


def test_a_time_without_cases_gives_no_design() -> None:
    with pytest.raises(Refused, match="No figure has 50 cases"):
        designed({"trust": np.full(DAYS * CASES, np.nan), "found": np.ones(DAYS * CASES)})


@pytest.mark.slow
def test_in_control_times_alarm_at_the_designed_rate_whatever_the_figures_have_in_common() -> None:
    alarmed, years = 0, 30
    for seed in range(years):
        draw = np.random.default_rng(9000 + seed)
        common = draw.normal(size=(2 * 365 * 4, 1))
        cases = np.where(draw.random((len(common), 5)) < 0.6, common, draw.normal(size=(len(common), 5)))
        cases[:, 4] = cases[:, 3] > 1
        before, days = 120 * 4, np.arange(len(cases)) // 4
        design = design_charts(
            {str(n): cases[:before, n] for n in range(5)}, days[:before], np.arange(before), 120, KINDS,
            false_alarms_per_year=1.0, seed=str(seed),
        )  # fmt: skip
        year = slice(before, before + 365 * 4)
        points = [Baseline.of(each[:before], days[:before]).points(each[year], days[year]) for each in cases.T]
        charts = [Chart.design(kind, design.run_length) for kind in KINDS]
        alarmed += any(reading.signals for each in points for chart in charts for reading in chart.read(each))
    assert abs(alarmed / years - design.share_of_years) < 1.96 * np.sqrt(0.63 * 0.37 / years)

"""A baseline locked by an earlier release: what it kept of the agreement with replicates is on another scale."""

from sqlalchemy import null, update

from reports.audit.charts.monitor import Locked, Watch, watch
from reports.audit.observations import Observations, Selection, observations
from tests.reports.audit.years import BASELINE_DAYS, START, Hospital, at_day, draw_year, store_of

NEW, FORMER = "replicate_spearman", "replicate_agreement"
DAYS = 3 * BASELINE_DAYS


def upgraded(seen: Observations) -> None:
    """Let an earlier release have kept the days of the baseline."""
    former = {FORMER: observations.c[NEW], NEW: null()}
    with seen.engine.begin() as connection:
        chosen = observations.c.at_seconds < at_day(BASELINE_DAYS).timestamp()
        connection.execute(update(observations).where(chosen).values(former))


def test_a_baseline_of_an_earlier_release_is_asked_to_be_locked_anew_and_never_mixed() -> None:
    seen = store_of(*draw_year(1, Hospital(), days=DAYS))
    locked = Locked(START, at_day(BASELINE_DAYS), at_day(BASELINE_DAYS))
    upgraded(seen)
    figures = {figure.name: figure for figure in watch(seen, "flair", locked, Watch(), until=at_day(DAYS)).figures}
    assert not figures[NEW].lines
    assert figures[NEW].baseline_cases == 0
    assert "its baseline is of replicate agreement" in figures[NEW].absent
    assert "lock the baseline anew" in figures[NEW].absent
    assert all(figure.lines for name, figure in figures.items() if name != NEW)

    before = seen.series((FORMER, NEW), Selection({"route": "flair"}, before=at_day(BASELINE_DAYS)))
    assert len(before[FORMER].values) > 0
    assert len(before[NEW].values) == 0

    anew = Locked(at_day(BASELINE_DAYS), at_day(2 * BASELINE_DAYS), at_day(2 * BASELINE_DAYS))
    control = watch(seen, "flair", anew, Watch(), until=at_day(DAYS))
    assert all(figure.lines for figure in control.figures)


def test_a_baseline_that_holds_enough_of_the_new_figure_is_charted_by_that_alone() -> None:
    seen = store_of(*draw_year(2, Hospital(), days=DAYS))
    upgraded(seen)
    both = Locked(START, at_day(2 * BASELINE_DAYS), at_day(2 * BASELINE_DAYS))
    figures = {figure.name: figure for figure in watch(seen, "flair", both, Watch(), until=at_day(DAYS)).figures}
    assert figures[NEW].lines
    assert figures[NEW].baseline_cases < figures["trust"].baseline_cases

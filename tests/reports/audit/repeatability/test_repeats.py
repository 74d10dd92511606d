"""Repeatability by group: each subject once, published figures, and no number from too few."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import bindparam, create_engine, update

from reports.audit.observations import METADATA, Observations, observations
from reports.audit.repeatability import repeats
from reports.audit.repeatability.cohort import cohorts_of
from reports.audit.repeatability.page import Repeatability, repeatability_part
from reports.audit.repeatability.pair import Again, golden_pairs, map_agreement
from reports.audit.repeatability.repeats import ALL, ALWAYS, PairGroup, groups_as_json, repeats_of
from reports.audit.repeatability.statistics import RC_OF_WSD
from tests.reports.audit.repeatability.test_repeatability import MINI, WRIGHT
from tests.reports.audit.repeatability.test_replay import VALUES, recorded
from tests.reports.audit.repeatability.twice import draw_pairs, keep_pairs
from tests.reports.audit.years import Hospital, at_day, draw_year, store_of

pytestmark = pytest.mark.numerics
OCTOBER = (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
SEPTEMBER = datetime(2026, 9, 2, tzinfo=UTC)


def found_in(*pairs: list, month: tuple[datetime, datetime] | None = OCTOBER) -> tuple[PairGroup, ...]:  # type: ignore[type-arg]
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    keep_pairs(engine, *pairs)
    return repeats_of(engine, "flair", ("glioma_flair",), month)


def one_of(groups: tuple[PairGroup, ...], period: str = ALWAYS, scanner: str = ALL) -> PairGroup:
    return next(one for one in groups if (one.period, one.scanner) == (period, scanner))


def test_the_peak_flow_of_bland_and_altman_comes_out_of_the_store_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "LEAST_SUBJECTS", 17)
    drawn = draw_pairs(Again.EXAMINATION, 17, SEPTEMBER)
    flow = [
        replace(pair, first={"trust": float(mini)}, second={"trust": float(wright)})
        for pair, mini, wright in zip(drawn, MINI, WRIGHT, strict=True)
    ]
    trust = next(one for one in one_of(found_in(flow)).twice if one.figure == "trust")
    assert trust.agreement is not None
    assert trust.within is not None
    assert trust.agreement.bias.value == pytest.approx(-2.1, abs=0.05)
    assert (trust.agreement.lower_limit.value, trust.agreement.upper_limit.value) == pytest.approx(
        (-78.1, 73.9), abs=0.1
    )
    assert trust.within.wsd.value == pytest.approx(np.sqrt(((WRIGHT - MINI) ** 2).mean() / 2), abs=1e-9)


def test_what_was_drawn_is_found_within_its_intervals_by_month_and_by_scanner() -> None:
    before = draw_pairs(Again.EXAMINATION, 300, SEPTEMBER, days_apart=90)
    now = draw_pairs(Again.EXAMINATION, 40, OCTOBER[0], seed=1, scanner="Other · Two", registered="gone")
    groups = found_in(before, [replace(one, subject=f"again {n}") for n, one in enumerate(now)])
    assert {(one.period, one.scanner, one.subjects) for one in groups} == {
        (ALWAYS, ALL, 340), (ALWAYS, "Acme · One", 300), (ALWAYS, "Other · Two", 40),
        ("2026-10", ALL, 40), ("2026-10", "Other · Two", 40),
    }  # fmt: skip
    whole = one_of(groups)
    assert whole.median_days_apart == 90
    assert whole.not_registered == {"gone": 40}
    for one in whole.twice:
        scale = 100.0 if one.figure.startswith("peak") else 1.0
        assert one.within is not None
        assert one.icc is not None
        assert one.ccc is not None
        assert one.within.wsd.low * 0.95 < 0.03 * scale < one.within.wsd.high * 1.05
        assert one.within.repeatability_coefficient.value == pytest.approx(RC_OF_WSD * one.within.wsd.value)
        assert one.icc.value == pytest.approx(0.1**2 / (0.1**2 + 0.03**2), abs=0.05)
        assert one.icc.low < one.ccc.value < one.icc.high
        assert len(one.points) == repeats.MOST_POINTS


def test_a_subject_counts_once_by_its_newest_pair() -> None:
    old = draw_pairs(Again.REPLAY, 40, SEPTEMBER, bias=10.0)
    new = draw_pairs(Again.REPLAY, 40, SEPTEMBER + timedelta(days=9), seed=3)
    trust = one_of(found_in(old, new), ALWAYS).twice[5]
    assert (trust.figure, trust.subjects) == ("trust", 40)
    assert trust.agreement is not None
    assert abs(trust.agreement.bias.value) < 1


def test_too_few_show_no_number_and_say_how_many_more_they_need() -> None:
    groups = found_in(draw_pairs(Again.VERSION, 12, SEPTEMBER, other="f" * 64), month=None)
    assert {(one.subjects, one.missing) for one in groups} == {(12, 23)}
    assert all(one.within is None and one.missing == 23 for group in groups for one in group.twice)
    assert groups_as_json(groups)[0]["twice"][0]["within"] is None
    page = str(repeatability_part(Repeatability("flair", groups, None)))
    assert "12 golden studies: too few to say; 23 more are needed, 35 in all." in page
    assert "<svg" not in page
    assert "No baseline is locked" in page


def test_measurements_that_repeat_to_the_bit_have_no_spread_within_and_full_agreement() -> None:
    pairs = draw_pairs(Again.REPLAY, 35, SEPTEMBER)
    same = [replace(one, second=one.first, between={"spearman": 1.0}) for one in pairs]
    trust = one_of(found_in(same)).twice[5]
    assert trust.within is not None
    assert (trust.within.wsd.high, trust.icc.value, trust.ccc.value) == pytest.approx((0, 1, 1))  # type: ignore[union-attr]
    flat = [replace(one, first={"trust": 1.0}, second={"trust": 1.0}) for one in pairs]
    assert one_of(found_in(flat)).twice[5].icc is None


def test_a_page_shows_every_figure_with_its_interval_and_a_picture_and_escapes_what_scanners_say() -> None:
    groups = found_in(draw_pairs(Again.REPLICATE, 50, SEPTEMBER, other="replicate 1", scanner="<img onerror>"))
    page = str(repeatability_part(Repeatability("flair", groups, ())))
    assert page.count("<svg") == 4
    assert "<img" not in page
    assert "&lt;img onerror&gt;" in page
    assert "replicate 1" in page
    assert "trust</th>" not in page


def test_golden_pairs_tell_a_replay_from_other_weights_and_measure_both_maps() -> None:
    figures = {"hot_area": 0.1, "trust": 0.9, "map_entropy": 0.4}
    before = recorded(model="a" * 64, peak_mm=(1.0, 2.0, 3.0), figures=figures)
    after = recorded(np.flip(VALUES).copy(), model="b" * 64, peak_mm=(4.0, 6.0, 3.0), figures=figures)
    at = datetime(2026, 10, 2, tzinfo=UTC)
    again, other = (golden_pairs([before], [one], bundle="b", at=at)[0] for one in (before, after))
    assert (again.again, again.between["spearman"], again.between["peak_distance_mm"]) == (Again.REPLAY, 1.0, 0.0)
    assert (other.again, other.other, other.between["peak_distance_mm"]) == (Again.VERSION, "a" * 64, 5.0)
    assert other.first == {"hot_area": 0.1, "trust": 0.9, "peak_x_mm": 1.0, "peak_y_mm": 2.0, "peak_z_mm": 3.0}
    assert other.between == map_agreement(VALUES, np.flip(VALUES)) | {"peak_distance_mm": 5.0}


def test_the_maps_of_a_class_are_consistent_until_they_come_to_lie_elsewhere() -> None:
    day, rows = draw_year(6, Hospital(cases_a_day=6.0, patients=500), days=120)
    grid = np.indices((8, 8))
    draw = np.random.default_rng(0)

    def spot(row: float) -> bytes:
        hot = np.exp(-((grid[0] - row) ** 2 + (grid[1] - 4) ** 2) / 4) + 0.1 * draw.random((8, 8))
        return bytes(np.round(255 * hot / hot.max()).astype(np.uint8).tobytes())

    store = store_of(day, rows)
    spots = [{"at": f"flair{n}", "map": spot(2 if one < 84 else 5)} for n, one in enumerate(day)]
    change = update(observations).where(observations.c.job_id == bindparam("at"))
    with store.engine.begin() as connection:
        connection.execute(change.values(thumbnail=bindparam("map")), spots)
    found = cohorts_of(store, "flair", (at_day(0), at_day(40)), at_day(120))
    assert [one.month for one in found] == ["2025-01", "2025-02", "2025-03", "2025-04", "2025-05"]
    values = {one.month: one.likeness for one in found}
    assert values["2025-02"] is not None
    assert values["2025-04"] is not None
    assert values["2025-02"].low > 0.9
    assert values["2025-04"].high < values["2025-02"].low
    assert found[-1].missing > 0
    assert values["2025-05"] is None
    page = str(repeatability_part(Repeatability("flair", (), found)))
    assert page.count("<svg") == 1
    assert cohorts_of(Observations(store.engine), "another", (at_day(0), at_day(40)), at_day(120)) == ()

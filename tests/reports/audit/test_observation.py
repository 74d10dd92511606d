"""What the audit keeps of a finding: figures of its map, its scanner, and no patient."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine

from inference.analysis import Analysis
from inference.trust.statement import Conclusion, Statement
from reports.audit.observation import FIGURES, likeness, observe, thumbnail
from reports.audit.observations import METADATA, Observations, Selection

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def analysis(series: Callable[..., list[Path]], analyse: Callable[..., Analysis]) -> Analysis:
    return analyse(series())


def key(identifier: str) -> str:
    return f"hash of {len(identifier)} characters"


def test_an_observation_has_every_figure_that_can_be_had_and_names_no_patient(analysis: Analysis) -> None:
    seen = observe(analysis, route="flair", at=AT, key=key)
    assert len(seen) == len(analysis.explanations)
    first = seen[0]
    assert {"probability", "hot_area", "map_entropy", "centroid_row", "grey_mean", "found"} <= set(first.figures)
    assert set(first.figures) <= set(FIGURES)
    assert all(np.isfinite(list(one.figures.values())).all() for one in seen)
    assert 0 < first.figures["map_entropy"] < 1
    told = repr(asdict(first))
    assert analysis.image.patient_key not in told
    assert analysis.image.study_instance_uid not in told
    assert "MR" in first.protocol


@pytest.mark.parametrize(
    ("found", "distance", "contradicted"),
    [(False, 1.7, False), (False, 0.4, False), (False, 0.4, True), (True, 1.7, False), (False, None, False)],
)
def test_a_series_without_a_finding_counts_as_like_or_unlike_commissioning(
    series: Callable[..., list[Path]],
    analyse: Callable[..., Analysis],
    found: bool,
    distance: float | None,
    contradicted: bool,
) -> None:
    statement = Statement(Conclusion.FOUND if found else Conclusion.NOTHING_FOUND, (), {}, distance, contradicted)
    (seen,) = observe(analyse(series(1), found=found, statement=statement), route="flair", at=AT, key=key)
    assert seen.figures.get("distance") == distance
    expected = None if found or distance is None else float(contradicted or distance > 1)
    assert seen.figures.get("negative_unlike") == expected


def test_observations_come_back_by_figure_once_however_often_they_are_added(analysis: Analysis) -> None:
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    store, seen = Observations(engine), observe(analysis, route="flair", at=AT, key=key)
    for _ in range(2):
        with engine.begin() as connection:
            store.add("job 1", seen, connection)
    series = store.series(["probability", "trust"], Selection({"route": "flair"}))
    assert series["probability"].values.tolist() == [one.figures["probability"] for one in seen]
    assert set(series["probability"].days.tolist()) == {20458}
    assert store.groups("route") == {"flair": len(seen)}
    maps = store.maps(Selection({}), 10)[(seen[0].bundle, seen[0].method, seen[0].label)]
    assert (len(maps), {len(one) for _, one in maps}) == (len(seen), {64})
    assert {patient for patient, _ in maps} == {seen[0].patient}
    assert not len(store.series(["probability"], Selection({"route": "other"}))["probability"].values)


def test_a_map_like_its_class_is_alike_and_an_empty_one_is_not() -> None:
    grid = np.indices((32, 32)).astype(float)
    hot = np.exp(-((grid[0] - 8) ** 2 + (grid[1] - 20) ** 2) / 30)
    small = [thumbnail(hot), thumbnail(hot[::-1]), thumbnail(np.zeros((32, 32)))]
    alike, mirrored, empty = likeness(small, np.frombuffer(small[0], dtype=np.uint8).astype(float))
    assert alike > 0.999
    assert mirrored < 0.2
    assert empty == 0.0

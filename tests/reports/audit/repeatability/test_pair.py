"""A map beside those of the bundle's replicates."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from inference.analysis import Analysis
from reports.audit.observation import hot_area, observe
from reports.audit.repeatability.pair import Again, replicate_pairs

pytestmark = pytest.mark.numerics


def test_each_replicate_makes_a_pair_with_its_own_peak_in_mm_and_no_trust(
    series: Callable[..., list[Path]], analyse: Callable[..., Analysis]
) -> None:
    made = analyse(series())
    one = made.explanations[0]
    moved = np.roll(one.map.on_frame, 10, axis=1)
    trust = replace(one.trust, replicates=(one.map.on_frame, moved))
    made = replace(made, explanations=(replace(one, trust=trust),))
    seen = observe(made, route="flair", at=datetime(2026, 10, 1, tzinfo=UTC), key=str.upper)
    same, other = replicate_pairs(made, seen)
    assert (same.again, same.other, same.subject) == (Again.REPLICATE, "replicate 1", seen[0].patient)
    assert dict(same.between) == {"spearman": 1.0, "overlap": 1.0, "peak_distance_mm": 0.0}
    assert other.other == "replicate 2"
    assert other.between["peak_distance_mm"] == pytest.approx(10 * 0.9)
    assert other.second["peak_x_mm"] - other.first["peak_x_mm"] == pytest.approx(10 * 0.9)
    assert other.second["hot_area"] == hot_area(moved)
    assert "trust" not in other.first.keys() | other.second.keys()

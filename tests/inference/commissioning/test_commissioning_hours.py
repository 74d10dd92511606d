"""Hours of commissioning are extrapolated piece by piece, each by its own number of cases."""

from dataclasses import replace

import pytest

from inference.commissioning.measuring.settings import CommissionSettings
from inference.commissioning.readings import FAMILIES
from tests.benchmarks.commissioning import cases_of, extrapolated


def test_every_piece_is_scaled_by_the_cases_it_works_on() -> None:
    full = CommissionSettings()
    small = replace(full, limit=10, agreement_cases=10, cascade_cases=5, smprt_cases=4, smprt_samples=2, tuning_cases=6)
    times = {
        "primary.0": 8.0, "primary.1": 2.0, "replicate_0.0": 10.0, "tuning.0": 6.0, "localisation.edge": 1.0,
        "cascade.gradcam": 5.0, "cascade.edge": 5.0, "smprt.gradcam": 4.0,
    }  # fmt: skip
    found = extrapolated(times, small, 10, full, 500)
    assert found["primary"] == pytest.approx(500)
    assert found["replicate_0"] == pytest.approx(100)
    assert found["tuning"] == pytest.approx(60)
    assert found["localisation"] == pytest.approx(50)
    assert found["cascade"] == pytest.approx(48)
    assert found["smprt"] == pytest.approx(4 * 2 * 4)


def test_no_family_works_on_more_cases_than_there_are() -> None:
    full = CommissionSettings()
    assert all(cases_of(family, full, 3) == 3 for family in FAMILIES)

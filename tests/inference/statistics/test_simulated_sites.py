"""Over simulated sites the true risk of TRUSTED maps exceeds alpha in at most delta, and the simulation can tell."""

import numpy as np
import pytest

from inference.commissioning.verdict.fit import nulls_of
from inference.commissioning.verdict.part import BudgetPart
from inference.statistics.risk_control import Unit
from inference.trust.certified import TRUSTABLE, certified
from tests.benchmarks import fitted_sites
from tests.benchmarks.site_laws import LAWS, MIDDLE, MOST_SLICES, ROUNDING, Shape, certified_steps, make_law

SITES, PATIENTS = 100, 60
ALPHA = DELTA = 0.10
EXCEEDED_AT_MOST = DELTA + 3 * (DELTA * (1 - DELTA) / SITES) ** 0.5
POPULATION = 2_000
ALIKE = Shape(fewest_slices=10, shown=MOST_SLICES, effect_sd=1.5)
"""Correlated slices, all of them shown."""


def exceeded(shape: Shape, unit: Unit) -> tuple[float, float]:
    """Return the share of sites whose true risk exceeds alpha, and of those with a certificate."""
    law = make_law(shape, ALPHA, POPULATION)
    steps = [certified_steps(law.site(PATIENTS, seed), ALPHA, DELTA, 1, unit) for seed in range(SITES)]
    wrong = np.mean([law.truth(step)[0] > ALPHA + ROUNDING for step in steps])
    return float(wrong), float(np.mean([step != (None,) for step in steps]))


@pytest.mark.parametrize("shape", [LAWS["independent"], ALIKE], ids=["independent", "correlated"])
def test_alpha_is_exceeded_in_at_most_delta_of_sites(shape: Shape) -> None:
    wrong, certificates = exceeded(shape, Unit.PATIENT)
    assert wrong <= EXCEEDED_AT_MOST
    assert certificates > 0.15


def test_slices_counted_as_independent_exceed_alpha_more_often_than_delta() -> None:
    assert exceeded(ALIKE, Unit.CASE)[0] > EXCEEDED_AT_MOST


@pytest.mark.parametrize("name", LAWS)
def test_a_laws_true_risk_is_alpha_under_its_critical_threshold_and_above_it_below(name: str) -> None:
    shape = LAWS[name]
    law = make_law(shape, ALPHA, POPULATION)
    for index, critical in enumerate(shape.critical):
        alone = [tuple(step if at == index else None for at in range(len(shape.critical))) for step in range(50)]
        place = TRUSTABLE.index(critical)
        assert law.truth(alone[place])[0] == pytest.approx(ALPHA, abs=1e-9)
        assert min(law.truth(steps)[0] for steps in alone[place + 1 :]) > ALPHA


def test_the_true_risk_is_what_a_large_site_of_the_law_shows() -> None:
    law = make_law(LAWS["correlated"], ALPHA, POPULATION)
    maps = law.site(4_000, seed=0)
    trusted = maps.score >= MIDDLE
    patients = np.unique(maps.group[trusted])
    losses = [maps.miss[trusted & (maps.group == patient)].mean() for patient in patients]
    assert np.mean(losses) == pytest.approx(ALPHA, abs=4 * np.std(losses) / len(losses) ** 0.5)
    assert len(patients) / 4_000 == pytest.approx(law.truth((TRUSTABLE.index(MIDDLE),))[1], abs=0.03)


@pytest.mark.parametrize("name", ["correlated", "two classes"])
def test_the_thresholds_counted_are_those_that_commissioning_certifies(name: str) -> None:
    law, classes = make_law(LAWS[name], 0.2, POPULATION), len(LAWS[name].critical)
    words = [f"class {index}" for index in range(classes)]
    found = []
    for seed in range(2):
        maps = law.site(120, seed)
        steps = certified_steps(maps, 0.2, DELTA, classes)
        made = certified(maps, words, alpha=0.2, delta=DELTA, by_class=classes > 1)
        assert made.thresholds(words).tolist() == [np.inf if step is None else TRUSTABLE[step] for step in steps]
        found += steps
    assert any(step is not None for step in found)


def test_fresh_patients_are_scored_as_the_patients_of_a_site_are() -> None:
    draw = np.random.default_rng(0)
    drawn = fitted_sites.draw_patients(fitted_sites.LAWS["correlated"], 40, draw)
    data = fitted_sites.rows_of(drawn, draw)
    nulls = nulls_of(data.rows)
    part = BudgetPart(data, nulls, outside=dict(enumerate(drawn.outside.tolist())))
    fits = [part.fit(use) for use in ("AB", "C")]
    scores = part.own_decided_by(fits, seen=False)
    best, _ = fitted_sites.shown_of_fresh(drawn, [fit.calibrator for fit in fits], nulls[0])
    assert np.isnan(scores).any()
    for patient, shown in enumerate(best):
        own = np.sort(np.nan_to_num(scores[part.own.stack == patient], nan=-1.0))[::-1][:3]
        assert shown[: len(own)] == pytest.approx(own, abs=1e-12)

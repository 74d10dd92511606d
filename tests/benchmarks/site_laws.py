"""Simulated patients from whom sites are drawn: scores, and the probability with which every map misses.

A law is a finite population. A site is n of its patients, drawn with replacement; every map then misses with its
probability. So the true risk under a threshold is a mean over the population, not an estimate. The true risk is
that of the certificate: the mean, over patients with a TRUSTED shown map, of the share of these maps that miss. Each
law is scaled so that it equals alpha at the threshold in the middle of those that can be certified, and lies above
alpha under every lower one: a procedure that goes one step too far is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from inference.statistics.bounds import Bets
from inference.statistics.risk_control import Unit, certified_step, see_site
from inference.statistics.seeds import seed_of
from inference.statistics.shown import shown
from inference.trust.certified import SEED, TRUSTABLE, ShownScores
from inference.trust.choice import USUALLY_SHOWN

Numbers = NDArray[np.float64]
Steps = tuple[int | None, ...]
"""Of each class the place in ``TRUSTABLE`` of the threshold from which on its maps are TRUSTED; None: none is."""
PATIENTS = 50_000
MOST_SLICES = 15
MEAN, PATIENT_SD, SLICE_SD = 0.3, 1.0, 0.7
"""Of the scores' log-odds."""
SLOPE = 3.0
"""By so much the log-odds of a miss fall as those of the score rise: steep, so that a step too far is a large one."""
MIDDLE = 0.75
ROUNDING = 1e-9


@dataclass(frozen=True)
class Shape:
    """What sets one law apart from the others."""

    fewest_slices: int = 1
    shown: int = USUALLY_SHOWN
    effect_sd: float = 0.0
    """Of a patient's effect in the log-odds of a miss, the same in all maps of the patient."""
    rises: float = 0.0
    """By so much the log-odds of a miss rise with those of the patient's highest score."""
    best_from: float = 0.0
    """No patient's highest score lies below."""
    critical: tuple[float, ...] = (MIDDLE,)
    """Of each class, the threshold under which the true risk of its maps is alpha."""


LAWS: Mapping[str, Shape] = {
    "independent": Shape(),
    "correlated": Shape(effect_sd=1.5),
    "fractional": Shape(fewest_slices=10, shown=MOST_SLICES, effect_sd=1.0),
    "high scorers miss more": Shape(rises=2.6),
    "the highest miss most": Shape(rises=4.0, best_from=MIDDLE),
    "two classes": Shape(effect_sd=1.5, critical=(0.70, 0.80)),
}
"""Of ``the highest miss most`` the true risk lies above alpha under every threshold but the middle one."""


@dataclass(frozen=True, eq=False)
class Law:
    """P patients with up to S maps of each of C classes."""

    score: Numbers
    """(P, C, S); NaN: no map."""
    miss: Numbers
    """(P, C, S), probability of a miss."""
    count: int
    """Maps of a patient and class that are shown."""
    _cached: dict[Steps, tuple[float, float]] = field(default_factory=dict)

    @cached_property
    def _seen(self) -> tuple[Numbers, Numbers]:
        """Shown maps of each patient and class from each threshold on, and expected misses, (P, C, T) twice."""
        best = np.argsort(-np.where(np.isnan(self.score), -1.0, self.score), axis=2, kind="stable")[..., : self.count]
        score, miss = (np.take_along_axis(values, best, axis=2) for values in (self.score, self.miss))
        trusted = [score >= threshold for threshold in TRUSTABLE]
        return (
            np.stack([of.sum(axis=2, dtype=np.float64) for of in trusted], axis=2),
            np.stack([np.where(of, miss, 0.0).sum(axis=2) for of in trusted], axis=2),
        )

    def truth(self, steps: Steps) -> tuple[float, float]:
        """Return the true risk and the share of patients with a TRUSTED map; (NaN, 0) where nothing is TRUSTED."""
        if steps not in self._cached:
            columns = [(index, step) for index, step in enumerate(steps) if step is not None]
            zero = np.zeros(len(self.score))
            kept, wrong = (sum((seen[:, index, step] for index, step in columns), zero) for seen in self._seen)
            some = kept > 0
            risk = float((wrong[some] / kept[some]).mean()) if some.any() else float("nan")
            self._cached[steps] = (risk, float(some.mean()))
        return self._cached[steps]

    def site(self, patients: int, seed: int) -> ShownScores:
        """Draw a site and return the maps that are shown."""
        draw = np.random.default_rng(seed)
        drawn = draw.integers(len(self.score), size=patients)
        there = ~np.isnan(self.score[drawn])
        group, class_index, _ = np.nonzero(there)
        score = self.score[drawn][there]
        miss = draw.random(len(score)) < self.miss[drawn][there]
        kept = shown(score, group * self.score.shape[1] + class_index, self.count)
        return ShownScores(score[kept], miss[kept], group[kept], class_index[kept])


def make_law(shape: Shape, alpha: float, patients: int = PATIENTS) -> Law:
    """Draw the population of a law, scaled to one alpha.

    Raises:
        ValueError: the true risk of a class is not above alpha under every threshold below its critical one.
    """
    draw = np.random.default_rng(SEED)
    effect = shape.effect_sd * draw.normal(size=(patients, 1))
    scores, misses = [], []
    for critical in shape.critical:
        odds = _scores_log_odds(shape, patients, draw)
        best = np.nanmax(odds, axis=1, keepdims=True)
        tendency = effect + shape.rises * best - SLOPE * odds
        scores.append(expit(odds))
        misses.append(expit(tendency + _offset(scores[-1], tendency, shape.shown, critical, alpha)))
    law = Law(np.stack(scores, axis=1), np.stack(misses, axis=1), shape.shown)
    for index, critical in enumerate(shape.critical):
        below = [step for step, threshold in enumerate(TRUSTABLE) if threshold < critical]
        if not all(law.truth(only(index, step, len(shape.critical)))[0] > alpha for step in below):
            raise ValueError("The true risk falls below alpha again.")
    return law


def only(index: int, step: int | None, classes: int) -> Steps:
    """Return the steps that leave TRUSTED maps of one class alone."""
    return tuple(step if at == index else None for at in range(classes))


def _scores_log_odds(shape: Shape, patients: int, draw: np.random.Generator) -> Numbers:
    odds = MEAN + PATIENT_SD * draw.normal(size=(patients, 1)) + SLICE_SD * draw.normal(size=(patients, MOST_SLICES))
    count = draw.integers(shape.fewest_slices, MOST_SLICES + 1, size=(patients, 1))
    odds[np.arange(MOST_SLICES) >= count] = np.nan
    if shape.best_from:
        best = logit(shape.best_from) + np.abs(draw.normal(size=(patients, 1)))
        odds += best + ROUNDING - np.nanmax(odds, axis=1, keepdims=True)
    return odds


def _offset(score: Numbers, tendency: Numbers, count: int, critical: float, alpha: float) -> float:
    """Return what the log-odds of a miss are shifted by for the true risk to be alpha under the critical threshold."""
    best = np.argsort(-np.where(np.isnan(score), -1.0, score), axis=1, kind="stable")[:, :count]
    score, tendency = (np.take_along_axis(values, best, axis=1) for values in (score, tendency))
    trusted = score >= critical
    kept = trusted.sum(axis=1)
    some = kept > 0

    def excess(offset: float) -> float:
        wrong = np.where(trusted, expit(tendency + offset), 0.0).sum(axis=1)
        return float((wrong[some] / kept[some]).mean()) - alpha

    return float(brentq(excess, -20.0, 20.0, xtol=1e-12))


def certified_steps(maps: ShownScores, alpha: float, delta: float, classes: int, unit: Unit = Unit.PATIENT) -> Steps:
    """Certify all maps together, and each class by itself where there are several; see ``certified``, without its
    interval of the coverage, which is a bootstrap."""
    whole = _step(maps, alpha, delta, unit)
    if classes == 1 or whole is None:
        return (whole,) * classes
    own = [_step(maps.of_class(index), alpha, delta, unit) for index in range(classes)]
    return tuple(None if step is None else min(step, whole) for step in own)


def _step(maps: ShownScores, alpha: float, delta: float, unit: Unit) -> int | None:
    site = see_site(maps.score, maps.miss, maps.group, seed=SEED, grid=TRUSTABLE)
    return certified_step(site, alpha, delta, unit, _bets(alpha, delta, site.losses.shape[1]))


@cache
def _bets(alpha: float, delta: float, most: int) -> Bets:
    return Bets.of(alpha, delta, most)


def site_seed(law: str, alpha: float, patients: int, number: int) -> int:
    """Return the seed of one site."""
    return seed_of("simulated site", law, f"{alpha:.2f}", patients, number)

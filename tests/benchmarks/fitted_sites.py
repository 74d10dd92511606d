"""Simulated sites whose signals are given: everything a verdict rests on is refitted at each, and judged on others.

A patient has an effect in the log-odds of a miss, and shifts of the signals, the same in all of the patient's maps.
Signals of all three tiers are drawn given whether the map hits; bogus maps stand among the rows as commissioning
makes them, in place of the map and method-wide. Fit, hard rules, out-of-fold scores, choice of planes and certificate
are those of ``inference/commissioning/verdict`` on one site, crossed. The true risk is that of the site's final
calibrators and threshold on ``FRESH`` patients of the same law, whom no site had.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from inference.commissioning.verdict.budget import USES
from inference.commissioning.verdict.fit import nulls_of
from inference.commissioning.verdict.part import BudgetPart, scores_of
from inference.commissioning.verdict.part_data import ANOTHER, OWN, PartData, Rows
from inference.commissioning.verdict.rows import METHOD_EVERY
from inference.errors import Refused
from inference.passport.calibrator import Calibrator
from inference.statistics.seeds import seed_of
from inference.trust.certified import TRUSTABLE, shown_scores
from inference.trust.choice import USUALLY_SHOWN
from inference.trust.kinds import NAMES
from inference.trust.nulls import Nulls
from tests.benchmarks.site_laws import certified_steps

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
PATIENTS = (34, 120)
FRESH = 20_000
MOST_SLICES = 6
BOGUS_KINDS = (ANOTHER, "random")
OUTSIDE, MISSING = 0.04, 0.05
"""Share of series out of the envelope; of values of the last signal that cannot be measured."""
BOGUS_HITS = 0.1


@dataclass(frozen=True)
class Measure:
    """How one signal is drawn: of a map that misses standard normal before it is scaled, of others shifted."""

    name: str
    hit: float
    """Mean of maps that hit."""
    bogus: float
    """Mean of bogus maps in place of the map."""
    whole: float
    """Mean of bogus maps where the whole method is bogus."""
    patient_sd: float
    scale: float = 1.0
    centre: float = 0.0


MEASURES = (
    Measure("probability", 0.5, 0.4, 0.4, 0.7),
    Measure("replicate_spearman", 0.9, -1.0, 2.0, 0.5, 0.2, 0.4),
    Measure("concentration", 0.4, -0.5, -0.5, 0.5),
    Measure("peak_contrast", 0.6, -0.4, -0.4, 0.5),
    Measure("witness_at_peak", 1.2, -0.8, -0.8, 0.6),
    Measure("witness_distance", -0.8, 0.6, 0.6, 0.6),
)
COLUMNS = [NAMES.index(measure.name) for measure in MEASURES]


@dataclass(frozen=True)
class Signals:
    """What sets one law apart from the others."""

    base: float
    """Log-odds of a miss."""
    effect_sd: float = 0.5
    """Of a patient's effect in them."""
    looks: float = 0.0
    """By so much a patient's effect shifts every signal of the patient towards those of maps that hit."""


LAWS: Mapping[str, Signals] = {
    "independent": Signals(base=-0.3, effect_sd=0.0),
    "correlated": Signals(base=-0.6, effect_sd=1.5),
    "high scorers miss more": Signals(base=-1.2, effect_sd=1.0, looks=0.3),
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """Maps of P patients, at most S of each."""

    there: Flags
    """(P, S)"""
    hit: Flags
    """(P, S)"""
    shift: Numbers
    """(P, 1, signals), shared by a patient's maps."""
    values: Numbers
    """(P, S, signals) of the displayed maps."""
    outside: Flags
    """(P,): the series is out of the envelope."""


def draw_patients(law: Signals, patients: int, draw: np.random.Generator) -> Drawn:
    """Draw patients of one law."""
    effect = draw.normal(size=(patients, 1))
    there = np.arange(MOST_SLICES) < draw.integers(1, MOST_SLICES + 1, size=(patients, 1))
    hit = draw.random(there.shape) >= expit(law.base + law.effect_sd * effect)
    towards = np.sign([measure.hit for measure in MEASURES])
    own = draw.normal(size=(patients, 1, len(MEASURES))) * [measure.patient_sd for measure in MEASURES]
    shift = own + law.looks * effect[..., None] * towards
    values = _measured(np.where(hit[..., None], [measure.hit for measure in MEASURES], 0.0), shift, draw)
    return Drawn(there, hit, shift, values, draw.random(patients) < OUTSIDE)


def _measured(mean: Numbers, shift: Numbers, draw: np.random.Generator) -> Numbers:
    """Return signals around their means, the last of them now and then missing, (..., signals)."""
    values = mean + shift + draw.normal(size=np.broadcast_shapes(mean.shape, shift.shape))
    values = values * [measure.scale for measure in MEASURES] + [measure.centre for measure in MEASURES]
    values[..., -1][draw.random(values.shape[:-1]) < MISSING] = np.nan
    return values


def rows_of(drawn: Drawn, draw: np.random.Generator) -> PartData:
    """Return the rows of a site as commissioning measures them: each displayed map, and bogus ones in its place."""
    patient, _ = np.nonzero(drawn.there)
    cases = np.arange(len(patient))
    shift = drawn.shift[patient, 0]
    parts = [(OWN, "map", cases, drawn.values[drawn.there], drawn.hit[drawn.there])]
    for kind in BOGUS_KINDS:
        for mode, some in (("map", cases), ("method", cases[::METHOD_EVERY])):
            mean = np.array([measure.bogus if mode == "map" else measure.whole for measure in MEASURES])
            hit = draw.random(len(some)) < BOGUS_HITS
            parts.append((kind, mode, some, _measured(mean, shift[some], draw), hit))
    kinds, modes, case, values, hits = zip(*parts, strict=True)
    counts, at = [len(some) for some in case], np.concatenate(case)
    table = np.full((len(at), len(NAMES)), np.nan)
    table[:, COLUMNS] = np.concatenate(values)
    rows = Rows(
        values=table,
        hit=np.concatenate(hits),
        kind=np.repeat(kinds, counts),
        mode=np.repeat(modes, counts),
        group=np.array([f"{number:04d}" for number in patient])[at],
        case=at,
        class_index=np.zeros(len(at), np.int64),
        stack=patient[at],
        blank=np.zeros(len(at), np.bool_),
        touches=np.zeros(len(at), np.bool_),
        ious=np.full((len(at), 13), np.nan),
        apart=np.full(len(at), np.nan),
    )
    none = np.zeros((len(cases), 1))
    return PartData(rows, none + 1, drawn.hit[drawn.there], ("axial",) * len(cases), none)


@cache
def fresh_patients(name: str) -> Drawn:
    """Draw the patients on whom every site of a law is judged."""
    return draw_patients(LAWS[name], FRESH, np.random.default_rng(seed_of("fresh patients", name)))


def judged_site(
    name: str, patients: int, number: int, alphas: Sequence[float], delta: float
) -> list[tuple[float | None, float | None, float]]:
    """Fit and certify one site as a crossed one is, and judge it on fresh patients.

    Returns:
        For each alpha the certified threshold, the true risk, and the share of patients with a TRUSTED map; None, None
        and 0 where nothing is certified or nothing could be fitted.
    """
    draw = np.random.default_rng(seed_of("fitted site", name, patients, number))
    drawn = draw_patients(LAWS[name], patients, draw)
    data = rows_of(drawn, draw)
    nulls = nulls_of(data.rows)
    part = BudgetPart(data, nulls, outside=dict(enumerate(drawn.outside.tolist())))
    try:
        fits = [part.fit(use) for use in (USES[-1], "C")]
    except Refused:
        return [(None, None, 0.0)] * len(alphas)
    maps = shown_scores(scores_of(part, part.own_decided_by(fits, seen=True)), USUALLY_SHOWN)
    steps = [certified_steps(maps, alpha, delta, 1)[0] for alpha in alphas]
    score, wrong = shown_of_fresh(fresh_patients(name), [fit.calibrator for fit in fits], nulls[0])
    least = [None if step is None else TRUSTABLE[step] for step in steps]
    return [(None, None, 0.0) if t is None else (t, *_truth(score, wrong, t)) for t in least]


def shown_of_fresh(drawn: Drawn, locks: Sequence[Calibrator], nulls: Nulls) -> tuple[Numbers, Flags]:
    """Return scores and misses of the maps that are shown of each patient, highest first, (P, 3) twice."""
    table = drawn.values[drawn.there].copy()
    names = [measure.name for measure in MEASURES]
    for column, name in enumerate(names):
        if name in nulls:
            null = nulls[name].value
            table[:, column] = (table[:, column] - null) / (1 - null)
    stopped = (table[:, names.index("replicate_spearman")] <= 0) | drawn.outside[np.nonzero(drawn.there)[0]]
    score = np.full(drawn.there.shape, -1.0)
    scores = np.min([lock.probability(table, names) for lock in locks], axis=0)
    score[drawn.there] = np.where(stopped, -1.0, scores)
    best = np.argsort(-score, axis=1, kind="stable")[:, :USUALLY_SHOWN]
    return np.take_along_axis(score, best, axis=1), ~np.take_along_axis(drawn.hit, best, axis=1)


def _truth(score: Numbers, wrong: Flags, threshold: float) -> tuple[float | None, float]:
    trusted = score >= threshold
    some = trusted.any(axis=1)
    if not some.any():
        return None, 0.0
    shares = (trusted & wrong)[some].sum(axis=1) / trusted[some].sum(axis=1)
    return float(shares.mean()), float(some.mean())

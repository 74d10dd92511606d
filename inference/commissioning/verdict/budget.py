"""The formula of one budget: fitted on what its parts of the evidence show, judged on patients who had no part in it.

Every budget goes through the same functions on the same rows; it only sees fewer signals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.commissioning.verdict.fit_calibrator import Fit, fit_calibrator
from inference.commissioning.verdict.rows import BOGUS, OWN, Told
from inference.criteria.agreement import referenced
from inference.statistics.bootstrap import Interval, mean_by_group
from inference.statistics.failure_detection import auroc_gain, judge_by_class, judge_score
from inference.statistics.resplits import resplit
from inference.statistics.risk_control import Certificate, Unit, certify, smallest_alpha
from inference.statistics.withholding import withhold
from inference.trust.budgets import PARTS, Budget, signals_of
from inference.trust.calibrator import Calibrator
from inference.trust.evidence import Numbers
from inference.trust.kinds import NAMES, TIERS
from inference.trust.warrant import SEED, TRUSTABLE

Plain = dict[str, Any]
USES = ("A", "B", "AB", "C", "ABC")
ALPHAS = (0.05, 0.10, 0.20)
DELTA = 0.10
MOST_BOGUS = 0.02
"""Share of a kind of bogus maps that may be TRUSTED and wrong."""


def figures_of(before: "Part", after: "Part", *, classes: Sequence[str], witness: bool) -> Plain:
    """Fit one budget's formula and judge it.

    Args:
        before: the part fitted on, as the budget sees it.
        after: the part judged.
        classes: names of the bundle's classes.
        witness: whether the bundle has a localiser.

    Raises:
        Refused: too few patients, or displayed maps that all hit or all miss.
    """
    uses = USES if witness else USES[:3]
    fits = {use: before.fit(use) for use in uses}
    final, use = fits[uses[-1]], uses[-1]
    locks = (final, fits["C"]) if witness else (final,)
    scores, own_scores = after.score(locks), before.out_of_fold(locks)
    miss, groups = ~after.own.hit, after.own.group
    judged = {use: after.probability(fit.calibrator) for use, fit in fits.items()}
    return {
        "calibrator": final.calibrator.to_plain(),
        "witness_calibrator": fits["C"].calibrator.to_plain() if witness else None,
        "fit": {"chosen": final.chosen, "recalibrated_by": final.recalibrated_by, "log_losses": dict(final.log_losses)},
        "scores": {
            "p": own_scores.tolist(),
            "miss": (~before.own.hit).tolist(),
            "group": np.unique(before.own.group, return_inverse=True)[1].tolist(),
        },
        "auroc": {use: judgement(p, after, classes) for use, p in judged.items()},
        "gains": {name: _gain(judged[name], after) for name in ("A", use)},
        "trusted": [_trusted(own_scores, before, scores, after, alpha, unit) for alpha in ALPHAS for unit in Unit],
        "smallest_alpha": {unit.name.lower(): _smallest(own_scores, before, unit) for unit in Unit},
        "withheld": asdict(withhold(judged[use], miss, groups, delta=DELTA, seed=SEED)),
        "bogus_trusted_and_wrong": {
            kind: _bogus(before, after, (use, "C") if witness else (use,), kind)
            for kind in BOGUS
            if (before.rows.kind == kind).any()
        },
        "resplits": [_resplit(own_scores, before, scores, after, unit) for unit in Unit],
    }


class Part:
    """One part with its agreements set against the nulls, as a budget sees it."""

    def __init__(self, told: Told, nulls: Mapping[int, Mapping[str, Plain]], budget: Budget = "full") -> None:
        self.told = told
        self.rows = told.rows
        self.own = told.rows.own
        self.names = signals_of(PARTS[budget])
        columns = [NAMES.index(name) for name in self.names]
        self.values = against_nulls(self.rows.values, self.rows.class_index, nulls)[:, columns]

    def fit(self, use: str, *, without: str = "") -> Fit:
        """Fit a calibrator on displayed maps and bogus ones, in their place and method-wide, but for one kind."""
        kept, tiers = self.rows.kind != without, [TIERS[NAMES.index(name)] for name in self.names]
        return fit_calibrator(
            self.values[kept], self.names, tiers, self.rows.hit[kept], self.rows.group[kept],
            use=use, seed=SEED, bogus=self.rows.kind[kept] != OWN,
        )  # fmt: skip

    def probability(self, calibrator: Calibrator, kind: str = OWN, mode: str = "map") -> Numbers:
        """Give P of the maps of one kind."""
        return calibrator.probability(self.values[self.these(kind, mode)], self.names)

    def score(self, locks: Sequence[Fit], kind: str = OWN, mode: str = "map") -> Numbers:
        """Give what TRUSTED is decided by: P by all tiers, and no higher than P by the witness alone.

        Agreement, however perfect, cannot make up for a localiser that sees nothing: a method that is bogus as a whole
        agrees with itself.
        """
        return np.min([self.probability(fit.calibrator, kind, mode) for fit in locks], axis=0)

    def out_of_fold(self, locks: Sequence[Fit]) -> Numbers:
        """Give the same of the displayed maps that the fits saw, by folds that did not see the patient."""
        return np.min([fit.out_of_fold[~np.isnan(fit.out_of_fold)] for fit in locks], axis=0)

    def these(self, kind: str, mode: str = "map") -> NDArray[np.bool_]:
        """Mark the rows of one kind and mode."""
        return np.asarray((self.rows.kind == kind) & (self.rows.mode == mode))


def against_nulls(values: Numbers, classes: NDArray[np.int64], nulls: Mapping[int, Mapping[str, Plain]]) -> Numbers:
    """Replace each agreement a by a* = (a - null) / (1 - null), (N, signals); without room above the null: missing."""
    table = values.copy()
    for index, by_name in nulls.items():
        for name, null in by_name.items():
            column, rows = NAMES.index(name), classes == index
            starred = [referenced(float(value), null["value"]) for value in table[rows, column]]
            table[rows, column] = [np.nan if value is None else value for value in starred]
    return table


def judgement(scores: Numbers, part: Part, classes: Sequence[str]) -> Plain:
    """Judge a score as a detector of maps that miss, pooled and within each class."""
    miss, groups = ~part.own.hit, part.own.group
    pooled = judge_score(scores, miss, groups, seed=SEED)
    by_class = judge_by_class(scores, miss, groups, np.array(classes)[part.own.class_index], seed=SEED)
    return {"pooled": asdict(pooled), "by_class": {name: asdict(one) for name, one in by_class.items()}}


def _trusted(own_scores: Numbers, before: Part, scores: Numbers, after: Part, alpha: float, unit: Unit) -> Plain:
    """Certify on the part fitted on, and say what becomes of the part judged."""
    found = certify(
        own_scores, ~before.own.hit, before.own.group, alpha=alpha, delta=DELTA, seed=SEED, unit=unit, grid=TRUSTABLE
    )
    entry: Plain = {"certificate": _certificate(found), "coverage": None, "miss": None}
    if found.threshold is not None:
        trusted = scores >= found.threshold
        entry["coverage"] = plain_interval(mean_by_group(trusted.astype(float), after.own.group, seed=SEED))
        if trusted.any():
            wrong = ~after.own.hit[trusted]
            entry["miss"] = plain_interval(mean_by_group(wrong.astype(float), after.own.group[trusted], seed=SEED))
    return entry


def _smallest(own_scores: Numbers, before: Part, unit: Unit) -> Plain | None:
    miss, groups = ~before.own.hit, before.own.group
    return _certificate(smallest_alpha(own_scores, miss, groups, delta=DELTA, seed=SEED, unit=unit, grid=TRUSTABLE))


def _bogus(before: Part, after: Part, uses: Sequence[str], kind: str) -> Plain:
    """Judge one kind of bogus map by calibrators and a threshold that never saw it."""
    unseen = [before.fit(use, without=kind) for use in uses]
    own_scores = before.out_of_fold(unseen)
    entry: Plain = {}
    for unit in Unit:
        found = certify(
            own_scores, ~before.own.hit, before.own.group, alpha=0.10, delta=DELTA, seed=SEED, unit=unit, grid=TRUSTABLE
        )
        for mode in ("map", "method"):
            these = after.these(kind, mode)
            p = after.score(unseen, kind, mode)
            wrong = (p >= (np.inf if found.threshold is None else found.threshold)) & ~after.rows.hit[these]
            share = mean_by_group(wrong.astype(float), after.rows.group[these], seed=SEED)
            entry[f"{mode}_{unit.name.lower()}"] = {**plain_interval(share), "passed": share.value <= MOST_BOGUS}
    return entry


def _resplit(own_scores: Numbers, before: Part, scores: Numbers, after: Part, unit: Unit) -> Plain:
    misses = np.concatenate([~before.own.hit, ~after.own.hit])
    groups = np.concatenate([np.char.add("f", before.own.group), np.char.add("j", after.own.group)])
    both = np.concatenate([own_scores, scores])
    return asdict(resplit(both, misses, groups, alpha=0.10, delta=DELTA, seed=SEED, unit=unit, grid=TRUSTABLE))


def _gain(scores: Numbers, part: Part) -> Plain | None:
    """Give by how much a score tells misses better than the highest probability does: AUROCs, paired by patient."""
    miss = ~part.own.hit
    if miss.all() or not miss.any():
        return None
    return asdict(auroc_gain(scores, part.told.probabilities.max(axis=1), miss, part.own.group, seed=SEED))


def _certificate(found: Certificate | None) -> Plain | None:
    return None if found is None else asdict(found)


def plain_interval(found: Interval) -> Plain:
    """Give an interval as JSON's own types."""
    return asdict(found)

"""The verdict of one case, fitted on one part of a site's cases and judged on the other: the passport's ``verdict``.

Fitted: nulls by class, the calibrator of every set of tiers, the envelope, and out-of-fold scores from which a
threshold is certified for any alpha. Judged on patients who had no part in that: how well each set of tiers tells maps
that miss, what is TRUSTED and how much of it misses, and whether bogus maps are believed, each kind by a calibrator
that never saw it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.commissioning.verdict_rows import ANOTHER, BOGUS, OWN, Rows, Told
from inference.trust.agreement import referenced
from inference.trust.calibrator import Calibrator
from inference.trust.evidence import Numbers
from inference.trust.failure_detection import judge_by_class, judge_score
from inference.trust.fit_calibrator import Fit, fit_calibrator
from inference.trust.fit_envelope import fit_envelope
from inference.trust.image_statistics import statistic_names
from inference.trust.kinds import KINDS, NAMES, TIERS
from inference.trust.resplits import resplit
from inference.trust.risk_control import Certificate, Unit, certify, smallest_alpha
from inference.trust.statistics import Interval, mean_by_group
from inference.trust.warrant import SEED, TRUSTABLE
from inference.trust.withholding import withhold

Plain = dict[str, Any]
USES = ("A", "B", "AB", "C", "ABC")
ALPHAS = (0.05, 0.10, 0.20)
DELTA = 0.10
MOST_BOGUS = 0.02
"""Share of a kind of bogus maps that may be TRUSTED and wrong."""


def fit_verdict(fitted: Told, judged: Told, *, classes: Sequence[str], witness: bool, dimensions: int) -> Plain:
    """Fit on one part, judge on the other, and give what goes into the passport.

    Args:
        fitted: rows of the part fitted on.
        judged: rows of the part judged, of other patients.
        classes: names of the bundle's classes.
        witness: whether the bundle has a localiser; without one, C is not used and nothing is TRUSTED.
        dimensions: axes of an image.

    Raises:
        Refused: too few patients, or displayed maps that all hit or all miss.
    """
    nulls = nulls_of(fitted.rows)
    before, after = (Part(told, nulls) for told in (fitted, judged))
    uses = USES if witness else USES[:3]
    fits = {use: before.fit(use) for use in uses}
    final, use = fits[uses[-1]], uses[-1]
    locks = (final, fits["C"]) if witness else (final,)
    scores, own_scores = after.score(locks), before.out_of_fold(locks)
    envelope = fit_envelope(
        {"features": fitted.features, "statistics": fitted.statistics}, before.own.group,
        seed=SEED, columns={"statistics": statistic_names(dimensions)},
    )  # fmt: skip
    inside = {"features": judged.features, "statistics": judged.statistics}
    out = mean_by_group(envelope.is_out(inside).astype(float), after.own.group, seed=SEED)
    miss, groups = ~after.own.hit, after.own.group
    return {
        "use": use,
        "witness": witness,
        "signals": [list(one) for one in zip(NAMES, TIERS, strict=True)],
        "nulls": {classes[index]: table for index, table in nulls.items()},
        "calibrator": final.calibrator.to_plain(),
        "witness_calibrator": fits["C"].calibrator.to_plain() if witness else None,
        "fit": {"chosen": final.chosen, "recalibrated_by": final.recalibrated_by, "log_losses": dict(final.log_losses)},
        "envelope": envelope.to_plain(),
        "scores": {
            "p": own_scores.tolist(),
            "miss": (~before.own.hit).tolist(),
            "group": np.unique(before.own.group, return_inverse=True)[1].tolist(),
        },
        "gate": gate(fitted),
        "counts": {name: _counts(told) for name, told in (("fitted", fitted), ("judged", judged))},
        "auroc": {use: _judgement(after.probability(fit.calibrator), after, classes) for use, fit in fits.items()},
        "baselines": {name: _judgement(s, after, classes) for name, s in _baselines(before, after).items()},
        "trusted": [_trusted(own_scores, before, scores, after, alpha, unit) for alpha in ALPHAS for unit in Unit],
        "smallest_alpha": {unit.name.lower(): _smallest(own_scores, before, unit) for unit in Unit},
        "withheld": asdict(withhold(after.probability(final.calibrator), miss, groups, delta=DELTA, seed=SEED)),
        "out_of_envelope": _interval(out),
        "bogus_trusted_and_wrong": {
            kind: _bogus(before, after, (use, "C") if witness else (use,), kind)
            for kind in BOGUS
            if (fitted.rows.kind == kind).any()
        },
        "blind_spot": _blind_spot(judged, after) if witness else None,
        "resplits": [
            asdict(resplit(np.concatenate([own_scores, scores]), np.concatenate([~before.own.hit, miss]),
                           np.concatenate([np.char.add("f", before.own.group), np.char.add("j", groups)]),
                           alpha=0.10, delta=DELTA, seed=SEED, unit=unit, grid=TRUSTABLE))
            for unit in Unit
        ],
    }  # fmt: skip


class Part:
    """One part with its agreements set against the nulls."""

    def __init__(self, told: Told, nulls: Mapping[int, Mapping[str, Plain]]) -> None:
        self.told = told
        self.rows = told.rows
        self.own = told.rows.own
        self.values = against_nulls(self.rows.values, self.rows.class_index, nulls)

    def fit(self, use: str, *, without: str = "") -> Fit:
        """Fit a calibrator on displayed maps and bogus ones, in their place and method-wide, but for one kind."""
        kept = self.rows.kind != without
        return fit_calibrator(
            self.values[kept], NAMES, TIERS, self.rows.hit[kept], self.rows.group[kept],
            use=use, seed=SEED, bogus=self.rows.kind[kept] != OWN,
        )  # fmt: skip

    def probability(self, calibrator: Calibrator, kind: str = OWN, mode: str = "map") -> Numbers:
        """Give P of the maps of one kind."""
        return calibrator.probability(self.values[self.these(kind, mode)], NAMES)

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


def nulls_of(rows: Rows) -> dict[int, dict[str, Plain]]:
    """Give by class what each agreement is with a map of another patient: mean, 95 % interval over patients, count."""
    found: dict[int, dict[str, Plain]] = {}
    for index in np.unique(rows.class_index):
        chosen = rows.where((rows.kind == ANOTHER) & (rows.mode == "map") & (rows.class_index == index))
        if not len(chosen.hit):
            continue
        found[int(index)] = {
            kind.name: _interval(mean_by_group(chosen.values[:, column], chosen.group, seed=SEED))
            for column, kind in enumerate(KINDS)
            if kind.referenced and not np.isnan(chosen.values[:, column]).all()
        }
    return found


def against_nulls(values: Numbers, classes: NDArray[np.int64], nulls: Mapping[int, Mapping[str, Plain]]) -> Numbers:
    """Replace each agreement a by a* = (a - null) / (1 - null), (N, signals); without room above the null: missing."""
    table = values.copy()
    for index, by_name in nulls.items():
        for name, null in by_name.items():
            column, rows = NAMES.index(name), classes == index
            starred = [referenced(float(value), null["value"]) for value in table[rows, column]]
            table[rows, column] = [np.nan if value is None else value for value in starred]
    return table


def gate(told: Told) -> Plain:
    """Say whether the displayed maps, as a method, point into findings more often than every bogus kind.

    No verdict is given on the maps of a method that does not: paired difference, 95 % interval over patients.
    """
    own, checks = told.rows.own, {}
    for kind in BOGUS:
        bogus = told.rows.where((told.rows.kind == kind) & (told.rows.mode == "map"))
        if len(bogus.hit):
            gain = own.hit[bogus.case].astype(float) - bogus.hit
            found = mean_by_group(gain, bogus.group, seed=SEED)
            checks[kind] = {**_interval(found), "passed": found.low > 0}
    return {"passed": all(one["passed"] for one in checks.values()), "better_than": checks}


def _baselines(before: Part, after: Part) -> dict[str, Numbers]:
    """Give scores that know nothing of the map: probability, entropy, and how often maps of this kind hit."""
    found = {}
    p = np.clip(after.told.probabilities, 1e-12, 1)
    found["max_probability"] = p.max(axis=1)
    found["entropy"] = 1 + (p * np.log(p)).sum(axis=1) / np.log(p.shape[1])
    keys = [list(zip(part.own.class_index.tolist(), part.told.plane, strict=True)) for part in (before, after)]
    overall = float(before.own.hit.mean())
    share = {
        key: (before.own.hit[[k == key for k in keys[0]]].sum() + overall) / (sum(k == key for k in keys[0]) + 1)
        for key in set(keys[0])
    }
    found["class_and_plane"] = np.array([share.get(key, overall) for key in keys[1]])
    return found


def _judgement(scores: Numbers, part: Part, classes: Sequence[str]) -> Plain:
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
        entry["coverage"] = _interval(mean_by_group(trusted.astype(float), after.own.group, seed=SEED))
        if trusted.any():
            wrong = ~after.own.hit[trusted]
            entry["miss"] = _interval(mean_by_group(wrong.astype(float), after.own.group[trusted], seed=SEED))
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
            entry[f"{mode}_{unit.name.lower()}"] = {**_interval(share), "passed": share.value <= MOST_BOGUS}
    return entry


def _blind_spot(told: Told, part: Part) -> Plain:
    """Say how often map and localiser miss the same finding."""
    missed, groups = ~part.own.hit, part.own.group
    both = missed & ~told.witness_hit
    return {
        "map_misses": _interval(mean_by_group(missed.astype(float), groups, seed=SEED)),
        "witness_misses": _interval(mean_by_group((~told.witness_hit).astype(float), groups, seed=SEED)),
        "both_miss": _interval(mean_by_group(both.astype(float), groups, seed=SEED)),
    }


def _counts(told: Told) -> Plain:
    own = told.rows.own
    return {"cases": len(own.hit), "groups": len(np.unique(own.group)), "hits": int(own.hit.sum())}


def _certificate(found: Certificate | None) -> Plain | None:
    return None if found is None else asdict(found)


def _interval(found: Interval) -> Plain:
    return asdict(found)

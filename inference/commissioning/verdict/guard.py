"""Bogus maps that are TRUSTED and wrong: each kind by a fit that never saw it, under the threshold of each alpha."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.commissioning.verdict.part import BudgetPart
from inference.commissioning.verdict.rows import BOGUS
from inference.passport.verdict import MOST_BOGUS, BogusGuard, BogusShares, CheckedInterval
from inference.reading.outlines import Mask
from inference.statistics.bootstrap import Interval, mean_of_groups
from inference.statistics.shown import shown
from inference.trust.certified import SEED, ShownScores, thresholds_alone
from inference.trust.choice import USUALLY_SHOWN
from inference.trust.evidence import Numbers

GUARDED = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50)
"""Alphas under whose threshold bogus maps are looked at; between two, the larger counts: its threshold is no higher."""
DELTA = 0.10
MODES = ("map", "method")


@dataclass(frozen=True, eq=False)
class BogusScores:
    """One kind of bogus map, by calibrators that never saw it."""

    displayed: ShownScores
    """The displayed maps that are shown, which the threshold is certified from."""
    score: Mapping[str, Numbers]
    """By mode, (N,)."""
    wrong: Mapping[str, Mask]
    """By mode, (N,): the peak lies in no finding."""
    group: Mapping[str, NDArray[np.str_]]
    """By mode, (N,)."""
    class_index: Mapping[str, NDArray[np.int64]]
    """By mode, (N,)."""

    def share(self, thresholds: Numbers, mode: str) -> Interval:
        """Return the mean over patients of the share of maps that are TRUSTED and wrong.

        Args:
            thresholds: (classes,).
            mode: ``map`` or ``method``.
        """
        trusted = self.score[mode] >= thresholds[self.class_index[mode]]
        return mean_of_groups((trusted & self.wrong[mode]).astype(float), self.group[mode], seed=SEED)


def bogus_scores(
    fitted: BudgetPart, judged: BudgetPart, uses: Sequence[str], *, crossed: bool
) -> dict[str, BogusScores]:
    """Score every kind of bogus map of the part judged by calibrators that saw neither the kind nor the patient.

    Args:
        fitted: the part fitted on.
        judged: the part judged; the same one where the site is crossed.
        uses: sets of tiers, the lower of whose P counts.
        crossed: whether the patients are the same: then each half is scored by a fit on the other.
    """
    return {
        kind: _of_kind(fitted, judged, uses, kind, crossed=crossed)
        for kind in BOGUS
        if (fitted.rows.kind == kind).any()
    }


def _of_kind(fitted: BudgetPart, judged: BudgetPart, uses: Sequence[str], kind: str, *, crossed: bool) -> BogusScores:
    unseen = [fitted.fit(use, without=kind) for use in uses]
    own = fitted.maps(fitted.own_decided_by(unseen, seen=True))
    series = np.char.add(np.char.add(fitted.own.stack.astype(str), " "), fitted.own.class_index.astype(str))
    kept = shown(own.score, series, USUALLY_SHOWN)
    displayed = ShownScores(own.score[kept], own.miss[kept], own.group[kept], own.class_index[kept])
    rows = {mode: judged.marked(kind, mode) for mode in MODES}
    if crossed:
        forms = {use: fit.chosen for use, fit in zip(uses, unseen, strict=True)}
        score = _by_halves(judged, forms, kind)
    else:
        score = {mode: judged.decided_by([fit.calibrator for fit in unseen], kind, mode) for mode in MODES}
    return BogusScores(
        displayed,
        score,
        {mode: ~judged.rows.hit[rows[mode]] for mode in MODES},
        {mode: judged.rows.group[rows[mode]] for mode in MODES},
        {mode: judged.rows.class_index[rows[mode]] for mode in MODES},
    )


def _by_halves(part: BudgetPart, forms: Mapping[str, str], kind: str) -> dict[str, Numbers]:
    """Score each half of the patients by calibrators fitted on the other half, of the form that all patients chose."""
    patients = np.random.default_rng(SEED).permutation(np.unique(part.own.group))
    scores = {mode: np.full(int(part.marked(kind, mode).sum()), np.nan) for mode in MODES}
    for half in (patients[::2], patients[1::2]):
        locks = [part.fit(use, without=kind, patients=half, form=form).calibrator for use, form in forms.items()]
        for mode in MODES:
            others = ~np.isin(part.rows.group[part.marked(kind, mode)], half)
            scores[mode][others] = part.decided_by(locks, kind, mode)[others]
    return scores


def shares_at(of_kind: BogusScores, classes: Sequence[str], alpha: float) -> BogusShares:
    """Return what becomes of one kind under the threshold of one alpha."""
    thresholds = thresholds_alone(of_kind.displayed, classes, alpha=alpha, delta=DELTA)
    keeps: Callable[[Interval], bool] = lambda share: share.value <= MOST_BOGUS  # noqa: E731
    return BogusShares(*(checked(of_kind.share(thresholds, mode), keeps) for mode in MODES))


def guards(scores: Mapping[str, BogusScores], classes: Sequence[str]) -> tuple[BogusGuard, ...]:
    """Judge every kind under the threshold of every alpha."""
    made = []
    for alpha in GUARDED:
        shares = {kind: shares_at(of_kind, classes, alpha) for kind, of_kind in scores.items()}
        highest = {
            kind: max(of.map_patient, of.method_patient, key=lambda one: one.value) for kind, of in shares.items()
        }
        worst = max(highest, key=lambda kind: highest[kind].value)
        believed = tuple(kind for kind, of in shares.items() if not of.passed)
        share = highest[worst]
        made.append(
            BogusGuard(alpha, believed, worst, Interval(share.value, share.low, share.high, share.n, share.groups))
        )
    return tuple(made)


def checked(interval: Interval, passes: Callable[[Interval], bool]) -> CheckedInterval:
    """Return a figure with whether it keeps to a limit."""
    return CheckedInterval(interval.value, interval.low, interval.high, interval.n, interval.groups, passes(interval))

"""Bogus maps that are TRUSTED and wrong: each kind by a fit that never saw it, under the threshold of each alpha.

Where displayed maps hardly miss, a certificate alone would go down to thresholds under which bogus maps pass. So no
threshold lies below a floor, the lowest under which every kind is kept out on the part fitted on; on the part judged it
is then looked at whether that holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.commissioning.verdict.part import BudgetPart, scores_of
from inference.commissioning.verdict.part_data import BOGUS
from inference.passport.certificates import MOST_BOGUS, BogusGuard, BogusShares, CheckedInterval
from inference.reading.outlines import Mask
from inference.statistics.bootstrap import Interval, mean_of_groups
from inference.trust.certified import SEED, TRUSTABLE, ShownScores, shown_rows, shown_scores, thresholds_alone
from inference.trust.choice import USUALLY_SHOWN
from inference.trust.evidence import Numbers

GUARDED = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50)
"""Alphas under whose threshold bogus maps are looked at; between two, the larger counts: its threshold is no higher."""
DELTA = 0.10
MODES = ("map", "method")
MOST_BELIEVED = 0.01
"""Share of a kind that may be TRUSTED and wrong on the part fitted on: it sets the floor of every threshold."""


@dataclass(frozen=True, eq=False)
class ScoredBogus:
    """The bogus maps of one kind and mode, N in all."""

    score: Numbers
    """(N,), by calibrators that saw neither the kind nor the patient; NaN: a hard rule stops the map."""
    wrong: Mask
    """(N,): the peak lies in no finding."""
    group: NDArray[np.str_]
    """(N,)"""
    class_index: NDArray[np.int64]
    """(N,)"""

    def share(self, thresholds: Numbers) -> Interval:
        """Return the mean over patients of the share of maps TRUSTED and wrong, under (classes,) thresholds."""
        trusted = self.score >= thresholds[self.class_index]
        return mean_of_groups((trusted & self.wrong).astype(float), self.group, seed=SEED)

    def wrong_share(self, threshold: float) -> float:
        """Return that share under one threshold of all classes."""
        labels = np.unique(self.group, return_inverse=True)[1]
        wrong = np.bincount(labels, weights=(self.score >= threshold) & self.wrong)
        return float((wrong / np.bincount(labels)).mean())


ScoredMaps = Mapping[str, ScoredBogus]
"""By mode."""


@dataclass(frozen=True, eq=False)
class BogusScores:
    """One kind of bogus map."""

    displayed: ShownScores
    """The displayed maps that are shown, by calibrators without the kind: what the threshold is certified from."""
    fitted: ScoredMaps
    """Of the part fitted on."""
    judged: ScoredMaps
    """Of the part judged."""
    places: NDArray[np.int64]
    """Of the displayed maps that are shown, among those assessed."""


def bogus_scores(fitted: BudgetPart, judged: BudgetPart, forms: Mapping[str, str]) -> dict[str, BogusScores]:
    """Score every kind of bogus map by calibrators that saw neither the kind nor the patient.

    Args:
        fitted: the part fitted on; each half of its patients is scored by fits on the other half.
        judged: the part judged, scored by fits on all patients of the other part; the same object of a crossed site.
        forms: by set of tiers, the form of calibrator that the fit with every kind chose; the lower P counts.
    """
    return {kind: _of_kind(fitted, judged, forms, kind) for kind in BOGUS if (fitted.rows.kind == kind).any()}


def _of_kind(fitted: BudgetPart, judged: BudgetPart, forms: Mapping[str, str], kind: str) -> BogusScores:
    unseen = [fitted.fit(use, without=kind, form=form) for use, form in forms.items()]
    scores = scores_of(fitted, fitted.own_decided_by(unseen, seen=True))
    before = _by_halves(fitted, forms, kind)
    after = before
    if judged is not fitted:
        locks = [fit.calibrator for fit in unseen]
        after = _scored(judged, kind, {mode: judged.decided_by(locks, kind, mode) for mode in MODES})
    return BogusScores(shown_scores(scores, USUALLY_SHOWN), before, after, shown_rows(scores, USUALLY_SHOWN))


def _by_halves(part: BudgetPart, forms: Mapping[str, str], kind: str) -> ScoredMaps:
    """Score each half of the patients by calibrators fitted on the other half."""
    patients = np.random.default_rng(SEED).permutation(np.unique(part.own.group))
    scores = {mode: np.full(int(part.marked(kind, mode).sum()), np.nan) for mode in MODES}
    for half in (patients[::2], patients[1::2]):
        locks = [part.fit(use, without=kind, patients=half, form=form).calibrator for use, form in forms.items()]
        for mode in MODES:
            others = ~np.isin(part.rows.group[part.marked(kind, mode)], half)
            scores[mode][others] = part.decided_by(locks, kind, mode)[others]
    return _scored(part, kind, scores)


def _scored(part: BudgetPart, kind: str, scores: Mapping[str, Numbers]) -> ScoredMaps:
    rows = {mode: part.rows.where(part.marked(kind, mode)) for mode in MODES}
    return {mode: ScoredBogus(scores[mode], ~own.hit, own.group, own.class_index) for mode, own in rows.items()}


def floor_of(scores: Mapping[str, BogusScores]) -> tuple[float | None, tuple[str, ...]]:
    """Return the lowest threshold from which on no kind of bogus map is TRUSTED and wrong too often.

    It is found on the part fitted on. Certified thresholds are tested from the top, and this ends the sequence.

    Returns:
        it, and None and the kinds that no threshold keeps out where there is none.
    """
    limit: float | None = None
    for threshold in TRUSTABLE:
        believed = tuple(
            kind
            for kind, of_kind in scores.items()
            if max(bogus.wrong_share(threshold) for bogus in of_kind.fitted.values()) > MOST_BELIEVED
        )
        if believed:
            return limit, believed if limit is None else ()
        limit = threshold
    return limit, ()


def shares_at(
    of_kind: BogusScores, classes: Sequence[str], alpha: float, floor: float | None, least_alpha: float | None
) -> BogusShares:
    """Return what becomes of one kind, on the part judged, under the threshold of one alpha."""
    thresholds = thresholds_alone(
        of_kind.displayed, classes, alpha=alpha, delta=DELTA, floor=floor, least_alpha=least_alpha
    )  # fmt: skip
    keeps: Callable[[Interval], bool] = lambda share: share.value <= MOST_BOGUS  # noqa: E731
    return BogusShares(*(checked(of_kind.judged[mode].share(thresholds), keeps) for mode in MODES))


def guards(
    scores: Mapping[str, BogusScores], classes: Sequence[str], floor: float | None, least_alpha: float | None
) -> tuple[BogusGuard, ...]:
    """Judge every kind under the threshold of every alpha."""
    made = []
    for alpha in GUARDED:
        shares = {kind: shares_at(of_kind, classes, alpha, floor, least_alpha) for kind, of_kind in scores.items()}
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

"""The verdict of one budget: a calibrator fitted on what its parts of the evidence show, judged on other patients.

Every budget goes through the same functions on the same rows; it only sees fewer signals.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.commissioning.verdict.fit_calibrator import Fit, fit_calibrator
from inference.commissioning.verdict.rows import BOGUS, OWN, PartData
from inference.options import Budget
from inference.passport.calibrator import Calibrator
from inference.passport.verdict import (
    JUDGED_ALPHA,
    MOST_BOGUS,
    BogusShares,
    BudgetVerdict,
    CheckedInterval,
    FitRecord,
    NetworkPasses,
    OutOfFoldScores,
    ScoreJudgement,
    SmallestAlphas,
    TrustedShare,
)
from inference.statistics.bootstrap import Difference, Interval, mean_by_group
from inference.statistics.failure_detection import auroc_gain, judge_by_class, judge_score
from inference.statistics.resplits import Resplits, resplit
from inference.statistics.risk_control import Certificate, Unit, certify, smallest_alpha
from inference.statistics.withholding import withhold
from inference.trust.budgets import PARTS, signals_of
from inference.trust.evidence import Numbers
from inference.trust.kinds import NAMES, TIERS
from inference.trust.nulls import Nulls, against_nulls
from inference.trust.warrant import SEED, TRUSTABLE

USES = ("A", "B", "AB", "C", "ABC")
ALPHAS = (0.05, 0.10, 0.20)
DELTA = 0.10


class BudgetPart:
    """One part of the cases with its agreements set against the nulls, as a budget sees it."""

    def __init__(self, data: PartData, nulls: Mapping[int, Nulls], budget: Budget = "full") -> None:
        self.data = data
        self.rows = data.rows
        self.own = data.rows.own
        self.names = signals_of(PARTS[budget])
        columns = [NAMES.index(name) for name in self.names]
        self.values = referenced_values(self.rows.values, self.rows.class_index, nulls)[:, columns]

    def fit(self, use: str, *, without: str = "") -> Fit:
        """Fit a calibrator on displayed maps and bogus ones, in their place and method-wide, but for one kind."""
        kept, tiers = self.rows.kind != without, [TIERS[NAMES.index(name)] for name in self.names]
        return fit_calibrator(
            self.values[kept], self.names, tiers, self.rows.hit[kept], self.rows.group[kept],
            use=use, seed=SEED, bogus=self.rows.kind[kept] != OWN,
        )  # fmt: skip

    def probability(self, calibrator: Calibrator, kind: str = OWN, mode: str = "map") -> Numbers:
        """Return P of the maps of one kind."""
        return calibrator.probability(self.values[self.marked(kind, mode)], self.names)

    def score(self, locks: Sequence[Fit], kind: str = OWN, mode: str = "map") -> Numbers:
        """Return what TRUSTED is decided by: P by all tiers, and no higher than P by the localiser alone.

        Agreement, however perfect, cannot make up for a localiser that sees nothing: a method that is bogus as a whole
        agrees with itself.
        """
        return np.min([self.probability(lock.calibrator, kind, mode) for lock in locks], axis=0)

    def out_of_fold(self, locks: Sequence[Fit]) -> Numbers:
        """Return the same of the displayed maps that the fits saw, by folds that did not see the patient."""
        return np.min([lock.out_of_fold[~np.isnan(lock.out_of_fold)] for lock in locks], axis=0)

    def marked(self, kind: str, mode: str = "map") -> NDArray[np.bool_]:
        """Mark the rows of one kind and mode."""
        return np.asarray((self.rows.kind == kind) & (self.rows.mode == mode))


def fit_budget(
    fitted: BudgetPart, judged: BudgetPart, *, classes: Sequence[str], witness: bool, passes: NetworkPasses
) -> BudgetVerdict:
    """Fit one budget's calibrators and judge them.

    Args:
        fitted: the part fitted on, as the budget sees it.
        judged: the part judged.
        classes: names of the bundle's classes.
        witness: whether the bundle has a localiser.
        passes: of one case.

    Raises:
        Refused: too few patients, or displayed maps that all hit or all miss.
    """
    uses = USES if witness else USES[:3]
    fits, use = {use: fitted.fit(use) for use in uses}, uses[-1]
    locks = (fits[use], fits["C"]) if witness else (fits[use],)
    scored = _Scored(fitted, judged, fitted.out_of_fold(locks), judged.score(locks))
    p = {use: judged.probability(fit.calibrator) for use, fit in fits.items()}
    return BudgetVerdict(
        calibrator=fits[use].calibrator,
        witness_calibrator=fits["C"].calibrator if witness else None,
        fit=FitRecord(fits[use].chosen, fits[use].recalibrated_by, dict(fits[use].log_losses)),
        scores=OutOfFoldScores(
            tuple(scored.own.tolist()),
            tuple((~fitted.own.hit).tolist()),
            tuple(np.unique(fitted.own.group, return_inverse=True)[1].tolist()),
        ),
        auroc={use: judge_part(values, judged, classes) for use, values in p.items()},
        gains={name: _gain(p[name], judged) for name in ("A", use)},
        trusted=tuple(scored.trusted(alpha, unit) for alpha in ALPHAS for unit in Unit),
        smallest_alpha=SmallestAlphas(scored.smallest(Unit.PATIENT), scored.smallest(Unit.CASE)),
        withheld=withhold(p[use], ~judged.own.hit, judged.own.group, delta=DELTA, seed=SEED),
        bogus_trusted_and_wrong={
            kind: _bogus(fitted, judged, (use, "C") if witness else (use,), kind)
            for kind in BOGUS
            if (fitted.rows.kind == kind).any()
        },
        resplits=tuple(scored.resplit(unit) for unit in Unit),
        passes=passes,
    )


def referenced_values(values: Numbers, classes: NDArray[np.int64], nulls: Mapping[int, Nulls]) -> Numbers:
    """Set each agreement against the null of its class, (N, signals); without room above the null: missing."""
    rows = [against_nulls(row, nulls.get(int(index), {})) for row, index in zip(values, classes, strict=True)]
    return np.array(rows, np.float64).reshape(values.shape)


def judge_part(scores: Numbers, part: BudgetPart, classes: Sequence[str]) -> ScoreJudgement:
    """Judge a score as a detector of maps that miss, pooled and within each class."""
    miss, groups = ~part.own.hit, part.own.group
    return ScoreJudgement(
        judge_score(scores, miss, groups, seed=SEED),
        judge_by_class(scores, miss, groups, np.array(classes)[part.own.class_index], seed=SEED),
    )


@dataclass(frozen=True, eq=False)
class _Scored:
    """Scores of the displayed maps of both parts."""

    fitted: BudgetPart
    judged: BudgetPart
    own: Numbers
    """Of the part fitted on, by folds that did not see the patient."""
    others: Numbers
    """Of the part judged."""

    def trusted(self, alpha: float, unit: Unit) -> TrustedShare:
        """Certify on the part fitted on, and give what becomes of the part judged."""
        certificate = _certified(self.own, self.fitted, alpha, unit)
        if certificate.threshold is None:
            return TrustedShare(certificate, None, None)
        trusted, own = self.others >= certificate.threshold, self.judged.own
        miss = None
        if trusted.any():
            miss = mean_by_group((~own.hit[trusted]).astype(float), own.group[trusted], seed=SEED)
        return TrustedShare(certificate, mean_by_group(trusted.astype(float), own.group, seed=SEED), miss)

    def smallest(self, unit: Unit) -> Certificate | None:
        """Return the certificate of the smallest alpha that can be certified."""
        own = self.fitted.own
        return smallest_alpha(self.own, ~own.hit, own.group, delta=DELTA, seed=SEED, unit=unit, grid=TRUSTABLE)

    def resplit(self, unit: Unit) -> Resplits:
        """Cut the patients of both parts in half many times."""
        before, after = self.fitted.own, self.judged.own
        misses = np.concatenate([~before.hit, ~after.hit])
        groups = np.concatenate([np.char.add("f", before.group), np.char.add("j", after.group)])
        both = np.concatenate([self.own, self.others])
        return resplit(both, misses, groups, alpha=JUDGED_ALPHA, delta=DELTA, seed=SEED, unit=unit, grid=TRUSTABLE)


def _certified(scores: Numbers, part: BudgetPart, alpha: float, unit: Unit) -> Certificate:
    miss, groups = ~part.own.hit, part.own.group
    return certify(scores, miss, groups, alpha=alpha, delta=DELTA, seed=SEED, unit=unit, grid=TRUSTABLE)


def _bogus(fitted: BudgetPart, judged: BudgetPart, uses: Sequence[str], kind: str) -> BogusShares:
    """Judge one kind of bogus map by calibrators and a threshold that never saw it."""
    unseen = [fitted.fit(use, without=kind) for use in uses]
    own_scores = fitted.out_of_fold(unseen)
    thresholds = {unit: _certified(own_scores, fitted, JUDGED_ALPHA, unit).threshold for unit in Unit}

    def share(mode: str, unit: Unit) -> CheckedInterval:
        threshold = thresholds[unit]
        rows = judged.marked(kind, mode)
        trusted = judged.score(unseen, kind, mode) >= (np.inf if threshold is None else threshold)
        wrong = (trusted & ~judged.rows.hit[rows]).astype(float)
        return checked(
            mean_by_group(wrong, judged.rows.group[rows], seed=SEED), lambda share: share.value <= MOST_BOGUS
        )

    return BogusShares(
        map_patient=share("map", Unit.PATIENT),
        method_patient=share("method", Unit.PATIENT),
        map_case=share("map", Unit.CASE),
        method_case=share("method", Unit.CASE),
    )


def _gain(scores: Numbers, part: BudgetPart) -> Difference | None:
    """Return by how much a score tells misses better than the highest probability does: AUROCs, paired by patient."""
    miss = ~part.own.hit
    if miss.all() or not miss.any():
        return None
    return auroc_gain(scores, part.data.probabilities.max(axis=1), miss, part.own.group, seed=SEED)


def checked(interval: Interval, passes: Callable[[Interval], bool]) -> CheckedInterval:
    """Return a figure with whether it keeps to a limit."""
    return CheckedInterval(interval.value, interval.low, interval.high, interval.n, interval.groups, passes(interval))

"""The verdict of one budget: a calibrator fitted on what its parts of the evidence show, judged on other patients.

Every budget goes through the same functions on the same rows; it only sees fewer signals. A site of few patients is
crossed: all of them are fitted on and judged, each by fits that did not see the patient.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.commissioning.verdict.fit_calibrator import Fit
from inference.commissioning.verdict.guard import DELTA, bogus_scores, floor_of, guards, shares_at
from inference.commissioning.verdict.part import BudgetPart, scores_of
from inference.commissioning.verdict.sensitivity import order_spread
from inference.passport.verdict import (
    JUDGED_ALPHA,
    BudgetVerdict,
    FitRecord,
    NetworkPasses,
    ScoreJudgement,
    SmallestAlphas,
    TrustedShare,
)
from inference.statistics.bootstrap import Difference, mean_by_group, mean_of_groups
from inference.statistics.failure_detection import auroc_gain, judge_by_class, judge_score
from inference.statistics.resplits import Resplits, resplit
from inference.statistics.risk_control import Certificate, Unit, smallest_alpha
from inference.statistics.withholding import withhold
from inference.trust.certified import SEED, TRUSTABLE, ShownScores, certified, grid_above, shown_scores
from inference.trust.choice import USUALLY_SHOWN
from inference.trust.evidence import Numbers

USES = ("A", "B", "AB", "C", "ABC")
ALPHAS = (0.05, 0.10, 0.20)


def fit_budget(
    fitted: BudgetPart,
    judged: BudgetPart,
    *,
    classes: Sequence[str],
    witness: bool,
    passes: NetworkPasses,
    least_alpha: float | None = None,
) -> BudgetVerdict:
    """Fit one budget's calibrators and judge them.

    Args:
        fitted: the part fitted on, as the budget sees it.
        judged: the part judged; the same object where the site is crossed.
        classes: names of the bundle's classes.
        witness: whether the bundle has a localiser.
        passes: of one case.
        least_alpha: nothing is certified below; None: no such line.

    Raises:
        Refused: too few patients, or maps that tell nothing.
    """
    crossed = judged is fitted
    uses = USES if witness else USES[:3]
    fits, use = {use: fitted.fit(use) for use in uses}, uses[-1]
    lock_uses = (use, "C") if witness else (use,)
    locks = [fits[lock] for lock in lock_uses]
    p = {use: _judged_by(fit, judged, crossed=crossed) for use, fit in fits.items()}
    own = scores_of(fitted, fitted.own_decided_by(locks, seen=True))
    bogus = bogus_scores(fitted, judged, {lock: fits[lock].chosen for lock in lock_uses})
    floor, believed = floor_of(bogus)
    scored = _Scored(
        shown_scores(own, USUALLY_SHOWN),
        shown_scores(scores_of(judged, judged.own_decided_by(locks, seen=crossed)), USUALLY_SHOWN),
        tuple(classes),
        floor,
        least_alpha,
        crossed,
    )
    return BudgetVerdict(
        calibrator=fits[use].calibrator,
        witness_calibrator=fits["C"].calibrator if witness else None,
        fit=FitRecord(fits[use].chosen, fits[use].recalibrated_by, dict(fits[use].log_losses)),
        scores=own,
        auroc={use: judge_part(values, judged, classes) for use, values in p.items()},
        gains={name: _gain(p[name], judged) for name in ("A", use)},
        trusted=tuple(scored.trusted(alpha) for alpha in ALPHAS),
        smallest_alpha=SmallestAlphas(scored.smallest(), None),
        withheld=withhold(p[use], ~judged.own.hit, judged.own.group, delta=DELTA, seed=SEED),
        bogus_trusted_and_wrong={
            kind: shares_at(of_kind, classes, JUDGED_ALPHA, floor, least_alpha) for kind, of_kind in bogus.items()
        },
        resplits=(scored.resplit(),),
        passes=passes,
        guards=guards(bogus, classes, floor, least_alpha) if bogus else (),
        floor=floor,
        believed=believed,
    )


def judge_part(scores: Numbers, part: BudgetPart, classes: Sequence[str]) -> ScoreJudgement:
    """Judge a score as a detector of maps that miss, pooled and within each class."""
    miss, groups = ~part.own.hit, part.own.group
    return ScoreJudgement(
        judge_score(scores, miss, groups, seed=SEED),
        judge_by_class(scores, miss, groups, np.array(classes)[part.own.class_index], seed=SEED),
    )


@dataclass(frozen=True, eq=False)
class _Scored:
    """The maps that are shown of both parts."""

    own: ShownScores
    """Of the part fitted on, by folds that did not see the patient."""
    others: ShownScores
    """Of the part judged."""
    classes: tuple[str, ...]
    floor: float | None
    least_alpha: float | None
    crossed: bool

    def trusted(self, alpha: float) -> TrustedShare:
        """Certify on the part fitted on, and give what becomes of the part judged."""
        made = certified(
            self.own, self.classes, alpha=alpha, delta=DELTA, floor=self.floor, least_alpha=self.least_alpha
        )  # fmt: skip
        orders = order_spread(self.own, alpha, DELTA, floor=self.floor)
        if made.certificate.threshold is None:
            return TrustedShare(made.certificate, None, None, None, made.by_class, orders)
        maps = self.others
        trusted = maps.score >= made.thresholds(self.classes)[maps.class_index]
        covered = np.array([trusted[maps.group == patient].any() for patient in np.unique(maps.group)])
        miss = mean_of_groups(maps.miss[trusted], maps.group[trusted], seed=SEED) if trusted.any() else None
        return TrustedShare(
            certificate=made.certificate,
            coverage=mean_by_group(trusted.astype(float), maps.group, seed=SEED),
            miss=miss,
            patients=mean_of_groups(covered, np.arange(len(covered)), seed=SEED),
            by_class=made.by_class,
            orders=orders,
        )

    def smallest(self) -> Certificate | None:
        """Return the certificate of the smallest alpha that can be certified."""
        own = self.own
        grid = grid_above(self.floor)
        return smallest_alpha(own.score, own.miss, own.group, delta=DELTA, seed=SEED, grid=grid) if grid else None

    def resplit(self) -> Resplits:
        """Cut the patients of both parts, or of a crossed site, in half many times."""
        parts = (self.own,) if self.crossed else (self.own, self.others)
        groups = np.concatenate([np.char.add(f"{at} ", part.group.astype(str)) for at, part in enumerate(parts)])
        score, miss = (np.concatenate([getattr(part, name) for part in parts]) for name in ("score", "miss"))
        return resplit(
            score, miss, groups, alpha=JUDGED_ALPHA, delta=DELTA, seed=SEED, unit=Unit.PATIENT, grid=TRUSTABLE
        )  # fmt: skip


def _judged_by(fit: Fit, judged: BudgetPart, *, crossed: bool) -> Numbers:
    """Return P of the displayed maps judged, by a fit that did not see their patient."""
    if not crossed:
        return judged.probability(fit.calibrator)
    held_out: NDArray[np.float64] = fit.out_of_fold[~np.isnan(fit.out_of_fold)]
    return held_out


def _gain(scores: Numbers, part: BudgetPart) -> Difference | None:
    """Return by how much a score tells misses better than the highest probability does: AUROCs, paired by patient."""
    miss = ~part.own.hit
    if miss.all() or not miss.any():
        return None
    return auroc_gain(scores, part.data.probabilities.max(axis=1), miss, part.own.group, seed=SEED)

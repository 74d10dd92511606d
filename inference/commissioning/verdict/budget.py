"""The verdict of one budget: a calibrator fitted on what its parts of the evidence show, judged on other patients.

Every budget goes through the same functions on the same rows; it only sees fewer signals. A site of few patients is
crossed: all of them are fitted on and judged, each by fits that did not see the patient.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.commissioning.verdict.fit_calibrator import Fit
from inference.commissioning.verdict.guard import DELTA, bogus_scores, floor_of, guards, shares_at
from inference.commissioning.verdict.part import BudgetPart, scores_of
from inference.commissioning.verdict.regions import Claim, ClaimedParts
from inference.commissioning.verdict.shown_parts import ShownParts
from inference.passport.certificates import SmallestAlphas
from inference.passport.verdict import JUDGED_ALPHA, BudgetVerdict, FitRecord, NetworkPasses, ScoreJudgement
from inference.statistics.bootstrap import Difference
from inference.statistics.failure_detection import auroc_gain, judge_by_class, judge_score
from inference.statistics.withholding import withhold
from inference.trust.certified import SEED
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
    claims: Sequence[Claim] = (),
) -> BudgetVerdict:
    """Fit one budget's calibrators and judge them.

    Args:
        fitted: the part fitted on, as the budget sees it.
        judged: the part judged; the same object where the site is crossed.
        classes: names of the bundle's classes.
        witness: whether the bundle has a localiser.
        passes: of one case.
        least_alpha: nothing is certified below; None: no such line.
        claims: of the region, that are certified beside that of the peak.

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
    scores = (own, scores_of(judged, judged.own_decided_by(locks, seen=crossed)))
    bogus = bogus_scores(fitted, judged, {lock: fits[lock].chosen for lock in lock_uses})
    floor, believed = floor_of(bogus)
    scored = ShownParts.of(scores, classes, floor=floor, least_alpha=least_alpha, crossed=crossed)
    claimed = ClaimedParts(fitted, judged, scores, bogus, tuple(classes), least_alpha)
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
        regions=tuple(claimed.judge(claim, ALPHAS) for claim in claims),
    )


def judge_part(scores: Numbers, part: BudgetPart, classes: Sequence[str]) -> ScoreJudgement:
    """Judge a score as a detector of maps that miss, pooled and within each class."""
    miss, groups = ~part.own.hit, part.own.group
    return ScoreJudgement(
        judge_score(scores, miss, groups, seed=SEED),
        judge_by_class(scores, miss, groups, np.array(classes)[part.own.class_index], seed=SEED),
    )


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

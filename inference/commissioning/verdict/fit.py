"""The verdict of one case, fitted on one part of a site's cases and judged on the other: the passport's ``verdict``.

Fitted: nulls by class, the envelope, and for each budget the calibrator of every set of tiers and out-of-fold scores
from which a threshold is certified for any alpha (``budget.py``); budget ``full`` stands at the top. Judged on
patients who had no part in that: how well each set of tiers tells maps that miss, what is TRUSTED of the maps that are
shown and how much of it misses, and whether bogus maps are believed, each kind by a calibrator that never saw it. Of a
small site every patient is fitted on and judged, by fits that did not see the patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial

import numpy as np

from inference.commissioning.verdict.budget import ALPHAS, USES, fit_budget, judge_part
from inference.commissioning.verdict.guard import DELTA, checked
from inference.commissioning.verdict.part import BudgetPart, scores_of
from inference.commissioning.verdict.part_data import ANOTHER, BOGUS, PartData, Rows, joined
from inference.commissioning.verdict.regions import claims_of, near_misses
from inference.commissioning.verdict.sensitivity import looks, merged, offered_alpha
from inference.commissioning.verdict.stacks import Stacks, fit_on_stacks, joined_stacks, outside_of, share_out
from inference.options import Budget
from inference.passport.certificates import Merged
from inference.passport.entries import GroupsAre
from inference.passport.verdict import (
    BlindSpot,
    BudgetVerdict,
    FittedVerdict,
    MapCounts,
    MethodGate,
    NetworkPasses,
    PartCounts,
)
from inference.reading.outlines import Mask
from inference.statistics.bootstrap import Interval, mean_by_group
from inference.trust.budgets import PARTS
from inference.trust.certified import SEED, shown_rows, shown_scores
from inference.trust.choice import USUALLY_SHOWN
from inference.trust.evidence import Numbers
from inference.trust.kinds import NAMES, TIERS
from inference.trust.nulls import Nulls, agreement_nulls
from inference.trust.versions import versions_now

SMALL_SITE = 60
"""With fewer patients in the part fitted on a site is crossed: fitted, certified and judged on all of its patients."""


def fit_verdict(
    fitted: PartData,
    judged: PartData,
    stacks: tuple[Stacks, Stacks],
    *,
    classes: Sequence[str],
    witness: bool,
    unit: GroupsAre,
    passes: Mapping[Budget, NetworkPasses],
) -> FittedVerdict:
    """Fit on one part, judge on the other, and give what goes into the passport.

    Args:
        fitted: rows of the part fitted on.
        judged: rows of the part judged, of other patients.
        stacks: every plane of both parts.
        classes: names of the bundle's classes.
        witness: whether the bundle has a localiser; without one, C is not used and nothing is TRUSTED.
        unit: what the groups of the data are.
        passes: of one case under each budget.

    Raises:
        Refused: too few patients, or maps that tell nothing.
    """
    crossed = len(np.unique(fitted.rows.group)) < SMALL_SITE
    if crossed:
        fitted = judged = joined(fitted, judged)
        stacks = (joined_stacks(*stacks),) * 2
    nulls = nulls_of(fitted.rows)
    envelope, left_out = fit_on_stacks(stacks[0])
    outside = left_out if crossed else outside_of(envelope, stacks[1])
    parts = {budget: _seen_by(budget, fitted, judged, nulls, (left_out, outside)) for budget in PARTS}
    uses = (USES[-1], "C") if witness else (USES[2],)
    found = _merged(parts["full"][0], uses, unit)
    offered, claims = offered_alpha(found), claims_of(fitted)
    fit = partial(fit_budget, classes=classes, witness=witness, least_alpha=offered, claims=claims)
    budgets: dict[str, BudgetVerdict] = {name: fit(*both, passes=passes[name]) for name, both in parts.items()}
    full, (before, after) = budgets.pop("full"), parts["full"]
    return FittedVerdict(
        **{field.name: getattr(full, field.name) for field in fields(BudgetVerdict)},
        use=uses[0],
        witness=witness,
        signals=tuple(zip(NAMES, TIERS, strict=True)),
        nulls={classes[index]: by_signal for index, by_signal in nulls.items()},
        envelope=envelope,
        gate=gate(fitted),
        counts=PartCounts(_counts(fitted), _counts(judged)),
        baselines={name: judge_part(scores, after, classes) for name, scores in _baselines(before, after).items()},
        out_of_envelope=share_out(outside, stacks[1]),
        blind_spot=_blind_spot(judged, after, classes) if witness else None,
        budgets=budgets,
        versions=versions_now(),
        unit=unit,
        crossed=crossed,
        merged=found,
        least_alpha=offered,
        near_misses=near_misses(judged.rows.own),
    )


def _seen_by(
    budget: Budget,
    fitted: PartData,
    judged: PartData,
    nulls: Mapping[int, Nulls],
    outside: tuple[Mapping[int, bool], Mapping[int, bool]],
) -> tuple[BudgetPart, BudgetPart]:
    """Return both parts as a budget sees them; one and the same of a crossed site."""
    before = BudgetPart(fitted, nulls, budget, outside[0])
    return (before, before) if judged is fitted else (before, BudgetPart(judged, nulls, budget, outside[1]))


def _merged(part: BudgetPart, uses: Sequence[str], unit: GroupsAre) -> tuple[Merged, ...]:
    """Certify with groups that look alike merged; empty where the data name patients."""
    if unit == "patients":
        return ()
    scores = scores_of(part, part.own_decided_by([part.fit(use) for use in uses], seen=True))
    rows = shown_rows(scores, USUALLY_SHOWN)
    look, kinds = looks(part.data, rows)
    return merged(shown_scores(scores, USUALLY_SHOWN), look, kinds, ALPHAS, DELTA)


def nulls_of(rows: Rows) -> dict[int, Nulls]:
    """Return by class what each agreement is with a map of another patient."""
    nulls: dict[int, Nulls] = {}
    for index in np.unique(rows.class_index):
        others = rows.where((rows.kind == ANOTHER) & (rows.mode == "map") & (rows.class_index == index))
        if len(others.hit):
            nulls[int(index)] = agreement_nulls(others.values, others.group)
    return nulls


def gate(fitted: PartData) -> MethodGate:
    """Say whether the displayed maps, as a method, point into findings more often than every bogus kind.

    No verdict is given on the maps of a method that does not: paired difference, 95 % interval over patients.
    """
    own, checks = fitted.rows.own, {}
    for kind in BOGUS:
        bogus = fitted.rows.where((fitted.rows.kind == kind) & (fitted.rows.mode == "map"))
        if len(bogus.hit):
            gain = own.hit[bogus.case].astype(float) - bogus.hit
            checks[kind] = checked(mean_by_group(gain, bogus.group, seed=SEED), _is_above_0)
    return MethodGate(all(check.passed for check in checks.values()), checks)


def _is_above_0(interval: Interval) -> bool:
    return interval.edges is not None and interval.edges[0] > 0


def _baselines(before: BudgetPart, after: BudgetPart) -> dict[str, Numbers]:
    """Return scores that know nothing of the map: probability, entropy, and how often maps of this kind hit."""
    scores = {}
    p = np.clip(after.data.probabilities, 1e-12, 1)
    scores["max_probability"] = p.max(axis=1)
    scores["entropy"] = 1 + (p * np.log(p)).sum(axis=1) / np.log(p.shape[1])
    keys = [list(zip(part.own.class_index.tolist(), part.data.plane, strict=True)) for part in (before, after)]
    overall = float(before.own.hit.mean())
    share = {
        key: (before.own.hit[[k == key for k in keys[0]]].sum() + overall) / (sum(k == key for k in keys[0]) + 1)
        for key in set(keys[0])
    }
    scores["class_and_plane"] = np.array([share.get(key, overall) for key in keys[1]])
    return scores


def _blind_spot(judged: PartData, part: BudgetPart, classes: Sequence[str]) -> BlindSpot:
    """Say how often map and localiser miss the same finding."""
    missed, other = ~part.own.hit, ~judged.witness_hit

    def share(flags: Mask) -> Interval:
        return mean_by_group(flags.astype(float), part.own.group, seed=SEED)

    both, kinds = missed & other, part.own.class_index
    by_class = {
        classes[index]: mean_by_group(both[kinds == index].astype(float), part.own.group[kinds == index], seed=SEED)
        for index in np.unique(kinds).tolist()
    }
    return BlindSpot(share(missed), share(other), share(both), by_class)


def _counts(data: PartData) -> MapCounts:
    own = data.rows.own
    return MapCounts(len(own.hit), len(np.unique(own.group)), int(own.hit.sum()), data.called, data.healthy)

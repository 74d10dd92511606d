"""The verdict of one case, fitted on one part of a site's cases and judged on the other: the passport's ``verdict``.

Fitted: nulls by class, the envelope, and for each budget the calibrator of every set of tiers and out-of-fold scores
from which a threshold is certified for any alpha (``verdict_budget.py``); budget ``full`` stands at the top. Judged on
patients who had no part in that: how well each set of tiers tells maps that miss, what is TRUSTED and how much of it
misses, and whether bogus maps are believed, each kind by a calibrator that never saw it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from inference.commissioning.verdict.budget import USES, Part, Plain, figures_of, judgement, plain_interval
from inference.commissioning.verdict.fit_envelope import fit_envelope
from inference.commissioning.verdict.rows import ANOTHER, BOGUS, Rows, Told
from inference.statistics.bootstrap import mean_by_group
from inference.trust.budgets import PARTS, Budget
from inference.trust.cost import Cost
from inference.trust.evidence import Numbers
from inference.trust.image_statistics import statistic_names
from inference.trust.kinds import KINDS, NAMES, TIERS
from inference.trust.warrant import SEED


def fit_verdict(
    fitted: Told,
    judged: Told,
    *,
    classes: Sequence[str],
    witness: bool,
    dimensions: int,
    passes: Mapping[Budget, Cost],
) -> Plain:
    """Fit on one part, judge on the other, and give what goes into the passport.

    Args:
        fitted: rows of the part fitted on.
        judged: rows of the part judged, of other patients.
        classes: names of the bundle's classes.
        witness: whether the bundle has a localiser; without one, C is not used and nothing is TRUSTED.
        dimensions: axes of an image.
        passes: of one case under each budget.

    Raises:
        Refused: too few patients, or displayed maps that all hit or all miss.
    """
    nulls = nulls_of(fitted.rows)
    parts = {budget: tuple(Part(told, nulls, budget) for told in (fitted, judged)) for budget in PARTS}
    budgets = {
        budget: {**figures_of(*both, classes=classes, witness=witness), "passes": asdict(passes[budget])}
        for budget, both in parts.items()
    }
    full, before, after = budgets.pop("full"), *parts["full"]
    envelope = fit_envelope(
        {"features": fitted.features, "statistics": fitted.statistics}, before.own.group,
        seed=SEED, columns={"statistics": statistic_names(dimensions)},
    )  # fmt: skip
    inside = {"features": judged.features, "statistics": judged.statistics}
    out = mean_by_group(envelope.is_out(inside).astype(float), after.own.group, seed=SEED)
    return {
        **full,
        "use": USES[-1] if witness else USES[2],
        "witness": witness,
        "signals": [list(one) for one in zip(NAMES, TIERS, strict=True)],
        "nulls": {classes[index]: table for index, table in nulls.items()},
        "envelope": envelope.to_plain(),
        "gate": gate(fitted),
        "counts": {name: _counts(told) for name, told in (("fitted", fitted), ("judged", judged))},
        "baselines": {name: judgement(s, after, classes) for name, s in _baselines(before, after).items()},
        "out_of_envelope": plain_interval(out),
        "blind_spot": _blind_spot(judged, after) if witness else None,
        "budgets": budgets,
    }


def nulls_of(rows: Rows) -> dict[int, dict[str, Plain]]:
    """Give by class what each agreement is with a map of another patient: mean, 95 % interval over patients, count."""
    found: dict[int, dict[str, Plain]] = {}
    for index in np.unique(rows.class_index):
        chosen = rows.where((rows.kind == ANOTHER) & (rows.mode == "map") & (rows.class_index == index))
        if not len(chosen.hit):
            continue
        found[int(index)] = {
            kind.name: plain_interval(mean_by_group(chosen.values[:, column], chosen.group, seed=SEED))
            for column, kind in enumerate(KINDS)
            if kind.referenced and not np.isnan(chosen.values[:, column]).all()
        }
    return found


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
            checks[kind] = {**plain_interval(found), "passed": found.edges is not None and found.edges[0] > 0}
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


def _blind_spot(told: Told, part: Part) -> Plain:
    """Say how often map and localiser miss the same finding."""
    missed, groups = ~part.own.hit, part.own.group
    both = missed & ~told.witness_hit
    return {
        "map_misses": plain_interval(mean_by_group(missed.astype(float), groups, seed=SEED)),
        "witness_misses": plain_interval(mean_by_group((~told.witness_hit).astype(float), groups, seed=SEED)),
        "both_miss": plain_interval(mean_by_group(both.astype(float), groups, seed=SEED)),
    }


def _counts(told: Told) -> Plain:
    own = told.rows.own
    return {"cases": len(own.hit), "groups": len(np.unique(own.group)), "hits": int(own.hit.sum())}

"""Which method is shown to people, and why; which maps stand in the gallery; what the figures cannot say."""

from collections.abc import Mapping, Sequence

import numpy as np

from inference.commissioning.judging import DIGITS, rounded
from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.store import Raw
from inference.errors import Refused
from inference.passport.entries import Chosen, Counts, GalleryEntry, GalleryKind, MethodEntry
from inference.passport.rules import DECIDING, LOCALISATION, RULES
from inference.passport.verdict import NO_OUTLINES
from inference.statistics import bootstrap as statistics
from inference.statistics.seeds import seed_of

Raws = Mapping[str, Mapping[str, Raw]]
SHOWN = 4
"""Maps of each kind in the gallery."""
CONFIDENT = 0.9
FEW_GROUPS = 30


def choose(entries: Mapping[str, MethodEntry], raws: Raws, bench: Bench, manifest_method: str) -> Chosen:
    """Choose the method that passes most deciding criteria, ties by the lower bound of its hit rate.

    The bundle's own method stays unless the leader's hit rate is better in the paired test: its interval over patients
    above 0.
    """
    candidates = [name for name, entry in entries.items() if not entry.control and entry.criteria]
    tally = {
        name: sum(entries[name].criteria[key].passed is True for key in DECIDING if key in entries[name].criteria)
        for name in candidates
    }
    if not candidates:
        return Chosen(
            method=None, manifest=manifest_method, beats_every_control=False, tally={}, deciding=DECIDING,
            reason="No method could be measured on this bundle.",
        )  # fmt: skip
    leader = max(candidates, key=lambda name: (tally[name], _lower_hit(entries[name]), name == manifest_method))
    chosen, why = leader, f"{leader} passes most deciding criteria ({tally[leader]} of {len(DECIDING)})"
    if not tally[leader]:
        why = f"no method passes any of the {len(DECIDING)} deciding criteria; {leader} misses least by its hit rate"
    if leader != manifest_method and manifest_method in tally:
        better = _clearly_better(raws, bench, leader, manifest_method)
        if better:
            why += f", and its hit rate is better than that of {manifest_method}, the bundle's own ({better})"
        else:
            chosen = manifest_method
            why = (
                f"{manifest_method}, the bundle's own, is kept: {leader} passes {tally[leader]} deciding criteria "
                f"against {tally[manifest_method]}, but its hit rate is not clearly better in the paired test"
            )
    beats = all(_passed(entries[chosen], name) for name in LOCALISATION)
    gate = (
        "It beats every control in both criteria of localisation."
        if beats
        else "It does not clearly beat every control: at this site its maps are no evidence of where a finding lies."
    )
    return Chosen(
        method=chosen,
        manifest=manifest_method,
        beats_every_control=beats,
        tally=dict(sorted(tally.items())),
        deciding=DECIDING,
        reason=f"{why[0].upper()}{why[1:]}. {gate}" if bench.outlined else NO_OUTLINES,
    )


def gallery(raws: Raws, bench: Bench, method: str | None) -> tuple[GalleryEntry, ...]:
    """Choose the best, the worst and the misleading maps of the method chosen.

    Misleading: the model is sure (0.9 and above), the peak lies outside the finding or there is none, and of these the
    ones on which other trainings agree most, where that was measured; else the surest.
    """
    raw = raws.get(method or "", {}).get("localisation", {"reason": ""})
    if method is None or "reason" in raw:
        return ()
    precision = dict(zip(raw["outlined"], raw.get("average_precision", []), strict=False))
    agreed = raws[method].get("repeatability", {"reason": ""})
    agreement = {} if "reason" in agreed else dict(zip(agreed["rows"], agreed["values"]["spearman"], strict=True))
    hits = dict(zip(raw["rows"], raw["hit"], strict=True))
    ranked = sorted(precision, key=lambda row: (precision[row], row))
    sure = [row for row, hit in hits.items() if hit < 0.5 and bench.explained[row].probability >= CONFIDENT]
    sure.sort(key=lambda row: (-agreement.get(row, -2.0), -bench.explained[row].probability, row))
    parts: dict[GalleryKind, list[int]] = {
        "best": ranked[::-1][:SHOWN],
        "worst": ranked[:SHOWN],
        "misleading": sure[:SHOWN],
    }
    shown = []
    for kind, rows in parts.items():
        for row in rows:
            explained = bench.explained[row]
            case = bench.cases.entries[explained.position]
            shown.append(
                GalleryEntry(
                    kind=kind,
                    case=case.id,
                    method=method,
                    found=bench.explainer.bundle.manifest.classes[explained.target].name,
                    label=case.label,
                    probability=round(explained.probability, DIGITS),
                    average_precision=rounded(precision[row]) if row in precision else None,
                    hit=rounded(hits[row]) or 0.0,
                    agreement=rounded(agreement[row]) if row in agreement else None,
                )
            )
    return tuple(shown)


def limits_of(
    counts: Counts,
    fitted_on: str,
    excluded: int,
    limit: int | None,
    entries: Mapping[str, MethodEntry],
    chosen: str | None,
) -> tuple[str, ...]:
    """Say what these figures cannot carry."""
    said = []
    if counts.groups < FEW_GROUPS:
        said.append(
            f"{counts.groups} patients or groups only: intervals over so few are too narrow rather than too wide."
        )
    if limit is not None:
        said.append(f"A first try: at most {limit} explained cases of each split. Commission in full before use.")
    if not fitted_on:
        said.append("One split only: priors and thresholds were fitted on other patients of the same split.")
    if counts.missed:
        said.append(
            f"{counts.missed} cases with a finding were not called by the classifier: nothing is said of their maps."
        )
    if excluded:
        said.append(f"{excluded} cases were left out or could not be used in full; they are listed.")
    said += _outdone(entries, chosen)
    hidden = [name for name, entry in entries.items() if entry.unsuitable]
    if hidden:
        said.append(f"Not measured, since they do not fit this network: {', '.join(hidden)}.")
    said += [
        "Intervals are 95 % percentile bootstrap over groups, one criterion at a time: with many methods and criteria, "
        "one in twenty clears its line by chance.",
        "Networks trained on the same data share their errors: repeatability is no evidence that a map is right.",
        "Weight randomisation tells whether a map can depend on what was learned; it does not rank methods.",
        "The figures hold for this site, this scanner and this bundle to the byte. They are not a clinical validation.",
    ]
    return tuple(said)


def _outdone(entries: Mapping[str, MethodEntry], chosen: str | None) -> list[str]:
    """Name the controls that score higher than the chosen method where it is held against them."""
    if chosen is None:
        return []
    parts = []
    for rule in (rule for rule in RULES if rule.kind == "controls"):
        own = entries[chosen].criteria[rule.name]
        sign = 1.0 if rule.higher_is_better else -1.0
        better = [
            name for name, value in own.baselines.items()
            if value is not None and own.value is not None and sign * value > sign * own.value
        ]  # fmt: skip
        if better:
            parts.append(f"{rule.title}: {', '.join(better)}")
    return [f"Controls that score higher than {chosen}: {'; '.join(parts)}."] if parts else []


def _lower_hit(entry: MethodEntry) -> float:
    ci = entry.criteria["localisation_hit_rate"].ci if "localisation_hit_rate" in entry.criteria else None
    return -1.0 if ci is None else ci[0]


def _passed(entry: MethodEntry, criterion: str) -> bool:
    return criterion in entry.criteria and entry.criteria[criterion].passed is True


def _clearly_better(raws: Raws, bench: Bench, leader: str, other: str) -> str:
    """Return the difference of hit rates in words where its interval lies above 0; else nothing."""
    pair: list[Sequence[float]] = []
    for name in (leader, other):
        raw = raws.get(name, {}).get("localisation", {"reason": ""})
        if "reason" in raw:
            return ""
        pair.append(raw["hit"])
    groups = bench.groups(range(len(bench.explained)))
    try:
        difference = statistics.paired_difference(
            np.array(pair[0]), np.array(pair[1]), groups, seed=seed_of("bootstrap")
        )
    except Refused:
        return ""
    edges = difference.interval.edges
    better = edges is not None and edges[0] > 0
    return f"by {difference.interval.value:.2f} [{edges[0]:.2f}, {edges[1]:.2f}]" if edges and better else ""

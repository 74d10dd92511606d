"""The passport's verdict in words and tables: how far the map of one case may be believed, the limits first."""

from collections.abc import Mapping, Sequence

from inference.passport.certificates import MOST_BOGUS
from inference.passport.envelope import Envelope
from inference.passport.verdict import (
    JUDGED_ALPHA,
    NO_OUTLINES,
    BlindSpot,
    FittedVerdict,
    MethodGate,
    NoVerdict,
    ScoreJudgement,
)
from inference.statistics.bootstrap import Difference
from inference.statistics.resplits import Resplits
from reports.passport.block import Block, Cell
from reports.passport.budgets import budgets_block, is_idle
from reports.passport.cells import (
    auroc_text,
    bogus_name,
    bogus_share,
    counted_splits,
    ece_cells,
    fine,
    mark,
    signed_interval,
    spread_text,
    stacked,
    unit_name,
)
from reports.passport.certificate import class_blocks, limits, sensitivity_blocks, trusted_block
from reports.passport.regions import region_blocks
from reports.wording import method_name, number

SCORES = {
    "A": "A: map and model",
    "B": "B: image at the peak",
    "AB": "A and B",
    "C": "C: localiser",
    "ABC": "A, B and C",
    "max_probability": "highest probability",
    "entropy": "entropy",
    "class_and_plane": "class and plane",
}


def verdict_blocks(verdict: FittedVerdict | NoVerdict | None) -> tuple[Block, ...]:
    """Return what the page says of the verdict; nothing where commissioning asked for none."""
    if verdict is None:
        return ()
    if isinstance(verdict, NoVerdict):
        if verdict.reason == NO_OUTLINES:
            return (Block("Why there is none", (NO_OUTLINES,)),)
        none = "No verdict could be fitted, so no map of this bundle is ever TRUSTED:"
        return (Block("Why there is none", (f"{none} {verdict.reason}",)),)
    return (
        Block("Limits", limits(verdict)),
        _gate(verdict.gate),
        *_detection(verdict),
        trusted_block(verdict.trusted, witness=verdict.witness),
        *class_blocks(verdict.trusted),
        *region_blocks(verdict),
        *sensitivity_blocks(verdict),
        _bogus(verdict),
        budgets_block(verdict),
        _resplits(verdict.resplits),
        Block("Withheld, out of envelope, blind spot", _rest(verdict)),
    )


def _gate(gate: MethodGate) -> Block:
    rows = tuple(
        (
            bogus_name(kind),
            Cell(str(difference.groups)),
            Cell(signed_interval(difference), "", *mark(difference.passed, True)),
        )
        for kind, difference in gate.better_than.items()
    )
    word = "Passed" if gate.passed else "Failed: no map is shown"
    words = (
        f"{word}. The displayed maps, as a method, must point into findings more often than every kind of bogus map. "
        "Paired difference of the hit rate on the part fitted on, 95 % interval over patients; above 0 is better.",
    )
    return Block("The gate", words, ("bogus maps", "patients", "displayed less bogus"), rows)


def _detection(verdict: FittedVerdict) -> tuple[Block, ...]:
    every = {**verdict.auroc, **verdict.baselines}
    judged = {name: every[name] for name in SCORES if name in every}
    first = next(iter(judged.values()))
    words = (
        "AUROC: how often a map that misses scores below one that hits; 0.5 is chance. ECE: how far P is from the "
        "share of hits; beside it what chance alone gives if every P were right. AURC: mean share of misses over all "
        f"coverages; lower is better. Of the maps judged {fine(first.pooled.miss)} miss. The last three rows know "
        f"nothing of the map. Patients judged had no part in the fit. {_gains(verdict.gains)}",
    )
    rows = tuple(
        (
            Cell(SCORES[name]),
            Cell(auroc_text(score.pooled.auroc)),
            *ece_cells(score.pooled.calibration),
            Cell(fine(score.pooled.aurc)),
        )
        for name, score in judged.items()
    )
    by_class = tuple(
        (
            Cell(method_name(label), f"{own.misses} misses"),
            *(_within_class(score, label) for score in judged.values()),
        )
        for label, own in first.by_class.items()
    )
    head = ("score", "AUROC", "ECE", "ECE by chance", "AURC")
    within = ("The pooled figure flatters where classes differ in how often their maps miss.",)
    return (
        Block("Which maps miss: failure detection", words, head, rows),
        Block("AUROC within each class", within, ("class", *(SCORES[name] for name in judged)), by_class),
    )


def _within_class(score: ScoreJudgement, label: str) -> Cell:
    own = score.by_class.get(label)
    return stacked(None if own is None else own.auroc)


def _bogus(verdict: FittedVerdict) -> Block:
    idle = is_idle(verdict)
    rows = tuple(
        (
            bogus_name(kind),
            bogus_share(shares.map_patient, idle=idle),
            bogus_share(shares.method_patient, idle=idle),
        )
        for kind, shares in verdict.bogus_trusted_and_wrong.items()
    )
    empty = "By patient no threshold is certified at this alpha, so nothing is TRUSTED there: that shows nothing."
    words = (
        f"Share of bogus maps that are TRUSTED and wrong at alpha {number(JUDGED_ALPHA)}, by a calibrator and a "
        f"threshold that never saw the kind; at most {number(MOST_BOGUS)} may. In place of the map: everything else is "
        "honest. Method-wide: replicates, alternates and all show the same bogus kind, so that everything agrees. In "
        "brackets: the interval leaves it open. Where none was seen the interval is the exact binomial one, over "
        f"patients. {_floor(verdict)}",
        *[empty] * idle,
    )
    head = ("bogus maps", "in place of the map", "method-wide")
    return Block("Bogus maps that are TRUSTED and wrong", words, head, rows)


def _floor(verdict: FittedVerdict) -> str:
    """Say from where on bogus maps are kept out."""
    if verdict.floor is None:
        return "No threshold keeps every kind out: nothing is TRUSTED."
    return (
        f"No threshold lies below {number(verdict.floor)}, from which on every kind is kept out on the part fitted on."
    )


def _resplits(units: Sequence[Resplits]) -> Block:
    head = ("unit", "certified", "exceeded", "exceeded, by map", "refuted", "coverage", "miss share of TRUSTED")
    rows = tuple(
        (
            Cell(unit_name(splits.unit)),
            *map(counted_splits, (splits.certified, splits.exceeded, splits.exceeded_by_case, splits.refuted)),
            Cell(spread_text(splits.coverage, splits.coverage_spread)),
            Cell(spread_text(splits.miss, splits.miss_spread)),
        )
        for splits in units
    )
    count, alpha, delta = units[0].splits, number(units[0].alpha), number(units[0].delta)
    words = (
        f"All patients are cut in half {count} times: one half certifies alpha {alpha} at confidence "
        f"{number(1 - units[0].delta)}, the other is looked at.",
        "Certified: in so many splits half of the patients were enough to certify a threshold.",
        f"Exceeded: more than alpha of the other half's TRUSTED maps miss; this happens in more than {delta} of splits "
        "by the chance of a finite half, even where the true risk is below alpha.",
        "Refuted: the other half shows at 95 % confidence that more than alpha miss, which speaks against the "
        "certificate. A split without a threshold is neither. Binomial 95 % intervals; splits of the same "
        "patients are alike, so they are too narrow; behind coverage and miss: the middle 95 % of splits.",
    )
    return Block("Does the certificate hold? Re-splits", words, head, rows)


def _rest(verdict: FittedVerdict) -> tuple[str, ...]:
    held = verdict.withheld
    line = number(held.threshold)
    below = f"Withheld: where P by all tiers is below {line} a map is more likely wrong than right, and is not shown. "
    if held.withheld:
        below += (
            f"Of maps judged whose score lies below, {held.misses} of {held.withheld} in {held.groups} "
            f"patients miss, {number(held.risk)} by patient; at confidence {number(1 - held.delta)} at least "
            f"{number(held.lower)}."
        )
    else:
        below += "No map judged scores below."
    out = _envelope(verdict)
    blind = verdict.blind_spot
    if blind is None:
        return below, out, "Blind spot: without a localiser there is nothing to hold it against."
    both = (
        f"Blind spot: map and localiser miss the same finding in {fine(blind.both_miss)} of the maps judged (the "
        f"map misses in {fine(blind.map_misses)}, the localiser in {fine(blind.witness_misses)}; an explained "
        f"false positive is a miss of both). There the localiser cannot warn.{_by_class(blind)}"
    )
    return below, out, both


def _by_class(blind: BlindSpot) -> str:
    if len(blind.both_by_class) < 2:
        return ""
    shares = (f"{name} {fine(share)}" for name, share in blind.both_by_class.items())
    return f" Both miss, by class: {', '.join(shares)}."


def _envelope(verdict: FittedVerdict) -> str:
    envelope, judged = verdict.envelope, fine(verdict.out_of_envelope)
    if not isinstance(envelope, Envelope):
        return f"Out of envelope: {judged} of the maps judged, by the envelope of single maps of an earlier release."
    return (
        f"Out of envelope: {judged} of the series judged, and {fine(envelope.out)} of those fitted on when their "
        f"patient was left out; with {envelope.groups} patients or groups it was set to {number(envelope.epsilon)}. A "
        "series is compared as a whole, whether or not anything is called on it; those here hold "
        f"{envelope.planes:g} planes in the median."
        + (
            " A whole series passes more easily than the single planes it is held against."
            if envelope.planes < 2
            else ""
        )
    )


def _gains(gains: Mapping[str, Difference | None]) -> str:
    """Say by how much tiers beat the highest probability."""
    leads = [f"{SCORES[name]} {_lead(gain)}" for name, gain in gains.items() if gain is not None]
    by = "AUROC less that of the highest probability, paired by patient, 95 % interval"
    return f"{by}: {', '.join(leads)}." if leads else ""


def _lead(gain: Difference) -> str:
    edges = gain.interval.edges
    return f"{gain.interval.value:+.3f}" + ("" if edges is None else f" [{edges[0]:+.3f}, {edges[1]:+.3f}]")

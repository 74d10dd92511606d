"""The passport's verdict in words and tables: how far the map of one case may be believed, the limits first."""

from collections.abc import Mapping, Sequence

from inference.passport.envelope import Envelope
from inference.passport.verdict import (
    JUDGED_ALPHA,
    MOST_BOGUS,
    FittedVerdict,
    MethodGate,
    NoVerdict,
    ScoreJudgement,
    TrustedShare,
)
from inference.statistics.bootstrap import Difference
from inference.statistics.resplits import Resplits
from inference.trust.versions import changed_definitions, fit_anew
from reports.passport.block import Block, Cell
from reports.passport.budgets import budgets_block, by_patient, is_idle
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
        none = "No verdict could be fitted, so no map of this bundle is ever TRUSTED:"
        return (Block("Why there is none", (f"{none} {verdict.reason}",)),)
    return (
        Block("Limits", _limits(verdict)),
        _gate(verdict.gate),
        *_detection(verdict),
        _trusted(verdict.trusted, witness=verdict.witness),
        _bogus(verdict),
        budgets_block(verdict),
        _resplits(verdict.resplits),
        Block("Withheld, out of envelope, blind spot", _rest(verdict)),
    )


def _limits(verdict: FittedVerdict) -> tuple[str, ...]:
    fitted, judged = verdict.counts.fitted, verdict.counts.judged
    certificates = [share.certificate for share in by_patient(verdict)]
    sure = [number(certificate.alpha) for certificate in certificates if certificate.threshold is not None]
    unsure = [number(certificate.alpha) for certificate in certificates if certificate.threshold is None]
    confidence, smallest = number(1 - certificates[0].delta), verdict.smallest_alpha.patient
    least = (
        ""
        if smallest is None
        else f"; the smallest that holds is {number(smallest.alpha)}, a guide for further patients"
    )
    can = f"alpha {', '.join(sure)}" if sure else "no alpha that was asked for"
    cannot = f" They cannot certify alpha {', '.join(unsure)}: at that alpha nothing is TRUSTED." if unsure else ""
    witness = "" if verdict.witness else " The bundle has no localiser: nothing is TRUSTED, whatever the score."
    changed = changed_definitions(verdict, "full")
    return (
        *([f"Nothing is TRUSTED. {fit_anew(changed)}"] if changed else []),
        "The unit is the patient, as the data name them: slices of one are alike. Where the data name none, groups of "
        "copies stand in, and the promise is weaker. A certificate speaks of a patient drawn at random "
        "from those with a TRUSTED map and of one such map of theirs. Alpha: the share of those maps that may miss.",
        f"The {fitted.groups} patients fitted on certify {can}, each at confidence {confidence}{least}.{cannot}",
        f"Fitted on {fitted.cases} maps of {fitted.groups} patients ({fitted.hits} hit), judged on "
        f"{judged.cases} maps of {judged.groups} other patients ({judged.hits} hit). It holds for patients "
        "like these, this site and this bundle; nothing is said of findings the classifier did not call. "
        f"P: that the map's peak lies in a true finding; an explained false positive misses.{witness}",
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


def _trusted(shares: Sequence[TrustedShare], *, witness: bool) -> Block:
    head = (
        "alpha", "unit", "threshold", "fitted on", "bound of the miss share", "judged: coverage", "judged: miss share",
    )  # fmt: skip
    words = (
        "A map is TRUSTED from the threshold up. The threshold is certified on the part fitted on: at the stated "
        "confidence at most alpha of TRUSTED maps miss. Coverage: share of maps that are TRUSTED. Optimistic: takes "
        "slices of one patient as independent, which they are not; it decides nothing. None: no threshold holds."
        + " The score is the lower of P by all tiers and P by the localiser alone."
        * witness,
    )
    return Block("What is TRUSTED", words, head, tuple(_trusted_row(share) for share in shares))


def _trusted_row(share: TrustedShare) -> tuple[Cell, ...]:
    certificate = share.certificate
    about = (Cell(number(certificate.alpha)), Cell(unit_name(certificate.unit)))
    if certificate.threshold is None or certificate.upper is None:
        return (*about, Cell("none", css="none"), *[Cell("-", css="none")] * 4)
    return (
        *about,
        Cell(number(certificate.threshold)),
        Cell(f"{certificate.misses} of {certificate.trusted} miss, {certificate.groups} patients"),
        Cell(f"{certificate.upper:.3f}"),
        Cell(fine(share.coverage)),
        Cell(fine(share.miss)),
    )


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
        "patients.",
        *[empty] * idle,
    )
    head = ("bogus maps", "in place of the map", "method-wide")
    return Block("Bogus maps that are TRUSTED and wrong", words, head, rows)


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
        "false positive is a miss of both). There the localiser cannot warn."
    )
    return below, out, both


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

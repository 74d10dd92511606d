"""The figures of ``inference/trust/VERDICT.md``, printed from the shipped passports so that none is typed by hand.

``python -m tests.benchmarks.verdict_figures [--write]``

``--write`` puts them into the page between its marks. Brackets: 95 %, over patients or groups.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from inference.passport.certificates import BogusShares, OrderSpread, RegionClaim, TrustedShare, guard_at
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.passport.verdict import JUDGED_ALPHA, FittedVerdict
from inference.statistics.bootstrap import Interval, mean_of_groups
from inference.statistics.risk_control import Certificate
from inference.trust.certified import SEED, shown_scores
from inference.trust.choice import USUALLY_SHOWN

PAGE = Path(__file__).parents[2] / "inference" / "trust" / "VERDICT.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
PASSPORTS = {"brain_tumour_t1ce": "brisc", "glioma_flair": "site_c"}
SCORES = {"A": "A", "B": "B", "AB": "A+B", "C": "C", "ABC": "**A+B+C**"}
BASELINES = {"max_probability": "highest probability", "entropy": "entropy", "class_and_plane": "class and plane"}
Row = Callable[[FittedVerdict], str]


def figure(value: Interval | None) -> str:
    """Return a figure with its interval."""
    if value is None:
        return "none"
    edges = value.edges
    return f"{value.value:.3f}" + (f" [{edges[0]:.3f}, {edges[1]:.3f}]" if edges else ", no interval")


def _certificate(certificate: Certificate) -> str:
    if certificate.threshold is None:
        return f"none, of {certificate.groups_total}"
    return f"from {certificate.threshold:.2f}, {certificate.groups} of {certificate.groups_total}"


def _orders(spread: OrderSpread | None) -> str:
    if spread is None:
        return "not drawn"
    return f"{spread.certified} of {spread.orders}; {spread.lowest:.2f} to {spread.highest:.2f}"


def _trusted(share: TrustedShare) -> str:
    if share.certificate.threshold is None:
        return "none"
    certificate = share.certificate
    return (
        f"{certificate.threshold:.2f}; {figure(share.patients)}; {figure(share.coverage)}; {figure(share.miss)}, "
        f"bound {certificate.upper:.3f}"
    )


def _at(verdict: FittedVerdict, alpha: float) -> TrustedShare:
    return next(share for share in verdict.trusted if abs(share.certificate.alpha - alpha) < 1e-9)


def _worst(bogus: Mapping[str, BogusShares], mode: str) -> str:
    kind = max(bogus, key=lambda name: getattr(bogus[name], mode).value)
    return f"{figure(getattr(bogus[kind], mode))}, {kind.replace('_', ' ')}"


def _trusted_rows(alpha: float) -> dict[str, Row]:
    return {
        f"alpha {alpha:.2f}: threshold; patients or groups with a TRUSTED map; maps shown that are; miss share": (
            lambda verdict: _trusted(_at(verdict, alpha))
        ),
        f"alpha {alpha:.2f}: each class by itself": lambda verdict: "; ".join(
            f"{name} {_certificate(own)}" for name, own in _at(verdict, alpha).by_class.items()
        ),
        f"alpha {alpha:.2f}: drawn orders that certify; share with a TRUSTED map": (
            lambda verdict: _orders(_at(verdict, alpha).orders)
        ),
    }


def rows() -> dict[str, Row]:
    """Return every row of the table by its first cell."""
    made: dict[str, Row] = {
        "what a group is; fitted and judged on the same, crossed": lambda v: (
            f"{v.unit}; {'yes' if v.crossed else 'no'}"
        ),
        "fitted on: planes called, maps assessed, groups, hits": lambda v: _counts(v, "fitted"),
        "judged on: planes called, maps assessed, groups, hits": lambda v: _counts(v, "judged"),
        "groups without a finding": lambda v: str(v.counts.fitted.healthy),
        "assessed maps that miss": lambda v: figure(v.auroc["A"].pooled.miss),
        "gate: smallest lead, over which kind": _gate,
    }
    made |= {f"AUROC, {words}": _auroc(name) for name, words in SCORES.items()}
    made |= {f"AUROC, {words}": _baseline(name) for name, words in BASELINES.items()}
    made["AUROC by class, A+B+C"] = lambda v: "; ".join(
        f"{name} {figure(own.auroc)}" for name, own in v.auroc["ABC"].by_class.items()
    )
    made["A; A+B+C less highest probability, paired"] = lambda v: "; ".join(
        "none" if gain is None else figure(gain.interval) for gain in v.gains.values()
    )
    made["ECE, A+B+C; by chance alone"] = _ece
    for alpha in (0.05, 0.10, 0.20):
        made |= _trusted_rows(alpha)
    made["maps shown of the part fitted on that miss, from a score of 0.90; 0.80; 0.70; 0.50, by class"] = _by_score
    made["smallest alpha certified of all classes together, groups not merged: a suggestion"] = lambda v: (
        "none" if v.smallest_alpha.patient is None else f"{v.smallest_alpha.patient.alpha:.2f}"
    )
    made["groups merged by look, no floor: alpha, groups, drawn orders that certify; share with a TRUSTED map"] = (
        _merged
    )
    made["smallest alpha offered"] = lambda v: "any" if v.least_alpha is None else f"{v.least_alpha:.2f}"
    made["floor of every threshold, for bogus maps"] = lambda v: "none" if v.floor is None else f"{v.floor:.2f}"
    made["bogus TRUSTED and wrong at 0.10, worst kind, in place of the map"] = lambda v: _worst(
        v.bogus_trusted_and_wrong, "map_patient"
    )
    made["bogus TRUSTED and wrong at 0.10, worst kind, method-wide"] = lambda v: _worst(
        v.bogus_trusted_and_wrong, "method_patient"
    )
    made["bogus TRUSTED and wrong, worst kind, by alpha"] = lambda v: "; ".join(
        f"{guard.alpha:.2f}: {figure(guard.share)}, {guard.worst}" for guard in v.guards[:4]
    )
    made |= _region_rows()
    made["peaks outside a finding that is there: within 2, 4, 8 pixels of it"] = lambda v: (
        "; ".join(map(figure, v.near_misses.values())) or "not recorded"
    )
    made["re-splits at 0.10: certified; exceeded; refuted"] = _resplits
    made["WITHHELD (P by all tiers below 0.5): misses of maps"] = lambda v: (
        f"{v.withheld.misses} of {v.withheld.withheld}"
    )
    made["series out of envelope"] = lambda v: figure(v.out_of_envelope)
    made["map misses; localiser misses; both"] = _blind
    made["both miss, by class"] = lambda v: (
        "none" if v.blind_spot is None
        else "; ".join(f"{name} {figure(share)}" for name, share in v.blind_spot.both_by_class.items())
    )  # fmt: skip
    return made


def _counts(verdict: FittedVerdict, part: str) -> str:
    counts = getattr(verdict.counts, part)
    return f"{counts.called}, {counts.cases}, {counts.groups}, {counts.hits}"


def _gate(verdict: FittedVerdict) -> str:
    kind, lead = min(verdict.gate.better_than.items(), key=lambda entry: entry[1].value)
    return f"{figure(lead)}, {kind.replace('_', ' ')}"


def _auroc(name: str) -> Row:
    return lambda verdict: figure(verdict.auroc[name].pooled.auroc)


def _baseline(name: str) -> Row:
    return lambda verdict: figure(verdict.baselines[name].pooled.auroc)


def _ece(verdict: FittedVerdict) -> str:
    calibration = verdict.auroc["ABC"].pooled.calibration
    return "none" if calibration is None else f"{figure(calibration.ece)}; {calibration.ece_if_perfect:.3f}"


def _merged(verdict: FittedVerdict) -> str:
    found = (f"{entry.alpha:.2f}, {entry.clusters}: {_orders(entry.spread)}" for entry in verdict.merged)
    return "<br>".join(found) or "patients are named"


def _by_score(verdict: FittedVerdict) -> str:
    """Return the mean over patients of the share that misses, of each class, without an interval."""
    maps, said = shown_scores(verdict.scores, USUALLY_SHOWN), []
    classes = list(verdict.trusted[0].by_class)
    for name, index in zip(classes, np.unique(maps.class_index).tolist(), strict=True):
        own = maps.of_class(index)
        shares = []
        for threshold in (0.9, 0.8, 0.7, 0.5):
            kept = own.score >= threshold
            share = mean_of_groups(own.miss[kept], own.group[kept], seed=SEED).value if kept.any() else float("nan")
            shares.append(f"{share:.2f}")
        said.append(f"{name} {', '.join(shares)}")
    return "; ".join(said) + ", no intervals"


def _region_rows() -> dict[str, Row]:
    made: dict[str, Row] = {
        f"region, {name}: holds of maps; of other patients' maps": _held(name) for name in ("touches", "overlaps")
    }
    made["region, overlaps: mean intersection over union of maps; of other patients' maps"] = _overlap
    for name in ("touches", "overlaps"):
        for alpha in (0.10, 0.20):
            made[f"region, {name}, alpha {alpha:.2f}: threshold; patients or groups with such a map; share without"] = (
                _claimed(name, alpha)
            )
    made["region at 0.10: bogus maps without it that pass, worst kind, by claim"] = _region_bogus
    return made


def _region(verdict: FittedVerdict, name: str) -> RegionClaim | None:
    return next((claim for claim in verdict.regions if claim.name == name), None)


def _held(name: str) -> Row:
    def row(verdict: FittedVerdict) -> str:
        claim = _region(verdict, name)
        return "not recorded" if claim is None else f"{figure(claim.held)}; {figure(claim.null)}"

    return row


def _overlap(verdict: FittedVerdict) -> str:
    claim = _region(verdict, "overlaps")
    return "not recorded" if claim is None else f"{figure(claim.iou)}; {figure(claim.null_iou)}"


def _claimed(name: str, alpha: float) -> Row:
    def row(verdict: FittedVerdict) -> str:
        claim = _region(verdict, name)
        if claim is None:
            return "not recorded"
        share = next(share for share in claim.trusted if abs(share.certificate.alpha - alpha) < 1e-9)
        if share.certificate.threshold is None:
            return "none"
        classes = "; ".join(f"{label} {_certificate(own)}" for label, own in share.by_class.items())
        return f"{share.certificate.threshold:.2f}; {figure(share.patients)}; {figure(share.miss)} ({classes})"

    return row


def _region_bogus(verdict: FittedVerdict) -> str:
    guards = {claim.name: guard_at(claim.guards, JUDGED_ALPHA) for claim in verdict.regions}
    said = (f"{name} {figure(guard.share)}, {guard.worst}" for name, guard in guards.items() if guard is not None)
    return "; ".join(said) or "not recorded"


def _resplits(verdict: FittedVerdict) -> str:
    made = verdict.resplits[0]
    shares = (made.certified, made.exceeded, made.refuted)
    return "; ".join(f"{share.count} of {share.of} [{share.low:.3f}, {share.high:.3f}]" for share in shares)


def _blind(verdict: FittedVerdict) -> str:
    blind = verdict.blind_spot
    return (
        "none" if blind is None else "; ".join(map(figure, (blind.map_misses, blind.witness_misses, blind.both_miss)))
    )


def table() -> str:
    """Return the figures as Markdown."""
    passports = {
        name: load_passport(SHIPPED_PASSPORTS / site / name / "passport.json") for name, site in PASSPORTS.items()
    }
    lines = [f"| | {' | '.join(passports)} |", f"|---|{'---|' * len(passports)}"]
    verdicts = [passport.verdict for passport in passports.values() if isinstance(passport.verdict, FittedVerdict)]
    lines += [f"| {name} | {' | '.join(row(verdict) for verdict in verdicts)} |" for name, row in rows().items()]
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """Return the page with the figures of today."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main() -> None:
    """Print, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into VERDICT.md")
    if parser.parse_args().write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())


if __name__ == "__main__":
    main()

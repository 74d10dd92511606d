"""What a frozen passport is worth on a split that had no part in it: ``test``, once; ``commissioning``, to try it out.

``python -m tests.benchmarks.held_out --split commissioning --work DIR [--bundle NAME] [--limit N] [--json FILE]``

Verdicts are the node's own (``unseen.py``), by the passport as shipped. Formulas of fewer tiers are not in a passport;
they are fitted again on the part it was fitted on, from the rows in ``DIR`` (made there if missing: minutes; or copy
there the ``work`` folder of a run of ``heatproof commission --verdict``). That they are those of the passport is shown
by the formula of all tiers, which must come back to the bit. glioma_flair: the split ``test`` is of other sites.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.bundle.bundle import Bundle
from inference.cases.cases import gather
from inference.cases.labels_folder import read_labels_folder
from inference.commissioning.belonging import check_data, settings_of
from inference.commissioning.classifying import classification
from inference.commissioning.measuring.bench import Bench
from inference.commissioning.measuring.explaining import AverageMasks, Explainer
from inference.commissioning.measuring.settings import key_of, resolve
from inference.commissioning.measuring.store import Store
from inference.commissioning.verdict.budget import ALPHAS, USES, BudgetPart
from inference.commissioning.verdict.fit import nulls_of
from inference.commissioning.verdict.rows import CHUNK, explained_part, part_of, rows_figures
from inference.commissioning.work import set_up
from inference.devices import choose_device, fingerprint
from inference.passport.calibrator import Calibrator
from inference.passport.passport import Passport
from inference.passport.verdict import FittedVerdict
from inference.statistics.failure_detection import auroc_gain, judge_score
from inference.trust.kinds import NAMES
from inference.trust.verdict import Signal, Verdict
from inference.trust.warrant import SEED, Warrant
from tests.benchmarks.unseen import DELTA, SITES, Site, judged
from tests.benchmarks.unseen_images import series_of
from tests.benchmarks.unseen_tables import VERDICTS, Judged, share, shown
from tests.development_data import FOLDER

Numbers = NDArray[np.float64]
ANY_P = (Verdict.TRUSTED, Verdict.CAUTION)
"""Verdicts between which the threshold decides."""


def formulas(bundle: Bundle, passport: Passport, data: Path, work: Path) -> dict[str, Calibrator]:
    """Fit the formula of each set of tiers as the passport's was fitted."""
    settings = resolve(replace(settings_of(passport, "cpu"), methods=(bundle.manifest.method,), limit=None), bundle)
    cases = gather(bundle, read_labels_folder(data, settings.splits, is_volume=False), work / "cases")
    check_data(passport, cases)
    key = key_of(settings, bundle.identity.digest, cases.digest, repr(fingerprint("cpu")), "verdict")
    bench, _ = set_up(bundle, cases, settings, Store(work, key, resume=True))
    raws = [_chunk(bench, at) for at in range(-(-len(explained_part(bench, "fitted")) // CHUNK))]
    data_of_part = part_of(raws)
    part = BudgetPart(data_of_part, nulls_of(data_of_part.rows))
    found = {use: part.fit(use).calibrator for use in USES}
    assert isinstance(passport.verdict, FittedVerdict)
    print("The passport's formula came back to the bit." if found[USES[-1]] == passport.verdict.calibrator else
          "NOT the passport's formula: figures of single tiers are of another fit.")  # fmt: skip
    return found


def _chunk(bench: Bench, at: int) -> Mapping[str, Any]:
    return bench.store.keep(f"verdict.fitted.{at:05d}", lambda: rows_figures(bench, "fitted", at))


def values_of(rows: Sequence[Judged]) -> Numbers:
    """Return every signal as the formula sees it, (N, signals): agreements above their null."""
    return np.array([[_seen({one.name: one for one in row.trust.signals}.get(name)) for name in NAMES] for row in rows])


def _seen(signal: Signal | None) -> float:
    value = None if signal is None else signal.value if signal.null is None else signal.referenced
    return float("nan") if value is None else value


def report(site: Site, split: str, work: Path, limit: int | None) -> dict[str, Any]:
    """Judge every map of a split by the frozen passport and say what it is worth."""
    bundle, passport, warrant = site.load()
    data = FOLDER / site.data
    calibrators = formulas(bundle, passport, data, work / site.bundle)
    rows = [row for one in series_of(site.data, split)[:limit] for row in judged(bundle, warrant, one, most=None)]
    groups, miss = np.array([one.group for one in rows]), np.array([one.miss for one in rows])
    right = np.array([one.right for one in rows])
    table = values_of(rows)
    scores = {use: calibrators[use].probability(table, NAMES) for use in USES}
    likeliest = np.array([float(one.probabilities.max()) for one in rows], float)
    locked = np.minimum(*(one.probability(table, NAMES) for one in _locks(warrant)))
    words = np.array([one.trust.verdict.value for one in rows])
    found: dict[str, Any] = {
        "maps": len(rows),
        "groups": len(set(groups)),
        "classification": _classification(bundle, data, split, work / site.bundle / split),
        "hit_rate": asdict(share(list(~miss), list(groups))),
        "hit_rate_of_right_calls": asdict(share(list(~miss[right]), list(groups[right]))),
        "alpha": site.alpha,
        "verdicts": {word.value: asdict(share(list(words == word.value), list(groups))) for word in VERDICTS},
        "withheld_misses": [int(miss[words == Verdict.WITHHELD].sum()), int((words == Verdict.WITHHELD).sum())],
        "scores": {name: asdict(judge_score(one, miss, groups, seed=SEED)) for name, one in scores.items()},
        "gains": {
            use: asdict(auroc_gain(scores[use], likeliest, miss, groups, seed=SEED).interval) for use in ("A", USES[-1])
        },
        "trusted": {},
    }
    found["scores"]["highest probability"] = asdict(judge_score(likeliest, miss, groups, seed=SEED))
    for alpha in dict.fromkeys((*ALPHAS, site.alpha)):
        threshold = Warrant.of(passport, alpha=alpha, delta=DELTA).certificate.threshold
        if threshold is not None:
            trusted = (locked >= threshold) & np.isin(words, [word.value for word in ANY_P])
            if alpha == site.alpha and not warrant.believed and list(trusted) != list(words == Verdict.TRUSTED.value):
                raise AssertionError("The node's verdicts and the threshold disagree.")
            found["trusted"][f"{alpha:g}"] = {
                "coverage": asdict(share(list(trusted), list(groups))),
                "miss": asdict(share(list(miss[trusted]), list(groups[trusted]))) if trusted.any() else None,
                "misses": [int(miss[trusted].sum()), int(trusted.sum())],
            }
    return found


def _locks(warrant: Warrant) -> tuple[Calibrator, Calibrator]:
    return warrant.calibrator, warrant.witness_calibrator or warrant.calibrator


def _classification(bundle: Bundle, data: Path, split: str, folder: Path) -> dict[str, Any]:
    cases = gather(bundle, read_labels_folder(data, [split], is_volume=False), folder)
    positions = cases.of(split)
    device = choose_device("cpu")
    explainer = Explainer(bundle, cases, AverageMasks(cases, ()), None, device)
    probabilities = explainer.probabilities(bundle.primary(device), positions)
    return asdict(classification(cases, positions, probabilities, bundle.manifest))


def printed(name: str, split: str, found: Mapping[str, Any]) -> None:
    """Print what was found, every figure with its 95 % interval by group."""

    def line(what: str, figure: str) -> None:
        print(f"| {what} | {figure} |")

    def ci(figure: Mapping[str, Any]) -> str:
        return f"{figure['value']:.3f} [{figure['ci'][0]:.3f}, {figure['ci'][1]:.3f}]"

    print(f"\n{name}, split {split}: {found['maps']} maps called positive, {found['groups']} patients or groups\n")
    line("figure", "value [95 %]")
    line("---", "---")
    line("accuracy of the classifier", ci(found["classification"]["accuracy"]))
    for label, one in found["classification"]["classes"].items():
        line(f"AUC, {label}", ci(one["auc"]))
    line("peak in a true finding, all maps", shown(found["hit_rate"]))
    line("peak in the finding, maps of right calls", shown(found["hit_rate_of_right_calls"]))
    for word, one in found["verdicts"].items():
        line(f"{word} at alpha {found['alpha']:g}", shown(one))
    line("WITHHELD: misses of maps", "{} of {}".format(*found["withheld_misses"]))
    for use, one in found["scores"].items():
        line(f"AUROC, {use}", shown(one["auroc"]))
    for use, one in found["gains"].items():
        line(f"AUROC, {use} less highest probability, paired", shown(one))
    for use in (USES[-1], "highest probability"):
        known = found["scores"][use]
        line(f"ECE, {use}; by chance alone",
             f"{shown(known['calibration']['ece'])}; {known['calibration']['ece_if_perfect']:.3f}")  # fmt: skip
        line(f"AURC, {use}", shown(known["aurc"]))
    for alpha, one in found["trusted"].items():
        line(f"alpha {alpha}: coverage; TRUSTED that miss",
             f"{shown(one['coverage'])}; {shown(one['miss'])} ({one['misses'][0]} of {one['misses'][1]})")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for what can be resumed, BUNDLE below it")
    parser.add_argument("--bundle", choices=[site.bundle for site in SITES])
    parser.add_argument("--limit", type=int, help="series, for a first try")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    every = {}
    for site in SITES:
        if asked.bundle in (None, site.bundle):
            every[site.bundle] = report(site, asked.split, asked.work, asked.limit)
            printed(site.bundle, asked.split, every[site.bundle])
    if asked.json:
        asked.json.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What a frozen passport is worth on a split that had no part in it: ``test``, once; ``commissioning``, to try it out.

``python -m tests.benchmarks.held_out --split commissioning [--bundle NAME] [--limit N] [--keep DIR]``

Every series goes the node's way: classified, the promising planes assessed, those of highest trust shown. Beside that,
what a reader would have been shown otherwise: every called plane, the most probable planes, and the localiser's own
peak on the planes shown. Intervals: 95 %, over patients or groups; where all are alike the exact binomial one.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.bundle.bundle import CPU, Bundle
from inference.cases.cases import AnnotatedSeries, class_of
from inference.cases.masks import mask_on_input
from inference.classify import classify
from inference.explain import explain_findings
from inference.findings import Finding
from inference.options import AnalysisOptions
from inference.prepare import ModelInput, prepare
from inference.saliency.engine.maps import SaliencyMap, peak_of
from inference.statistics.bootstrap import mean_by_group, mean_of_groups
from inference.trust.assess import assess_maps, those_shown
from inference.trust.certified import SEED
from inference.trust.choice import USUALLY_SHOWN
from inference.trust.evidence import Examiner
from inference.trust.verdict import Trust, Verdict
from inference.trust.warrant import Warrant
from tests.benchmarks.unseen import DELTA, SITES, Site
from tests.benchmarks.unseen_images import series_of

Flags = NDArray[np.bool_]
MISS = 0.10
"""Share of misses at which coverages are compared."""
STEPS = np.round(np.arange(100, 0, -1) / 100, 2)
SAMPLES = 1000
"""Of patients, drawn with replacement."""


@dataclass(frozen=True, eq=False)
class Called:
    """One plane and class that is called."""

    group: str
    label: str
    right: bool
    map_misses: bool
    witness_misses: bool
    probability: float
    witness: float
    """The localiser's highest probability on the plane."""
    decided_by: float
    """What planes are chosen by; -1: a hard rule stopped the map, or the first pass dropped it."""
    shown: bool
    verdict: str
    """Empty where it is not shown."""


def judge_series(bundle: Bundle, warrant: Warrant, series: AnnotatedSeries) -> list[Called]:
    """Send one series the node's way, and look at every plane that is called."""
    options = AnalysisOptions(planes_explained=USUALLY_SHOWN, device="cpu", warrant=warrant.identity)
    inputs = prepare(bundle, series.image)
    promising = classify(bundle, inputs, options=options)
    maps = explain_findings(bundle, series.image, inputs, promising.findings, options=options)
    trusts = assess_maps(bundle, inputs, maps, options=options, warrant=warrant)
    few, _ = those_shown(maps, trusts, USUALLY_SHOWN)
    assessed = {_place(of.finding): trust for of, trust in zip(maps, trusts, strict=True)}
    every = classify(bundle, inputs, options=AnalysisOptions(planes_explained=10_000, device="cpu")).findings
    examiner = Examiner(bundle, bundle.manifest.method, {}, CPU, frozenset())
    drawn = explain_findings(bundle, series.image, inputs, every, options=options)
    shown = {_place(of.finding) for of in few}
    return [_called(bundle, series, inputs, examiner, of, assessed, shown) for of in drawn]


def _called(
    bundle: Bundle,
    series: AnnotatedSeries,
    inputs: ModelInput,
    examiner: Examiner,
    drawn: SaliencyMap,
    assessed: Mapping[tuple[int, int], Trust],
    shown: set[tuple[int, int]],
) -> Called:
    finding = drawn.finding
    known = series.annotations[finding.position]
    right = known is not None and class_of(known.label, bundle.manifest) == finding.class_index
    mask = None
    if right and known is not None and known.mask is not None:
        mask = mask_on_input(inputs, known.mask, finding.position)
    seen = examiner.localised(inputs.tensor[finding.position : finding.position + 1])
    trust, is_shown = assessed.get(_place(finding)), _place(finding) in shown
    decided_by = None if trust is None else trust.decided_by
    return Called(
        group=series.group,
        label=finding.label,
        right=right,
        map_misses=mask is None or not mask[peak_of(drawn.values)],
        witness_misses=mask is None or seen is None or not mask[peak_of(seen)],
        probability=finding.probability,
        witness=0.0 if seen is None else float(seen.max()),
        decided_by=-1.0 if decided_by is None else decided_by,
        shown=is_shown,
        verdict=trust.verdict.value if trust is not None and is_shown else "",
    )


def _place(finding: Finding) -> tuple[int, int]:
    return finding.position, finding.class_index


def judged(site: Site, split: str, limit: int | None, keep: Path | None) -> list[Called]:
    """Send every series of a split the node's way, or read what became of them in an earlier run."""
    file = None if keep is None else keep / f"{site.bundle}_{split}.json"
    if file is not None and file.exists():
        return [Called(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
    bundle, _, warrant = site.load()
    rows = [row for series in series_of(site.data, split)[:limit] for row in judge_series(bundle, warrant, series)]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([asdict(row) for row in rows], default=bool) + "\n", encoding="utf-8")
    return rows


def report(site: Site, rows: list[Called]) -> dict[str, Any]:
    """Say what a frozen passport is worth on the planes called of a split."""
    groups = np.array([row.group for row in rows])
    shown = np.array([row.shown for row in rows])
    trusted = np.array([row.verdict == Verdict.TRUSTED.value for row in rows])
    misses = np.array([row.map_misses for row in rows])
    witness = np.array([row.witness_misses for row in rows])
    right = np.array([row.right for row in rows])
    probable = _first(groups, np.array([row.probability for row in rows]))
    found: dict[str, Any] = {
        "alpha": site.alpha,
        "patients": len(set(groups)),
        "called": len(rows),
        "shown": int(shown.sum()),
        "trusted": int(trusted.sum()),
        "patients_with_a_trusted_map": _patients(trusted, groups),
        "trusted_that_miss": _mean(misses, trusted, groups),
        "shown_that_miss": _mean(misses, shown, groups),
        "every_called_plane_that_misses": _mean(misses, np.ones(len(rows), bool), groups),
        "most_probable_planes_that_miss": _mean(misses, probable, groups),
        "localiser_peaks_that_miss_on_trusted": _mean(witness, trusted, groups),
        "localiser_peaks_that_miss_on_shown": _mean(witness, shown, groups),
        "right_calls_whose_map_misses": _mean(misses, right, groups),
        "right_calls_whose_localiser_misses": _mean(witness, right, groups),
        "both_miss_of_right_calls": _mean(misses & witness, right, groups),
        "verdicts": {word.value: int(sum(row.verdict == word.value for row in rows)) for word in Verdict},
    }
    scores = {
        "trust": (np.array([row.decided_by for row in rows]), misses),
        "highest probability": (np.array([row.probability for row in rows]), misses),
        "localiser's certainty, of its own peak": (np.array([row.witness for row in rows]), witness),
    }
    found |= {
        f"patients covered at {MISS:g} misses, by {name}": _covered(score, wrong, groups)
        for name, (score, wrong) in scores.items()
    }
    return {**found, **_beside_localiser(rows, shown)}


def _first(groups: NDArray[np.str_], score: NDArray[np.float64]) -> Flags:
    """Mark of each patient the few rows of the highest score."""
    marked = np.zeros(len(score), bool)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        marked[rows[np.argsort(-score[rows], kind="stable")[:USUALLY_SHOWN]]] = True
    return marked


def _covered(score: NDArray[np.float64], wrong: Flags, groups: NDArray[np.str_]) -> dict[str, Any]:
    """Return the largest share of patients with a map above some threshold at which at most ``MISS`` of these miss.

    Each score has the threshold that is best for it on these very maps: a comparison of orders, no promise. The
    threshold is chosen anew in every drawn sample of patients.
    """
    few = _first(groups, score) & (score >= 0)
    names, label = np.unique(groups, return_inverse=True)
    table = np.zeros((2, len(STEPS), len(names)))
    for at, step in enumerate(STEPS):
        kept = few & (score >= step)
        count = np.bincount(label[kept], minlength=len(names))
        table[0, at] = count > 0
        table[1, at] = np.bincount(label[kept & wrong], minlength=len(names)) / np.maximum(count, 1)

    def best(sample: NDArray[np.int64]) -> float:
        covered, missed = table[:, :, sample].sum(axis=2)
        held = (covered > 0) & (missed <= MISS * covered)
        return float(np.max(covered[held], initial=0.0)) / len(sample)

    drawn = np.random.default_rng(SEED).integers(len(names), size=(SAMPLES, len(names)))
    low, high = np.quantile([best(sample) for sample in drawn], [0.025, 0.975])
    return {"value": best(np.arange(len(names))), "low": float(low), "high": float(high), "n": int(few.sum()),
            "groups": len(names)}  # fmt: skip


def _beside_localiser(rows: list[Called], shown: Flags) -> dict[str, Any]:
    """Compare the map's peak with the localiser's on the planes shown: paired, and by class where one of them errs."""
    few = [row for row, is_shown in zip(rows, shown, strict=True) if is_shown]
    lead = np.array([float(row.witness_misses) - float(row.map_misses) for row in few])
    groups = np.array([row.group for row in few])
    names = np.unique(groups)
    means = np.array([lead[groups == name].mean() for name in names])
    made: dict[str, Any] = {
        "shown: hits of the map less hits of the localiser, paired": asdict(mean_by_group(means, names, seed=SEED))
    }
    for label in sorted({row.label for row in few}):
        own = [row for row in few if row.label == label]
        made[f"shown of {label}: class wrong; of the others both right, map alone, localiser alone, none (counts)"] = (
            f"{sum(not row.right for row in own)}; "
            + ", ".join(
                str(sum(row.right and (not row.map_misses, not row.witness_misses) == both for row in own))
                for both in ((True, True), (True, False), (False, True), (False, False))
            )
        )
    return made


def _patients(flags: Flags, groups: NDArray[np.str_]) -> dict[str, Any]:
    names = np.unique(groups)
    return asdict(mean_of_groups([flags[groups == name].any() for name in names], names, seed=SEED))


def _mean(wrong: Flags, of: Flags, groups: NDArray[np.str_]) -> dict[str, Any] | None:
    return asdict(mean_of_groups(wrong[of], groups[of], seed=SEED)) if of.any() else None


def printed(name: str, split: str, found: Mapping[str, Any]) -> None:
    """Print what was found."""
    print(f"\n{name}, split {split}, alpha {found['alpha']:g}, delta {DELTA:g}\n\n| figure | value [95 %] |\n|---|---|")
    for key, value in found.items():
        if isinstance(value, Mapping) and "value" in value:
            low, high = value["low"], value["high"]
            text = f"{value['value']:.3f} [{low:.3f}, {high:.3f}] of {value['n']} maps, {value['groups']} patients"
        elif isinstance(value, Mapping):
            text = "; ".join(
                f"{word} {of:.3f}" if isinstance(of, float) else f"{word} {of}" for word, of in value.items()
            )
        else:
            text = "none" if value is None else str(value)
        print(f"| {key.replace('_', ' ')} | {text} |")


def main() -> None:
    """Judge what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", required=True)
    parser.add_argument("--bundle", choices=[site.bundle for site in SITES])
    parser.add_argument("--limit", type=int, help="series, for a first try")
    parser.add_argument("--keep", type=Path, help="folder in which every plane called is kept, to print again")
    asked = parser.parse_args()
    for site in SITES:
        if asked.bundle in (None, site.bundle):
            rows = judged(site, asked.split, asked.limit, asked.keep)
            printed(site.bundle, asked.split, report(site, rows))


if __name__ == "__main__":
    main()

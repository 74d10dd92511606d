"""What is said of images that a shipped passport was not made for: "no statement" by study, verdicts by map.

``python -m tests.benchmarks.unseen --studies [--resume FILE]``: the share of **studies** that are unlike those of
commissioning, with and without a finding; of those without a call the node says "no statement".
``python -m tests.benchmarks.unseen [--limit 60] [--bundle glioma_flair] [--images organ pydicom] [--json FILE]``: the
share of each verdict on **maps**, and what TRUSTED maps miss; then how many good maps (the peak lies in a finding of
the class called) the envelope removes, and how many bad ones it lets through.

Every image goes the node's own way: preprocessing, classification, map, verdict (``assess``). What the model calls
positive is explained; a map of a class that the image does not have is a miss. Images of another kind are explained
whether or not anything is called, so that each has a verdict, and without the check of their DICOM header that would
have refused them. Of each patient the same number of planes is drawn. What a frozen passport is worth on its own
kind of cases is printed by ``held_out.py``.
"""

import argparse
import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inference.bundle.bundle import SHIPPED, Bundle, load_bundle
from inference.cases.cases import AnnotatedSeries, class_of
from inference.cases.masks import mask_on_input
from inference.classify import classify
from inference.explain import explain_findings
from inference.findings import Finding
from inference.options import AnalysisOptions
from inference.passport.envelope import Envelope
from inference.passport.passport import SHIPPED_PASSPORTS, Passport, load_passport
from inference.prepare import prepare
from inference.saliency.engine.maps import peak_of
from inference.statistics.seeds import seed_of
from inference.trust.assess import assess_maps
from inference.trust.likeness import look
from inference.trust.verdict import Verdict
from inference.trust.warrant import Warrant
from tests.benchmarks.unseen_images import image_groups
from tests.benchmarks.unseen_tables import VERDICTS, Judged, by_envelope, figures, print_envelope, share, shown

DELTA = 0.10
OWN, ALL_OTHERS = "own site", "every kind but the own site"


@dataclass(frozen=True)
class Site:
    """One shipped passport, and where its cases and those of another sequence lie."""

    bundle: str
    passport: str
    data: str
    other_sequence: str
    alpha: float
    """The first of 0.10 and 0.20 that the passport certifies."""

    def load(self) -> tuple[Bundle, Passport, Warrant]:
        passport = load_passport(SHIPPED_PASSPORTS / self.passport / self.bundle / "passport.json")
        return load_bundle(SHIPPED / self.bundle), passport, Warrant.of(passport, alpha=self.alpha, delta=DELTA)


SITES = (
    Site("glioma_flair", "site_c", "glioma_flair", "brain_t1ce", 0.20),
    Site("brain_tumour_t1ce", "brisc", "brain_t1ce", "glioma_flair", 0.10),
)


def judged(
    bundle: Bundle, warrant: Warrant, series: AnnotatedSeries, *, most: int | None, explain_all: bool = False
) -> list[Judged]:
    """Judge the maps of one series: of what is called positive, at most so many, drawn by seed."""
    options = AnalysisOptions(planes_explained=len(series.annotations), device="cpu")
    inputs = prepare(bundle, series.image)
    said = classify(bundle, inputs, options=options)
    findings = list(said.findings)
    called = {one.position for one in findings}
    if explain_all:
        findings += [
            _forced(bundle, said.probabilities[at], at) for at in range(len(series.annotations)) if at not in called
        ]
    findings = [one for one in findings if series.annotations[one.position] is not None]
    findings.sort(key=lambda one: seed_of("unseen", series.image.series_instance_uid, str(one.position)))
    maps = explain_findings(bundle, series.image, inputs, findings[:most], options=options)
    rows = []
    for one, trust in zip(maps, assess_maps(bundle, inputs, maps, options=options, warrant=warrant), strict=True):
        known, kind = series.annotations[one.finding.position], one.finding.class_index
        right = known is not None and class_of(known.label, bundle.manifest) == kind
        hit = False
        if right and known is not None and known.mask is not None:
            hit = bool(mask_on_input(inputs, known.mask, one.finding.position)[peak_of(one.values)])
        at = one.finding.position
        rows.append(Judged(series.group, at in called, one.finding, said.probabilities[at], right, not hit, trust))
    return rows


def _forced(bundle: Bundle, probabilities: NDArray[np.floating], position: int) -> Finding:
    """Name the most probable finding of an image in which none is called."""
    index = max((at for at, one in enumerate(bundle.manifest.classes) if one.finding), key=lambda at: probabilities[at])
    entry = bundle.manifest.classes[index]
    return Finding(entry.name, index, None, float(probabilities[index]), entry.threshold, position)


def studied(bundle: Bundle, envelope: Envelope, series: AnnotatedSeries) -> list[dict[str, Any]]:
    """Say of one series whether it has a finding, whether one is called, and whether it is unlike commissioning's.

    Where only some of its planes have a finding, those without one are a study more: one without a finding.
    """
    inputs = prepare(bundle, series.image)
    probabilities = classify(bundle, inputs, options=AnalysisOptions(device="cpu")).probabilities
    kinds = [None if one is None else class_of(one.label, bundle.manifest) for one in series.annotations]
    classes = bundle.manifest.classes
    has = np.array([kind is not None and classes[kind].finding for kind in kinds])
    called = np.array([[row[at] >= one.threshold for at, one in enumerate(classes) if one.finding]
                       for row in probabilities]).any(axis=1)  # fmt: skip
    flat = inputs.tensor[:, 0].flatten(1)
    shown = (flat.amax(dim=1) > flat.amin(dim=1)).numpy()
    planes = look(bundle, inputs.tensor, torch.device("cpu"))
    parts = {bool(has.any()): np.ones(len(has), np.bool_)} | ({False: ~has} if not has.all() else {})
    return [
        {
            "group": series.group,
            "positive": positive,
            "called": bool(called[part].any()),
            "outside": envelope.ratio({name: table[part[shown]] for name, table in planes.items()}) > 1,
        }
        for positive, part in parts.items()
    ]


def studies(asked: argparse.Namespace) -> None:
    """Print the share of studies that are unlike those of commissioning, for each kind; go on where a run was ended."""
    known: dict[str, list[dict[str, Any]]] = {}
    if asked.resume and asked.resume.exists():
        known = json.loads(asked.resume.read_text(encoding="utf-8"))
    for site in SITES:
        if asked.bundle not in (None, site.bundle):
            continue
        bundle, _, warrant = site.load()
        print(f"\n{site.bundle}, passport {site.passport}, by study\n")
        if warrant.envelope is None:
            raise SystemExit("The passport is of an earlier release: python deploy/shipped_passports.py")
        own = warrant.envelope.out
        print(f"Own site, patients left out of the fit (cross-conformal): {shown(asdict(own))}, n {own.n}\n")
        print("| images | unlike: studies with a finding | without a finding | without a call: no statement |")
        print("|---|---|---|---|")
        for name, series, _ in image_groups(site.data, site.other_sequence, asked.split):
            key = f"{site.bundle}: {name}"
            if not any(part in name for part in asked.images):
                continue
            if key not in known:
                known[key] = [row for one in series[: asked.limit] for row in studied(bundle, warrant.envelope, one)]
                if asked.resume:
                    asked.resume.write_text(json.dumps(known) + "\n", encoding="utf-8")
            rows = known[key]
            parts = (
                [row for row in rows if row["positive"]],
                [row for row in rows if not row["positive"]],
                [row for row in rows if not row["called"]],
            )
            print(f"| {name} | " + " | ".join(map(_unlike, parts)) + " |", flush=True)


def _unlike(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "none"
    found = share([row["outside"] for row in rows], [row["group"] for row in rows])
    return f"{sum(row['outside'] for row in rows)} of {len(rows)}: {shown(asdict(found))}"


def maps(site: Site, asked: argparse.Namespace) -> dict[str, Any]:
    """Print the verdicts on maps of each kind of images, then what the envelope does to them; return the figures."""
    bundle, _, warrant = site.load()
    print(f"\n{site.bundle}, passport {site.passport}, alpha {site.alpha:g} at confidence {1 - DELTA:g}\n")
    print("| images | maps, called, groups | " + " | ".join(VERDICTS) + " | TRUSTED that miss | guarantee |")
    print("|---|---|" + "---|" * (len(VERDICTS) + 2))
    every: dict[str, Any] = {}
    strange: list[Judged] = []
    for name, series, other_kind in image_groups(site.data, site.other_sequence, asked.split):
        if not any(part in name for part in asked.images):
            continue
        most = None if asked.limit is None else math.ceil(asked.limit / len(series))
        rows = [
            row
            for one in series[: asked.limit]
            for row in judged(bundle, warrant, one, most=most, explain_all=other_kind)
        ]
        if not rows:
            print(f"| {name} | 0: nothing called |" + " - |" * (len(VERDICTS) + 2), flush=True)
            continue
        strange += [] if name == OWN else rows
        found = every[name] = figures(rows, site.alpha)
        words = " | ".join(shown(found["verdicts"][word]) for word in VERDICTS)
        count = found["verdicts"][Verdict.TRUSTED]["value"] * found["maps"]
        miss = f"{found['trusted_misses']} of {count:.0f}: {shown(found['trusted_miss'])}"
        sizes = f"{found['maps']}, {found['called']}, {found['groups']}"
        print(f"| {name} | {sizes} | {words} | {miss} | {found['guarantee']} |", flush=True)
    print_envelope({name: found["envelope"] for name, found in every.items()} | {ALL_OTHERS: by_envelope(strange)})
    return every


def main() -> None:
    warnings.filterwarnings("ignore", message="Divide by zero", category=Warning)  # of an empty plane, by MONAI
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, help="maps of each group of images, about")
    parser.add_argument("--bundle", choices=[site.bundle for site in SITES])
    parser.add_argument("--split", default="commissioning")
    parser.add_argument("--images", nargs="*", default=[""], help="parts of the names of groups of images")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--studies", action="store_true", help="by study, not by map")
    parser.add_argument("--resume", type=Path, help="with --studies: JSON of what is done, written after every kind")
    asked = parser.parse_args()
    if asked.studies:
        studies(asked)
        return
    every: dict[str, Any] = {}
    for site in SITES:
        if asked.bundle in (None, site.bundle):
            every[site.bundle] = maps(site, asked)
    if asked.json:
        asked.json.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

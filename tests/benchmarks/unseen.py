"""Verdicts on images that a shipped passport was not made for: the share of each, and what TRUSTED maps miss.

``python -m tests.benchmarks.unseen [--limit 60] [--bundle glioma_flair] [--images organ pydicom] [--json FILE]``

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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest

from inference.bundle import SHIPPED, Bundle, load_bundle
from inference.classify import classify
from inference.commissioning.cases import AnnotatedSeries, Annotation, class_of, mask_on_input
from inference.commissioning.labels_folder import read_labels_folder
from inference.commissioning.seeds import seed_of
from inference.findings import Finding
from inference.image import read_series
from inference.options import AnalysisOptions
from inference.passport import SHIPPED_PASSPORTS, Passport, load_passport
from inference.prepare import prepare
from inference.saliency.findings import explain_findings
from inference.trust.assess import assess_maps
from inference.trust.signals import peak_of
from inference.trust.statistics import Interval, mean_by_group
from inference.trust.verdict import Trust, Verdict
from inference.trust.warrant import SEED, Warrant
from tests.development_data import FOLDER

Pixels = NDArray[Any]
Change = Callable[[Pixels], Pixels]
DELTA = 0.10
VERDICTS = (Verdict.TRUSTED, Verdict.CAUTION, Verdict.WITHHELD, Verdict.OUT_OF_ENVELOPE)
CHESTS = ("RG1_UNCR.dcm",)
OTHERS = (
    "RG3_UNCR.dcm", "693_UNCR.dcm", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "bad_sequence.dcm",
    "explicit_VR-UN.dcm", "JPGExtended.dcm", "examples_overlay.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm",
)  # fmt: skip
VIEWS = 12
"""Of one DICOM image: itself, and parts of at least 0.6 of its sides, drawn by seed."""


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


@dataclass(frozen=True, eq=False)
class Judged:
    """One map and the verdict on it."""

    group: str
    called: bool
    finding: Finding
    probabilities: NDArray[np.floating]
    right: bool
    """The image has the class called."""
    miss: bool
    trust: Trust


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
            hit = bool(mask_on_input(inputs, known.mask)[peak_of(one.values)])
        at = one.finding.position
        rows.append(Judged(series.group, at in called, one.finding, said.probabilities[at], right, not hit, trust))
    return rows


def _forced(bundle: Bundle, probabilities: NDArray[np.floating], position: int) -> Finding:
    """Name the most probable finding of an image in which none is called."""
    index = max((at for at, one in enumerate(bundle.manifest.classes) if one.finding), key=lambda at: probabilities[at])
    entry = bundle.manifest.classes[index]
    return Finding(entry.name, index, None, float(probabilities[index]), entry.threshold, position)


def series_of(folder: str, split: str) -> list[AnnotatedSeries]:
    """Read one split, in an order drawn by seed; every series has a name, for its own draws."""
    found = [one for one in read_labels_folder(FOLDER / folder, [split], is_volume=False)
             if isinstance(one, AnnotatedSeries)]  # fmt: skip
    named = [replace(one, image=replace(one.image, series_instance_uid=_name(one))) for one in found]
    return sorted(named, key=lambda one: seed_of("unseen", one.image.series_instance_uid))


def _name(series: AnnotatedSeries) -> str:
    return next(one.name for one in series.annotations if one is not None)


def dicom_views(names: Iterable[str]) -> list[AnnotatedSeries]:
    """Give the first plane of DICOM files that come with pydicom, and parts of each, without a finding."""
    found = []
    for name in names:
        path = get_testdata_file(name, download=False)
        if path is None:
            continue
        image = read_series([Path(str(path))])
        draw = np.random.default_rng(seed_of("views", name))
        for view in range(VIEWS):
            rows, columns = image.pixels.shape[1:]
            height, width = (int(side * (draw.uniform(0.6, 1) if view else 1)) for side in (rows, columns))
            top, left = draw.integers(0, rows - height + 1), draw.integers(0, columns - width + 1)
            part = np.ascontiguousarray(image.pixels[:1, top : top + height, left : left + width])
            frame = replace(image.frames[0], orientation=None, position_mm=None)
            shown = replace(image, series_instance_uid=f"{name} {view}", pixels=part, frames=(frame,))
            found.append(AnnotatedSeries(name, shown, (Annotation(name, "", ""),)))
    return found


def zoomed_in(planes: Pixels) -> Pixels:
    """Keep the middle 0.7 of each side."""
    rows, columns = (round(0.15 * side) for side in planes.shape[1:])
    return planes[:, rows:-rows, columns:-columns]


def zoomed_out(planes: Pixels) -> Pixels:
    """Put 0.2 of each side around it, black."""
    rows, columns = (round(0.2 * side) for side in planes.shape[1:])
    return np.pad(planes, ((0, 0), (rows, rows), (columns, columns)))


def windowed(planes: Pixels) -> Pixels:
    """Show the grey levels from the median of the tissue to its 90 % quantile only."""
    low, high = np.quantile(planes[planes > 0.04], [0.5, 0.9])
    return np.asarray(np.clip((planes - low) / max(float(high - low), 1e-6), 0, 1))


def noisy(planes: Pixels) -> Pixels:
    draw = np.random.default_rng(SEED)
    return np.clip(planes + 0.1 * draw.normal(size=planes.shape), 0, 1)


GEOMETRY: dict[str, Change] = {
    "field of view: the middle 0.7": zoomed_in,
    "field of view: 1.4 times, black rim": zoomed_out,
    "flipped left to right": lambda x: x[:, :, ::-1],
    "flipped up and down": lambda x: x[:, ::-1],
    "rows and columns exchanged": lambda x: x.transpose(0, 2, 1),
}
GREY: dict[str, Change] = {
    "gamma 0.5": lambda x: x**0.5,
    "gamma 2": lambda x: x**2,
    "inverted": lambda x: 1 - x,
    "narrow window": windowed,
    "noise, SD 0.1": noisy,
    "blurred, SD 2 pixels": lambda x: gaussian_filter(x, (0, 2, 2)),
}


def changed(series: AnnotatedSeries, grey: Change | None = None, geometry: Change | None = None) -> AnnotatedSeries:
    """Give the series as another scanner or a mistake might have: grey levels or geometry changed, masks with it."""
    pixels = series.image.pixels
    for change in (grey, geometry):
        pixels = pixels if change is None else np.ascontiguousarray(change(pixels), dtype=np.float32)
    annotations = [
        one if one is None or one.mask is None or geometry is None else replace(one, mask=geometry(one.mask[None])[0])
        for one in series.annotations
    ]
    return replace(series, image=replace(series.image, pixels=pixels), annotations=tuple(annotations))


def lines(site: Site, split: str) -> Iterable[tuple[str, list[AnnotatedSeries], bool]]:
    """Give each group of images by name, and whether they are of another kind."""
    own = series_of(site.data, split)
    yield "own site", own, False
    for name, change in GEOMETRY.items():
        yield name, [changed(one, geometry=change) for one in own], False
    for name, change in GREY.items():
        yield name, [changed(one, grey=change) for one in own], False
    yield f"another sequence ({site.other_sequence})", series_of(site.other_sequence, split), False
    yield "another organ (breast_us)", series_of("breast_us", split), True
    yield "chest radiograph (pydicom)", dicom_views(CHESTS), True
    yield "hand, CT, NM, US, MR (pydicom)", dicom_views(OTHERS), True


def share(values: Sequence[bool], groups: Sequence[str]) -> Interval:
    """Give a share with its 95 % interval by group; where all are alike the exact one, counting groups."""
    found = mean_by_group(np.array(values, float), np.array(groups), seed=SEED)
    if 0 < found.value < 1:
        return found
    exact = binomtest(round(found.value * found.groups), found.groups).proportion_ci()
    return replace(found, low=float(exact.low), high=float(exact.high))


def figures(rows: Sequence[Judged], alpha: float) -> dict[str, Any]:
    """Give the share of each verdict and what TRUSTED maps miss."""
    groups = [one.group for one in rows]
    trusted = [one for one in rows if one.trust.verdict is Verdict.TRUSTED]
    missed = share([one.miss for one in trusted], [one.group for one in trusted]) if trusted else None
    held = "nothing TRUSTED" if missed is None else "held" if missed.value <= alpha else "more than alpha"
    return {
        "maps": len(rows),
        "groups": len(set(groups)),
        "called": sum(one.called for one in rows),
        "verdicts": {word: asdict(share([one.trust.verdict is word for one in rows], groups)) for word in VERDICTS},
        "misses": sum(one.miss for one in rows),
        "trusted_misses": sum(one.miss for one in trusted),
        "trusted_miss": None if missed is None else asdict(missed),
        "guarantee": held,
    }


def shown(found: dict[str, Any] | None) -> str:
    """Write an interval."""
    return "-" if found is None else f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def main() -> None:
    warnings.filterwarnings("ignore", message="Divide by zero", category=Warning)  # of an empty plane, by MONAI
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, help="maps of each group of images, about")
    parser.add_argument("--bundle", choices=[site.bundle for site in SITES])
    parser.add_argument("--split", default="commissioning")
    parser.add_argument("--images", nargs="*", default=[""], help="parts of the names of groups of images")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    every: dict[str, Any] = {}
    for site in SITES:
        if asked.bundle not in (None, site.bundle):
            continue
        bundle, _, warrant = site.load()
        print(f"\n{site.bundle}, passport {site.passport}, alpha {site.alpha:g} at confidence {1 - DELTA:g}")
        print("| images | maps, called, groups | " + " | ".join(VERDICTS) + " | TRUSTED that miss | guarantee |")
        print("|---|---|" + "---|" * (len(VERDICTS) + 2))
        for name, series, other_kind in lines(site, asked.split):
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
            found = every.setdefault(site.bundle, {})[name] = figures(rows, site.alpha)
            words = " | ".join(shown(found["verdicts"][word]) for word in VERDICTS)
            count = found["verdicts"][Verdict.TRUSTED]["value"] * found["maps"]
            miss = f"{found['trusted_misses']} of {count:.0f}: {shown(found['trusted_miss'])}"
            print(
                f"| {name} | {found['maps']}, {found['called']}, {found['groups']} | {words} | {miss} | "
                f"{found['guarantee']} |",
                flush=True,
            )
    if asked.json:
        asked.json.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

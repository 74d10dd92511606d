"""Show that commissioning exposes a network that has learnt a shortcut.

``python -m inference.training.exhibits.shortcut_exhibit --data DIR --bundle DIR --out DIR
[--methods gradcam,...] [--quick]``

DIR of ``--data`` is ``glioma_flair``; its split ``test`` is never read. A marker is burnt into every slice with glioma
of a copy of the data, and the architecture of the honest bundle is trained on it without guidance, by the schedule of
``glioma_flair``. Each bundle is then commissioned on data like those it was trained on, with the same settings, and
both are judged on marked and on unmarked slices. Written into ``--out``: ``data`` (the copies),
``glioma_flair_marked`` (the bundle), ``honest`` and ``shortcut`` (``passport.json``, ``pictures.npz``), and
``exhibit.json``. ``python -m tests.benchmarks.shortcut_page --out DIR`` makes the page from it.

Held against ``glioma_flair_unguided`` the networks differ by the marker alone; held against ``glioma_flair`` by the
guidance too, without which maps miss the lesion, marker or not.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from inference.bundle.bundle import Bundle, load_bundle
from inference.cases.labels_folder import read_labels_folder
from inference.commissioning.commission import clear_work, commission
from inference.commissioning.measuring.settings import CommissionSettings
from inference.commissioning.work import Progress
from inference.devices import choose_device
from inference.errors import Refused
from inference.passport.passport import Passport, save_passport
from inference.statistics import bootstrap as statistics
from inference.statistics.seeds import seed_of
from inference.training.exhibits.comparing import ComparedCriterion, as_table, compare, exposed, said, shown
from inference.training.exhibits.marker import marker_region
from inference.training.exhibits.train_marked import JUDGED, NAME, train_marked, write_data
from inference.training.flair_data import read_patients
from inference.training.measuring import judge
from inference.training.model_card import cell, rows
from inference.training.slices import Slices
from inference.training.training import arguments, say

QUICK_SIZES = {
    "agreement_cases": 6, "cascade_cases": 2, "smprt_cases": 2, "smprt_samples": 1, "emprt_cases": 2,
    "contrast_cases": 4, "prediction_saliency_cases": 2, "perturbation_cases": 3, "information_cases": 2,
    "region_cases": 2, "tuning_cases": 4, "null_pairs": 20, "sample_cases": 1,
}  # fmt: skip

NOTE = (
    "The network with the shortcut is trained without guidance. Where the honest one was guided, criteria of "
    "localisation tell of both differences; figures on marked and on unmarked slices tell of the marker alone."
)


@dataclass(frozen=True)
class Found:
    """The exhibit, whole."""

    honest: Passport
    shortcut: Passport
    method: str
    """The one the honest bundle would be deployed with."""
    compared: tuple[ComparedCriterion, ...]
    classified: Mapping[str, Mapping[str, Any]]
    """Network and kind of slices to figures; see ``classified``."""


def commissioned(bundle: Bundle, data: Path, settings: CommissionSettings, out: Path, *, workers: int) -> Passport:
    """Commission one bundle; write ``passport.json``, and the maps of its gallery in the same order."""
    out.mkdir(parents=True, exist_ok=True)
    result = commission(
        bundle,
        lambda _bundle, splits: read_labels_folder(data, splits, is_volume=False),
        settings,
        out,
        resume=True,
        workers=workers,
        progress=_told(out.name),
    )
    save_passport(result.passport, out / "passport.json")
    stacks = {
        name: np.stack([getattr(picture, name) for picture in result.pictures])
        if result.pictures
        else np.zeros((0, 1, 1))
        for name in ("image", "map", "mask")
    }
    np.savez_compressed(out / "pictures.npz", allow_pickle=False, **stacks)
    clear_work(out)
    return result.passport


def _told(name: str) -> Progress:
    """Say once what is being done."""
    known: set[str] = set()

    def report(stage: str, _done: int, _total: int) -> None:
        what = "measuring" if stage.startswith("measuring") else stage
        if what not in known:
            known.add(what)
            say(name)(what)

    return report


def classified(bundle: Bundle, data: Slices) -> dict[str, Any]:
    """Say how well a network tells slices apart and where it looks: AUC, sensitivity, peaks near the marker.

    ``peak_near_marker``: of the slices called positive, the share whose highest Grad-CAM lies in the marker's region,
    whether or not there is a marker. Intervals: 95 %, bootstrap over patients.
    """
    target = next(index for index, entry in enumerate(bundle.manifest.classes) if entry.finding)
    region = np.broadcast_to(marker_region(data.sources.shape[1:]), data.sources.shape)
    network = bundle.primary()
    judged = judge(network.module, str(network.layer), replace(data, source_masks=region), target)
    scores, truth = judged.probability[:, target], data.labels.numpy() == 1
    called = scores >= bundle.manifest.classes[target].threshold
    hits, seed = judged.hit.astype(np.float64), seed_of("bootstrap")
    return {
        "auc": _figure(lambda: statistics.auroc(scores, truth, data.groups, seed=seed)),
        "sensitivity": _figure(
            lambda: statistics.mean_by_group(called[truth].astype(float), data.groups[truth], seed=seed)
        ),
        "peak_near_marker": _figure(lambda: statistics.mean_by_group(hits[called], data.groups[called], seed=seed)),
    }


def _figure(measure: Callable[[], statistics.Interval]) -> dict[str, Any]:
    """Return a figure with its interval, or why there is none."""
    try:
        estimate = measure()
    except Refused as error:
        return {"value": None, "interval": None, "reason": str(error)}
    interval = None if estimate.edges is None else [round(edge, 4) for edge in estimate.edges]
    return {"value": round(estimate.value, 4), "interval": interval, "slices": estimate.n, "patients": estimate.groups}


def exhibit(
    honest: Bundle,
    out: Path,
    settings: CommissionSettings,
    *,
    device: torch.device,
    quick: bool,
    replicate: bool = True,
    workers: int,
) -> Found:
    """Train, commission and compare on the data written by ``write_data`` into ``out/data``."""
    plain, marked = out / "data" / "plain", out / "data" / "marked"
    shortcut = train_marked(honest, marked, out / NAME, device=device, quick=quick, replicate=replicate)
    pairs = {"honest": (honest, plain), "shortcut": (shortcut, marked)}
    passports = {
        name: commissioned(bundle, data, settings, out / name, workers=workers)
        for name, (bundle, data) in pairs.items()
    }
    method = passports["honest"].chosen.method or honest.manifest.method
    slices = {name: read_patients(folder, JUDGED[-1:], honest.preprocessing) for name, folder in
              (("unmarked", plain), ("marked", marked))}  # fmt: skip
    return Found(
        honest=passports["honest"],
        shortcut=passports["shortcut"],
        method=method,
        compared=compare(passports["honest"], passports["shortcut"], method),
        classified={
            name: {kind: classified(bundle, data) for kind, data in slices.items()}
            for name, (bundle, _) in pairs.items()
        },
    )


def as_file(result: Found) -> dict[str, Any]:
    """Return what ``exhibit.json`` holds."""
    both = {name for name, entry in result.honest.methods.items() if entry.criteria and not entry.control} & {
        name for name, entry in result.shortcut.methods.items() if entry.criteria
    }
    return {
        "honest": asdict(result.honest.bundle),
        "shortcut": asdict(result.shortcut.bundle),
        "passports": {"honest": result.honest.digest, "shortcut": result.shortcut.digest},
        "settings": result.honest.settings,
        "device": result.honest.fingerprint.device,
        "method": result.method,
        "criteria": as_table(result.compared),
        "passed_by_honest_only": list(exposed(result.compared)),
        "passed_by_honest_only_by_method": {
            name: list(exposed(compare(result.honest, result.shortcut, name))) for name in sorted(both)
        },
        "classified": result.classified,
        "note": NOTE,
        "marker": "a white L of 16 x 11 pixels on 256, upper corner, in every slice with glioma and in no other",
    }


def as_text(result: Found) -> str:
    """Return the tables for a terminal, in Markdown."""
    lines = [
        [
            comparison.rule.title,
            shown(comparison.honest),
            said(comparison.honest),
            shown(comparison.shortcut),
            said(comparison.shortcut),
        ]
        for comparison in result.compared
    ]
    figures = [
        [f"{name}, {kind} slices", *(_cell(figure) for figure in of.values())]
        for name, kinds in result.classified.items()
        for kind, of in kinds.items()
    ]
    names = exposed(result.compared)
    return "\n\n".join(
        [
            f"Method: {result.method}",
            rows(["criterion", "honest", "", "with the shortcut", ""], lines),
            rows(["network and slices", "AUC", "sensitivity", "peak near the marker, all called positive"], figures),
            "Passed by the honest one, failed by the one with the shortcut: " + (", ".join(names) or "none") + ".",
            NOTE,
            "Brackets: 95 % bootstrap intervals over patients; (passed), (failed): the interval does not settle it.",
        ]
    )


def _cell(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "not measured"
    return cell(figure) if figure["interval"] else f"{figure['value']:.3f} (no interval)"


def size(text: str) -> tuple[str, int]:
    """Read NAME=COUNT."""
    name, _, count = text.partition("=")
    return name, int(count)


def read_command(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = arguments(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the honest bundle")
    parser.add_argument("--methods", default="gradcam,integrated_gradients", help="comma-separated, or all")
    parser.add_argument("--size", type=size, action="append", default=[], metavar="NAME=COUNT")
    parser.add_argument("--limit", type=int, help="at most so many explained cases of each split")
    parser.add_argument("--without-replicate", action="store_true", help="train one network; no repeatability")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the commissioning")
    return parser.parse_args(words)


def run(asked: argparse.Namespace) -> Found:
    """Make the whole exhibit and write ``exhibit.json``."""
    torch.set_num_threads(asked.threads)
    honest = load_bundle(asked.bundle)
    settings = CommissionSettings(methods=tuple(asked.methods.split(",")), device=asked.device, limit=asked.limit)
    settings = settings.with_sizes({**(QUICK_SIZES if asked.quick else {}), **dict(asked.size)})
    write_data(asked.data, asked.out / "data", quick=asked.quick)
    result = exhibit(
        honest, asked.out, settings, device=choose_device(asked.device),
        quick=asked.quick, replicate=not asked.without_replicate, workers=asked.workers,
    )  # fmt: skip
    text = json.dumps(as_file(result), indent=2) + "\n"
    (asked.out / "exhibit.json").write_text(text, encoding="utf-8")
    return result


def main() -> None:
    """Make the exhibit and print it."""
    print(as_text(run(read_command())))  # noqa: T201


if __name__ == "__main__":
    main()

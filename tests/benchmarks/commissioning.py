"""How long commissioning takes, from a small run: hours for 500 images x 8 methods on 2 cores, and where they go.

``python -m tests.benchmarks.commissioning [--bundle NAME] [--folder NAME] [--cases 4] [--images 500]``

The eight methods are those of Arun et al. 2021; ``--methods`` names others. A few cases are commissioned in one process
on one thread. Every piece of that run is scaled by cases to the sizes of a run in full: nothing is taken to be shared
between cases, so that the hours are rather too many. Two processes are taken to share the work evenly. What could not
be measured is named, for its hours are missing: nulls want two patients of one class, which four cases of three have.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from inference.bundle.discovery import load_named
from inference.commissioning.commission import commission
from inference.commissioning.measuring.bench import PRIMARY, TUNING
from inference.commissioning.measuring.settings import CommissionSettings
from inference.commissioning.readings import FAMILIES
from inference.commissioning.verdict.rows import PART_NAMES
from inference.passport.passport import Passport
from node.commands.models.commission import source_of
from tests.development_data import FOLDER

METHODS = (
    "gradient", "smoothgrad", "integrated_gradients", "smooth_integrated_gradients", "gradcam", "xrai",
    "guided_backprop", "guided_gradcam",
)  # fmt: skip
SIZE = {
    "repeatability": "agreement_cases", "reproducibility": "agreement_cases", "contrast": "contrast_cases",
    "cascade": "cascade_cases", "smprt": "smprt_cases", "emprt": "emprt_cases", "fidelity": "perturbation_cases",
    "road": "perturbation_cases", "infidelity": "perturbation_cases",
    "prediction_saliency": "prediction_saliency_cases", "information": "information_cases", "regions": "region_cases",
    TUNING: "tuning_cases",
}  # fmt: skip
"""Which size bounds the cases of a family or set of maps; all others take every case."""


def cases_of(part: str, settings: CommissionSettings, images: int) -> int:
    """Return how many cases a family of criteria, or a set of maps, works on."""
    if part in ("localisation", PRIMARY, *PART_NAMES):
        return images
    return min(images, int(getattr(settings, SIZE.get(part, "agreement_cases"))))


def extrapolated(
    times: Mapping[str, float], small: CommissionSettings, cases: int, full: CommissionSettings, images: int
) -> dict[str, float]:
    """Return the seconds of each family and set of maps in full.

    Args:
        times: seconds of each piece of the small run, named PART.REST.
        small: its settings.
        cases: explained in it.
        full: settings of the run in full.
        images: explained in that.
    """
    total: dict[str, float] = {}
    for piece, seconds in times.items():
        part = piece.partition(".")[0]
        scale = cases_of(part, full, images) / cases_of(part, small, cases)
        copies = full.smprt_samples / small.smprt_samples if part == "smprt" else 1.0
        total[part] = total.get(part, 0.0) + seconds * scale * copies
    return total


def tell(passport: Passport, total: Mapping[str, float], setting_up: float, images: int) -> None:
    """Print it."""
    run = passport.run
    assert run is not None
    methods = [name for name, entry in passport.methods.items() if not entry.control and entry.criteria]
    for name in methods:
        print(f"{name}: {run.seconds_alone.get(name, float('nan')):.3f} s an image alone")
    for part, seconds in sorted(total.items(), key=lambda one: -one[1]):
        kind = "figures" if part in FAMILIES else "signals of the verdict" if part in PART_NAMES else "maps"
        print(f"{part}: {seconds / 3600:.2f} h ({kind})")
    missing = {
        f"{name}: {one.reason}" for method in methods
        for name, one in passport.methods[method].criteria.items() if one.value is None
    }  # fmt: skip
    for words in sorted(missing):
        print(f"MISSING from the hours: {words}")
    hours = sum(total.values()) / 3600
    share = "not known" if run.share_in_network is None else f"{100 * run.share_in_network:.0f} %"
    print(
        f"{images} images x {len(methods)} methods and every control, all criteria: {hours:.1f} h on one core, "
        f"{hours / 2:.1f} h on 2; {3600 * hours / images / len(methods):.2f} s of one core for each image and method; "
        f"setting up took {setting_up:.0f} s; of the small run's maps and figures {share} in passes of the network",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="brain_tumour_t1ce")
    parser.add_argument("--folder", default="brain_t1ce", help="of the development data")
    parser.add_argument("--cases", type=int, default=4, help="explained in the small run")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--methods", default=",".join(METHODS), help="a,b")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    full = CommissionSettings(methods=tuple(asked.methods.split(",")))
    sizes = {name: min(asked.cases, getattr(full, name)) for name in SIZE.values()}
    small = replace(full, limit=asked.cases, smprt_samples=1, **sizes)
    with TemporaryDirectory() as folder:
        out = Path(folder)
        found = commission(load_named(asked.bundle), source_of(FOLDER / asked.folder), small, out).passport
        noted = {path.stem: json.loads(path.read_text()) for path in out.glob("work/*/times/*.json")}
    times = {name: seconds for name, (seconds, _) in noted.items()}
    explained = found.data.splits[small.judged].explained
    assert found.run is not None
    total = extrapolated(times, small, explained, full, asked.images)
    tell(found, total, found.run.seconds - sum(times.values()), asked.images)


if __name__ == "__main__":
    main()

"""Shipped bundles under the keys that they state now, against what they meant as heatproof 0.1.0 sealed them.

``python -m tests.benchmarks.same_answers [--bundle NAME] [--limit N] [--move]``

Each bundle is loaded twice: as shipped, and as 0.1.0 sealed it (the stated keys taken out of ``heatproof.toml``, a list
of digests without a version; its digest is that which the shipped passports name, or the script stops). Both classify
the same pictures, splits train and calibration, and phantoms written as DICOM with a window. Printed is the largest
difference of any probability, and how many calls changed.

``--move``: where no probability differs by more than ``FLOAT_NOISE`` and no call changed, the shipped passports of the
bundle are rewritten to name its digest of today, with a sentence that says so; everything else in them stays.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from inference.bundle.bundle import SHIPPED, Bundle, load_bundle
from inference.bundle.digests import SEAL, digest_files
from inference.cases.cases import Excluded
from inference.cases.labels_folder import read_labels_folder
from inference.classify import classify
from inference.options import AnalysisOptions
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport
from inference.passport.shipped import move
from inference.phantom.phantom import make_phantom
from inference.prepare import prepare
from inference.reading.image import Image
from inference.reading.study import read_study
from reports.objects.phantom_study import write_study
from tests.development_data import FOLDER

DATA = {"glioma_flair": "glioma_flair", "glioma_flair_unguided": "glioma_flair", "brain_tumour_t1ce": "brain_t1ce"}
SPLITS = ("train", "calibration")
STATED = ("values", "layout", "statistics")
"""Keys of [input] that 0.1.0 did not know."""
CARD = (
    ("inference.training.train_glioma", "inference.bundles.train_glioma"),
    ("inference.training.evaluate_glioma", "inference.bundles.evaluate_glioma"),
    (
        "trained on the same slices by cross entropy alone, by a shorter schedule.",
        "trained by the same recipe without guidance.",
    ),
    ("an internal test split had no part in any choice.", "an internal test split is unread."),
)
"""Words of the model cards, now and in 0.1.0."""
PHANTOMS = range(1, 9)
FLOAT_NOISE = 1e-4
"""Largest difference of a probability that is rounding: values are float32 and scaled in another order."""
MOVED = "Moved to the bundle's digest of today: same files but for stated keys of heatproof.toml, largest difference"


@dataclass(frozen=True)
class Difference:
    """What two readings of the same pictures gave."""

    planes: int
    largest: float
    calls_changed: int

    @property
    def words(self) -> str:
        """As a passport says it."""
        return f"{self.largest:.0e} of any probability on {self.planes} pictures, {self.calls_changed} calls changed."


def as_sealed_before(bundle: Path, folder: Path) -> Bundle:
    """Copy a bundle as 0.1.0 sealed it."""
    shutil.copytree(bundle, folder)
    manifest = folder / "heatproof.toml"
    lines = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if line.split(" ")[0] not in STATED), encoding="utf-8")
    card = folder / "README.md"
    words = card.read_text(encoding="utf-8")
    for now, then in CARD:
        words = words.replace(now, then)
    card.write_text(words, encoding="utf-8")
    (folder / SEAL).write_bytes(digest_files(folder).partition(b"\n")[2])
    return load_bundle(folder)


def pictures(data: str, limit: int | None) -> Iterator[Image]:
    """Yield the development pictures, series by series of each split, then phantoms from DICOM files."""
    for split in SPLITS:
        for series in islice(read_labels_folder(FOLDER / data, [split], is_volume=False), limit):
            if not isinstance(series, Excluded):
                yield series.image
    for seed in PHANTOMS[:limit]:
        with tempfile.TemporaryDirectory() as folder:
            yield from read_study(write_study(make_phantom(seed), Path(folder))).images


def compare(before: Bundle, now: Bundle, images: Iterator[Image]) -> Difference:
    """Classify every picture by both."""
    options = AnalysisOptions(device="cpu")
    thresholds = np.array([entry.threshold if entry.finding else np.inf for entry in now.manifest.classes])
    planes, largest, changed = 0, 0.0, 0
    for image in images:
        first, second = (classify(one, prepare(one, image), options=options).probabilities for one in (before, now))
        planes += len(first)
        largest = max(largest, float(np.abs(first - second).max()))
        changed += int(((first >= thresholds) != (second >= thresholds)).any(axis=1).sum())
    return Difference(planes, largest, changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", choices=DATA)
    parser.add_argument("--limit", type=int, help="series of each split, and phantoms")
    parser.add_argument("--move", action="store_true")
    asked = parser.parse_args()
    for name in [asked.bundle] if asked.bundle else DATA:
        now = load_bundle(SHIPPED / name)
        with tempfile.TemporaryDirectory() as folder:
            before = as_sealed_before(SHIPPED / name, Path(folder) / name)
            former, today = before.identity.digest, now.identity.digest
            paths = sorted(SHIPPED_PASSPORTS.glob(f"*/{name}/passport.json"))
            named = {path: load_passport(path).bundle.digest for path in paths}
            if set(named.values()) - {former, today}:
                raise SystemExit(f"{name}: a shipped passport names neither digest; its bundle had other files.")
            found = compare(before, now, pictures(DATA[name], asked.limit))
        print(
            f"{name}: {found.planes} pictures, largest difference {found.largest:.1e}, {found.calls_changed} calls "
            f"changed; sealed before {former[:12]}, now {today[:12]}",
            flush=True,
        )
        if asked.move and found.largest <= FLOAT_NOISE and not found.calls_changed:
            for path, digest in named.items():
                if digest == former:
                    move(path, today, MOVED, found.words)
                    print(f"  moved {path.relative_to(SHIPPED_PASSPORTS)}")


if __name__ == "__main__":
    main()

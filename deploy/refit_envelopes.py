"""Fit the envelopes of the shipped passports anew, and count what their models miss, on the data they were made with.

``python deploy/refit_envelopes.py --data DIR [--only site_c] [--work DIR]``

DIR holds ``glioma_flair`` and ``brain_t1ce``; phantoms are drawn again by seed. Splits are those that each passport
names; ``test`` is none of them. Nothing but the envelope and what rests on it changes, and the page beside a passport.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.bundle.bundle import SHIPPED, Bundle, load_bundle
from inference.cases.cases import AnnotatedSeries, Excluded
from inference.cases.labels_folder import read_labels_folder
from inference.commissioning.refitting import refit_envelope
from inference.passport.entries import GroupsAre
from inference.passport.envelope import Envelope
from inference.passport.passport import SHIPPED_PASSPORTS, load_passport, save_passport
from inference.passport.verdict import FittedVerdict
from inference.statistics.bootstrap import Interval
from inference.training.phantom_cases import write_phantoms
from reports.passport.page import passport_page

PHANTOMS = "phantoms"
PHANTOM_PATIENTS = 100


@dataclass(frozen=True)
class Shipped:
    """One passport that comes with the product."""

    site: str
    bundle: str
    data: str
    unit: GroupsAre
    """What its groups are, by the description of the data."""


EVERY = (
    Shipped("site_c", "glioma_flair", "glioma_flair", "patients"),
    Shipped("brisc", "brain_tumour_t1ce", "brain_t1ce", "groups"),
    Shipped(PHANTOMS, "glioma_flair", PHANTOMS, "patients"),
    Shipped(PHANTOMS, "glioma_flair_unguided", PHANTOMS, "patients"),
)


def refit(shipped: Shipped, data: Path, work: Path) -> None:
    """Fit one anew, write it in place of the former, and print what changed.

    Raises:
        PassportRefused: the data are not those that it was made with.
    """
    path = SHIPPED_PASSPORTS / shipped.site / shipped.bundle / "passport.json"
    bundle = load_bundle(SHIPPED / shipped.bundle)

    def source(of: Bundle, splits: Sequence[str]) -> Iterator[AnnotatedSeries | Excluded]:
        return read_labels_folder(data / shipped.data, splits, is_volume=of.manifest.kind == "volume")

    commissioned = refit_envelope(
        load_passport(path), bundle, source, work,
        unit=shipped.unit, drawn_again=shipped.data == PHANTOMS, device="cpu",
    )  # fmt: skip
    anew, page = commissioned.passport, path.with_name("report.html")
    save_passport(anew, path)
    if page.exists():
        page.write_text(passport_page(anew, commissioned.pictures), encoding="utf-8")
    verdict = anew.verdict
    if isinstance(verdict, FittedVerdict) and isinstance(verdict.envelope, Envelope):
        own, out = verdict.envelope.out, verdict.out_of_envelope
        print(f"{shipped.site} {shipped.bundle}: out of the envelope {_shown(own)} left out, {_shown(out)} judged")  # noqa: T201
    for name, figures in anew.classification.classes.items():
        print(f"  {name}: {figures.missed}")  # noqa: T201


def _shown(share: Interval) -> str:
    return f"{share.value:.3f} [{share.low:.3f}, {share.high:.3f}] of {share.n} stacks, {share.groups} groups"


def main() -> None:
    """Refit what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--only", help="a site, or SITE/BUNDLE")
    parser.add_argument("--work", type=Path, help="folder for unfinished work; a temporary one where left out")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = asked.work or Path(temporary)
        for shipped in EVERY:
            if asked.only not in (None, shipped.site, f"{shipped.site}/{shipped.bundle}"):
                continue
            data = asked.data
            if shipped.data == PHANTOMS:
                data = work
                if not (work / PHANTOMS / "labels.csv").exists():
                    write_phantoms(work / PHANTOMS, PHANTOM_PATIENTS)
            refit(shipped, data, work / shipped.site / shipped.bundle)


if __name__ == "__main__":
    main()

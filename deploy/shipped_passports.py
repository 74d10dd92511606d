"""Make the passports that come with the product, on the data they are about: run it where a definition has changed.

``python deploy/shipped_passports.py --data DIR --work DIR [--only site_c] [--methods NAME,NAME | --verdict | --card |
--further NAME,NAME [--limit N] [--size NAME=N]]``

DIR holds ``glioma_flair`` and ``brain_t1ce``; phantoms are drawn by seed. Splits and sizes are those of the passport
that is replaced, methods are its own and some further ones; ``test`` is no split of them. The verdict rests on every
case, whatever other figures rest on. A killed run goes on with the same ``--work``. ``--methods``: these and the
bundle's own are measured, on every case; figures of the others stay, and the passport says of which they are.
``--further``: rows of these methods are put beside those there are, on at most N cases of each split; the
verdict stays.
``--card``: nothing but words of the bundle's model card has changed since; the passport names the digest of today.
``--verdict``: the verdict alone, all other figures stay; where a network beside the primary has changed since, as the
localiser, which no other figure rests on, the passport says so.
"""

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from inference.bundle.bundle import SHIPPED, Bundle, load_bundle
from inference.cases.cases import AnnotatedSeries, Excluded
from inference.cases.labels_folder import read_labels_folder
from inference.commissioning.belonging import settings_of
from inference.commissioning.commission import Commissioned, add_verdict, commission
from inference.commissioning.pictures import pictures_of
from inference.errors import PassportRefused
from inference.passport.entries import Sample
from inference.passport.passport import SHIPPED_PASSPORTS, Passport, load_passport, save_passport, sealed
from inference.passport.shipped import move, name_digest
from inference.training.phantom_cases import write_phantoms
from reports.passport.page import passport_page

PHANTOMS = "phantoms"
PHANTOM_PATIENTS = 100
FURTHER = ("smoothed_gradcam", "guided_integrated_gradients")
"""Methods that are measured beside those of the passport that is replaced."""
Value = TypeVar("Value")
KEPT = "Figures of"
ADDED = "The rows of"
MOVED, CARD = "Moved to the bundle's digest of today: words", "of the model card are all that has changed."
CARRIED_OVER = "The figures beside the verdict rest on"


@dataclass(frozen=True)
class Shipped:
    """One passport that comes with the product."""

    site: str
    bundle: str
    data: str
    names_patients: bool
    """Whether its groups are patients, by the description of the data."""


EVERY = (
    Shipped("site_c", "glioma_flair", "glioma_flair", True),
    Shipped("brisc", "brain_tumour_t1ce", "brain_t1ce", False),
    Shipped(PHANTOMS, "glioma_flair", PHANTOMS, True),
    Shipped(PHANTOMS, "glioma_flair_unguided", PHANTOMS, True),
)


@dataclass(frozen=True)
class Asked:
    """What is measured anew: every method where nothing is said."""

    methods: tuple[str, ...] = ()
    """These alone, and the bundle's own."""
    further: tuple[str, ...] = ()
    """Rows of these beside those there are."""
    limit: int | None = None
    """Explained cases of each split for the further ones."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Cases of costly criteria for the further ones."""
    verdict_alone: bool = False
    card_alone: bool = False
    """Nothing: words of the model card are all that has changed."""


def make(shipped: Shipped, data: Path, work: Path, wanted: Asked) -> None:
    """Make one anew, and write it in place of the former."""
    path = SHIPPED_PASSPORTS / shipped.site / shipped.bundle / "passport.json"
    bundle, former = load_bundle(SHIPPED / shipped.bundle), load_passport(path)
    if wanted.card_alone:
        _move(path, former, bundle)
        return

    def source(of: Bundle, splits: Sequence[str]) -> Iterator[AnnotatedSeries | Excluded]:
        for entry in read_labels_folder(data / shipped.data, splits, is_volume=of.manifest.kind == "volume"):
            if isinstance(entry, AnnotatedSeries) and shipped.names_patients:
                yield replace(entry, is_patient=True)
            else:
                yield entry

    began = time.monotonic()

    def say(stage: str, done: int, total: int) -> None:
        about = f"{time.monotonic() - began:.0f} s {shipped.site} {shipped.bundle}"
        print(f"{about}: {stage} {done} of {total}", flush=True)  # noqa: T201

    asked = settings_of(former, "cpu")
    if wanted.methods:
        asked = replace(asked, methods=wanted.methods, limit=None)
        made = commission(bundle, source, asked, work / "methods", resume=True, progress=say)
        made = replace(made, passport=_beside(former, made.passport))
    elif wanted.further:
        asked = replace(asked, methods=wanted.further, limit=wanted.limit).with_sizes(wanted.sizes)
        measured = commission(bundle, source, asked, work / "further", resume=True, progress=say).passport
        pictures = pictures_of(former, bundle, source, work / "pictures", device="cpu")
        made = Commissioned(_with_rows(former, measured, wanted), pictures)
    else:
        if wanted.verdict_alone:
            passport = _of_today(former, bundle)
        else:
            asked = replace(asked, methods=tuple(dict.fromkeys((*asked.methods, *FURTHER))))
            passport = commission(bundle, source, asked, work / "all", resume=True, progress=say).passport
        made = add_verdict(passport, bundle, source, work / "verdict", device="cpu", resume=True, progress=say)
    anew = sealed(replace(made.passport, references=former.references))
    save_passport(anew, path)
    name_digest(path, anew.digest)
    page = path.with_name("report.html")
    if page.exists():
        page.write_text(passport_page(anew, made.pictures), encoding="utf-8")
    say("written", 1, 1)


def _with_rows(former: Passport, measured: Passport, wanted: Asked) -> Passport:
    """Return the former passport with the rows of further methods.

    Raises:
        PassportRefused: they are of another primary network or of other data.
    """
    _check_alike(former, measured)
    of = "all explained cases" if wanted.limit is None else f"at most {wanted.limit} explained cases of each split"
    about = f"{ADDED} {', '.join(wanted.further)} are of {of}: {measured.fingerprint.device}."
    methods = {**former.methods, **_of(measured.methods, wanted.further)}
    return sealed(
        replace(
            former,
            methods=methods,
            settings={**former.settings, "methods": tuple(methods)},
            limits=(*(limit for limit in former.limits if not limit.startswith(ADDED)), about),
        )
    )


def _check_alike(former: Passport, measured: Passport) -> None:
    before, now = former.bundle.weights_digest, measured.bundle.weights_digest
    if (before, former.data.digest) != (now, measured.data.digest):
        raise PassportRefused("The passport is of another primary network or other data.", cure="Leave --methods out.")


def _beside(former: Passport, measured: Passport) -> Passport:
    """Return what was measured with the former's figures of all other methods.

    Raises:
        PassportRefused: they are of another primary network, of other data, or of a passport before the former.
    """
    _check_alike(former, measured)
    kept = {name: entry for name, entry in former.methods.items() if name not in measured.methods}
    if not kept:
        return measured
    if any(limit.startswith(KEPT) for limit in former.limits):
        raise PassportRefused(
            "Some figures of the passport are those of an earlier one.",
            cure="Leave --methods out, or name every method.",
        )
    names, of_case = ", ".join(kept), {sample.case: sample for sample in former.sample}
    about = (
        f"{KEPT} {names} are those of the passport before, of the same primary network on the same data: "
        f"{former.fingerprint.device}, at most {former.settings['limit']} explained cases of each split."
    )
    chosen = replace(
        measured.chosen,
        tally={**_of(former.chosen.tally, kept), **measured.chosen.tally},
        reason=f"{measured.chosen.reason} It was not held again against methods whose figures are those of before.",
    )
    return replace(
        measured,
        methods={**measured.methods, **kept},
        settings={**measured.settings, "methods": (*measured.methods, *kept)},
        chosen=chosen,
        sample=tuple(_with_sample(sample, of_case.get(sample.case), tuple(kept)) for sample in measured.sample),
        limits=(*measured.limits, about),
    )


def _with_sample(sample: Sample, former: Sample | None, kept: Sequence[str]) -> Sample:
    if former is None or former.class_name != sample.class_name:
        return sample
    return replace(
        sample,
        digests={**sample.digests, **_of(former.digests, kept)},
        average_precision={**sample.average_precision, **_of(former.average_precision, kept)},
        hit={**sample.hit, **_of(former.hit, kept)},
    )


def _of(figures: Mapping[str, Value], names: Iterable[str]) -> dict[str, Value]:
    return {name: figures[name] for name in names if name in figures}


def _of_today(former: Passport, bundle: Bundle) -> Passport:
    """Return a passport as one of the bundle as it is now, whose primary network has not changed.

    Raises:
        PassportRefused: it is of another primary network.
    """
    now, then = bundle.identity, former.bundle
    if now.digest == then.digest:
        return former
    if now.weights_digest != then.weights_digest:
        raise PassportRefused("The passport is of another primary network.", cure="Leave --verdict out.")
    about = (
        f"{CARRIED_OVER} version {then.version} of the bundle, whose networks but the localiser are those of "
        f"{now.version}, and on the most probable class of each case; the verdict is on every class that reaches its "
        "threshold."
    )
    entry = replace(then, version=now.version, title=now.title, digest=now.digest)
    limits = tuple(limit for limit in former.limits if not limit.startswith(CARRIED_OVER))
    return sealed(replace(former, bundle=entry, limits=(*limits, about)))


def _move(path: Path, former: Passport, bundle: Bundle) -> None:
    """Have a passport name a bundle of which words of the model card alone have changed.

    Raises:
        PassportRefused: it is of another version of the bundle or another primary network.
    """
    now, then = bundle.identity, former.bundle
    if (now.version, now.weights_digest) != (then.version, then.weights_digest):
        raise PassportRefused("More than the model card has changed.", cure="Leave --card out.")
    move(path, now.digest, MOVED, CARD)


def main() -> None:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for unfinished work")
    parser.add_argument("--only", help="a site, or SITE/BUNDLE")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--methods", default="", help="these alone, and the bundle's own, with the verdict")
    part.add_argument("--further", default="", help="rows of these beside those there are")
    part.add_argument("--verdict", action="store_true", help="the verdict alone")
    part.add_argument("--card", action="store_true", help="only words of the model card have changed")
    parser.add_argument("--limit", type=int, help="explained cases of each split, of --further")
    parser.add_argument("--size", action="append", default=[], help="cases of a costly criterion, of --further")
    asked = parser.parse_args()
    methods, further = (tuple(filter(None, names.split(","))) for names in (asked.methods, asked.further))
    sizes = {name: int(count) for name, count in (size.split("=") for size in asked.size)}
    wanted = Asked(methods, further, asked.limit, sizes, asked.verdict, asked.card)
    for shipped in EVERY:
        if asked.only not in (None, shipped.site, f"{shipped.site}/{shipped.bundle}"):
            continue
        data = asked.work if shipped.data == PHANTOMS else asked.data
        if shipped.data == PHANTOMS and not asked.card and not (asked.work / PHANTOMS / "labels.csv").exists():
            write_phantoms(asked.work / PHANTOMS, PHANTOM_PATIENTS)
        make(shipped, data, asked.work / shipped.site / shipped.bundle, wanted)


if __name__ == "__main__":
    main()

"""From raw figures to the passport: criteria judged, the method chosen, the sample to be recomputed, the limits."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inference.commissioning.acquisitions import acquisitions_seen
from inference.commissioning.choosing import Raws, choose, gallery, limits_of
from inference.commissioning.classifying import Probabilities, classification, counts_of
from inference.commissioning.judging import DIGITS, CriterionReading, judged, rounded
from inference.commissioning.measuring.bench import Bench, Explained
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.measuring.settings import CommissionSettings, fingerprint_of
from inference.commissioning.readings import EXTRA, reading
from inference.commissioning.unseen import overlap_in_words
from inference.criteria.localisation import average_precision, hit
from inference.passport.entries import (
    BundleEntry,
    Counts,
    Criterion,
    DataEntry,
    FingerprintEntry,
    LeftOut,
    MethodEntry,
    Sample,
)
from inference.passport.passport import Passport
from inference.passport.rules import RULES
from inference.saliency.registry import method_named, settle


@dataclass(frozen=True, eq=False)
class ClassifiedSplit:
    """One split as the classifier sees it."""

    positions: tuple[int, ...]
    probabilities: Probabilities
    positive: tuple[Explained, ...]
    """What the model calls positive."""
    explained: tuple[Explained, ...]
    """Of these, the ones that are explained."""
    assessed: tuple[Explained, ...]
    """The planes that a node would assess, of whole series: what the verdict is fitted on."""
    called: int
    """Planes on which a class is called in these series."""


def write(bench: Bench, splits: Mapping[str, ClassifiedSplit], raws: Raws, unfit: Mapping[str, str]) -> Passport:
    """Judge everything and write it down; without digest and run.

    Args:
        bench: what was measured on.
        splits: by name.
        raws: raw figures by method and family.
        unfit: methods that do not fit the primary network, with the reason.
    """
    settings, manifest = bench.settings, bench.explainer.bundle.manifest
    whole = splits[settings.judged]
    counts = {
        name: counts_of(bench.cases, split.positions, split.positive, split.explained, manifest)
        for name, split in splits.items()
    }
    entries = _entries(bench, raws, unfit)
    chosen = choose(entries, raws, bench, manifest.method)
    fitted_on = ",".join(settings.fitted_on)
    left_out = len(bench.cases.excluded)
    limits = limits_of(counts[settings.judged], fitted_on, left_out, settings.limit, entries, chosen.method)
    return Passport(
        bundle=_bundle(bench),
        data=_data(bench, counts, fitted_on),
        fingerprint=_fingerprint(settings),
        settings=settings.shaping(),
        classification=classification(bench.cases, whole.positions, whole.probabilities, manifest),
        methods=entries,
        chosen=chosen,
        sample=sample_of(bench, [name for name in entries if not entries[name].unsuitable]),
        gallery=gallery(raws, bench, chosen.method),
        acquisition=acquisitions_seen(bench.cases.entries),
        limits=(*overlap_in_words(bench.cases), *limits),
    )


def sample_of(bench: Bench, methods: Sequence[str]) -> tuple[Sample, ...]:
    """Return the cases that a check recomputes: the digest of every map, and where it points."""
    rows = bench.subset(bench.settings.sample_cases, "sample")
    masks = bench.masks(rows) if rows else np.zeros(0, np.bool_)
    maps = {method: bench.maps(method, rows) for method in methods} if rows else {}
    precision = {method: average_precision(values, masks) for method, values in maps.items()}
    hits = {method: np.nan_to_num(hit(values, masks)) for method, values in maps.items()}
    classes = bench.explainer.bundle.manifest.classes
    return tuple(
        Sample(
            case=bench.cases.entries[bench.explained[row].position].id,
            class_name=classes[bench.explained[row].target].name,
            digests={method: map_digest(values[at]) for method, values in maps.items()},
            average_precision={method: rounded(float(values[at])) for method, values in precision.items()},
            hit={method: round(float(values[at]), DIGITS) for method, values in hits.items()},
        )
        for at, row in enumerate(rows)
    )


def map_digest(values: Maps) -> str:
    """Return the SHA-256 of one map, float32, C order."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").tobytes()).hexdigest()


def _entries(bench: Bench, raws: Raws, unfit: Mapping[str, str]) -> dict[str, MethodEntry]:
    names = bench.settings.methods
    controls = [name for name in names if method_named(name).control]
    measured = [*names, *(extra for extras in EXTRA.values() for extra in extras)]
    criteria: dict[str, dict[str, Criterion]] = {name: {} for name in names}
    for rule in RULES:
        readings: dict[str, CriterionReading | str] = {
            name: unfit[name] if name in unfit else reading(bench, rule.name, raws.get(name, {})) for name in measured
        }
        for name in names:
            if name not in unfit:
                criteria[name][rule.name] = judged(rule, name, readings, controls)
    return {
        name: MethodEntry(
            control=name in controls,
            parameters=settle(name, {}),
            criteria=criteria[name],
            unsuitable=unfit.get(name, ""),
        )
        for name in names
    }


def _bundle(bench: Bench) -> BundleEntry:
    bundle = bench.explainer.bundle
    known = bundle.identity
    return BundleEntry(
        name=known.name,
        version=known.version,
        title=known.title,
        digest=known.digest,
        weights_digest=known.weights_digest,
        classes=tuple(entry.name for entry in bundle.manifest.classes),
        method=bundle.manifest.method,
    )


def _data(bench: Bench, counts: Mapping[str, Counts], fitted_on: str) -> DataEntry:
    return DataEntry(
        digest=bench.cases.digest,
        judged=bench.settings.judged,
        fitted_on=fitted_on,
        splits=dict(counts),
        excluded=tuple(LeftOut(name=case.name, reason=case.reason) for case in bench.cases.excluded),
        blank=bench.cases.blank,
    )


def _fingerprint(settings: CommissionSettings) -> FingerprintEntry:
    now = fingerprint_of(settings)
    return FingerprintEntry(
        device=now.device,
        python=now.python,
        libraries=dict(now.libraries),
        threads=now.threads,
        arithmetic=dict(now.arithmetic),
    )

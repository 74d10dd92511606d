"""From raw figures to the passport: criteria judged, the method chosen, the sample to be recomputed, the limits."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inference.commissioning.choosing import Raws, choose, gallery, limits_of
from inference.commissioning.classifying import Probabilities, classification, counts_of
from inference.commissioning.judging import Reading, judged, rounded
from inference.commissioning.measuring.bench import Bench, Explained
from inference.commissioning.measuring.explaining import Maps
from inference.commissioning.readings import EXTRA, reading
from inference.criteria.localisation import average_precision, hit
from inference.devices import fingerprint
from inference.passport.passport import (
    SCHEMA,
    VERSION,
    BundleEntry,
    Counts,
    DataEntry,
    FingerprintEntry,
    Left,
    MethodEntry,
    Passport,
    Sample,
)
from inference.passport.rules import RULES
from inference.saliency.registry import method_named, settle


@dataclass(frozen=True, eq=False)
class Judged:
    """One split as the classifier sees it."""

    positions: tuple[int, ...]
    probabilities: Probabilities
    positive: tuple[Explained, ...]
    """What the model calls positive."""
    explained: tuple[Explained, ...]
    """Of these, the ones that are explained."""


def write(bench: Bench, splits: Mapping[str, Judged], raws: Raws, unfit: Mapping[str, str]) -> Passport:
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
        name: counts_of(bench.cases, one.positions, one.positive, one.explained, manifest)
        for name, one in splits.items()
    }
    entries = _entries(bench, raws, unfit)
    chosen = choose(entries, raws, bench, manifest.method)
    fitted_on = ",".join(settings.fitted_on)
    left_out = len(bench.cases.excluded)
    limits = limits_of(counts[settings.judged], fitted_on, left_out, settings.limit, entries, chosen.method)
    parts = {
        "bundle": _bundle(bench),
        "data": _data(bench, counts, fitted_on),
        "fingerprint": _fingerprint(settings.device),
        "settings": settings.shaping(),
        "classification": classification(bench.cases, whole.positions, whole.probabilities, manifest),
        "methods": entries,
        "chosen": chosen,
        "sample": sample_of(bench, [name for name in entries if not entries[name].unsuitable]),
        "gallery": gallery(raws, bench, chosen.method),
        "limits": limits,
    }
    return Passport.model_validate({"schema": SCHEMA, "version": VERSION, **parts})


def sample_of(bench: Bench, methods: Sequence[str]) -> tuple[Sample, ...]:
    """Give the cases that a check recomputes: the digest of every map, and where it points."""
    rows = bench.subset(bench.settings.sample_cases, "sample")
    masks = bench.masks(rows) if rows else np.zeros(0, np.bool_)
    found: list[dict[str, dict[str, object]]] = [{"digests": {}, "average_precision": {}, "hit": {}} for _ in rows]
    for method in methods if rows else ():
        maps = bench.maps(method, rows)
        precision, hits = average_precision(maps, masks), np.nan_to_num(hit(maps, masks))
        for at, values in enumerate(maps):
            found[at]["digests"][method] = map_digest(values)
            found[at]["average_precision"][method] = rounded(float(precision[at]))
            found[at]["hit"][method] = rounded(float(hits[at]))
    classes = bench.explainer.bundle.manifest.classes
    return tuple(
        Sample.model_validate(
            {
                "case": bench.cases.entries[bench.explained[row].position].id,
                "class_name": classes[bench.explained[row].target].name,
                **one,
            }
        )
        for row, one in zip(rows, found, strict=True)
    )


def map_digest(values: Maps) -> str:
    """Give the SHA-256 of one map, float32, C order."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").tobytes()).hexdigest()


def _entries(bench: Bench, raws: Raws, unfit: Mapping[str, str]) -> dict[str, MethodEntry]:
    names = bench.settings.methods
    controls = [name for name in names if method_named(name).control]
    measured = [*names, *(extra for extras in EXTRA.values() for extra in extras)]
    criteria: dict[str, dict[str, object]] = {name: {} for name in names}
    for rule in RULES:
        readings: dict[str, Reading | str] = {
            name: unfit[name] if name in unfit else reading(bench, rule.name, raws.get(name, {})) for name in measured
        }
        for name in names:
            if name not in unfit:
                criteria[name][rule.name] = judged(rule, name, readings, controls)
    return {
        name: MethodEntry.model_validate(
            {
                "control": name in controls,
                "parameters": settle(name, {}),
                "criteria": criteria[name],
                "unsuitable": unfit.get(name, ""),
            }
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
        excluded=tuple(Left(name=one.name, reason=one.reason) for one in bench.cases.excluded),
        blank=bench.cases.blank,
    )


def _fingerprint(device: str) -> FingerprintEntry:
    found = fingerprint(device)
    return FingerprintEntry(
        device=found.device, python=found.python, libraries=dict(found.libraries), threads=found.threads
    )

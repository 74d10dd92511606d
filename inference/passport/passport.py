"""The passport: what one bundle's saliency maps are worth at one site, as measured by commissioning; frozen, checked.

``passport.json`` is one JSON object (schema 1)::

    schema           "heatproof.passport"
    version          1
    digest           SHA-256 of everything below but ``run``, as canonical JSON (sorted keys, no blanks)
    bundle           name, version, title, digest, weights_digest, classes, method (the manifest's own)
    data             digest (of every case used), splits (name -> counts), judged, fitted_on, excluded, blank
    fingerprint      device, python, libraries, threads
    settings         what was asked: methods, splits, limit, sizes of the subsets, samples, seed
    classification   figures of the classifier on the judged split
    methods          NAME -> control, parameters, criteria (CRITERION -> Criterion), unsuitable
    chosen           method for deployment, the manifest's, tally of deciding criteria, the reason in words
    sample           some cases with the digest of each map and its localisation: what ``--check`` recomputes
    gallery          which cases show best, worst and misleading maps
    references       absent, or networks that were told where the lesion is, each trained twice: set, kind (unet or
                     retinanet), epochs, split, slices, groups, trainings (seed, average_precision, hit), repeatability
                     (spearman, ssim, iou_above_otsu); one file of ``heatproof commission --references`` holds one
    limits           sentences
    verdict          absent, or whatever a later step of commissioning adds (calibrator, thresholds)
    run              seconds, seconds_per_map, share_in_network (of the time spent on maps and figures): of this run,
                     not part of the digest

Every figure is rounded to six decimals. ``null`` stands for what could not be measured; the reason is in words beside
it. Neither patients nor groups are named; cases go by digests of their pixels.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from inference.errors import PassportRefused
from inference.passport.entries import (
    BundleEntry,
    Chosen,
    ClassFigures,
    ClassificationEntry,
    Comparison,
    Counts,
    Criterion,
    Curve,
    DataEntry,
    Figure,
    FingerprintEntry,
    Interval,
    Left,
    MethodEntry,
    Part,
    Reference,
    Repeats,
    Run,
    Sample,
    Scalar,
    Shown,
    Training,
)

__all__ = [
    "SCHEMA",
    "SHIPPED_PASSPORTS",
    "VERSION",
    "BundleEntry",
    "Chosen",
    "ClassFigures",
    "ClassificationEntry",
    "Comparison",
    "Counts",
    "Criterion",
    "Curve",
    "DataEntry",
    "Figure",
    "FingerprintEntry",
    "Interval",
    "Left",
    "MethodEntry",
    "Part",
    "Passport",
    "Reference",
    "Repeats",
    "Run",
    "Sample",
    "Scalar",
    "Shown",
    "Training",
    "digest_of_passport",
    "load_passport",
    "load_reference",
    "save_passport",
    "sealed",
]

SCHEMA = "heatproof.passport"
SHIPPED_PASSPORTS = Path(__file__).parents[1] / "passports"
"""Passports that come with the product, as SITE/BUNDLE/passport.json: examples, and the demo's."""
VERSION = 1
OPTIONAL = ("references", "verdict")
"""Keys that are absent where there is nothing to say: a passport written before they were known keeps its digest."""


class Passport(Part):
    """The whole file."""

    schema_name: Literal["heatproof.passport"] = Field(alias="schema")
    version: Literal[1]
    digest: str = ""
    bundle: BundleEntry
    data: DataEntry
    fingerprint: FingerprintEntry
    settings: dict[str, Any]
    classification: ClassificationEntry
    methods: dict[str, MethodEntry]
    chosen: Chosen
    sample: tuple[Sample, ...]
    gallery: tuple[Shown, ...]
    references: tuple[Reference, ...] = ()
    limits: tuple[str, ...]
    verdict: Any = None
    run: Run | None = None

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )


def digest_of_passport(passport: Passport) -> str:
    """Give the SHA-256 of the canonical JSON of everything but ``digest`` and ``run``."""
    return hashlib.sha256(_canonical(_tree(passport, without=("digest", "run")))).hexdigest()


def sealed(passport: Passport) -> Passport:
    """Give the passport with its digest; to be called again after a key such as ``verdict`` was added."""
    return passport.model_copy(update={"digest": digest_of_passport(passport)})


def save_passport(passport: Passport, path: Path) -> None:
    """Write the passport: whole or not at all."""
    content = json.dumps(_tree(passport), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load_passport(path: Path) -> Passport:
    """Read a passport and check it: its schema, every key, and that nothing was altered since it was written.

    Raises:
        PassportRefused: not there, not a passport, of another version, incomplete, or altered.
    """
    tree = _read(path)
    if not isinstance(tree, dict) or tree.get("schema") != SCHEMA:
        raise PassportRefused(f"{path} is not a passport: its schema is not {SCHEMA!r}.")
    if tree.get("version") != VERSION:
        raise PassportRefused(
            f"{path} is a passport of version {tree.get('version')!r}; this program reads {VERSION}.",
            cure="Commission again.",
        )
    try:
        passport = Passport.model_validate(tree)
    except ValidationError as error:
        raise PassportRefused(_problems(path, error)) from error
    if digest_of_passport(passport) != passport.digest:
        raise PassportRefused(f"{path} was altered after it was written.", cure="Commission again.")
    return passport


def load_reference(path: Path, judged: str) -> Reference:
    """Read the figures of one localisation reference, as ``inference.training.train_references`` writes them.

    Args:
        path: a JSON file.
        judged: the split the passport is about.

    Raises:
        PassportRefused: not there, incomplete, or measured on another split.
    """
    try:
        reference = Reference.model_validate(_read(path))
    except ValidationError as error:
        raise PassportRefused(
            _problems(path, error), cure="Write it by python -m inference.training.train_references --out FILE."
        ) from error
    if reference.split != judged:
        raise PassportRefused(
            f"{path} was measured on the split {reference.split!r}; this passport is about {judged!r}.",
            cure=f"Measure the reference on {judged!r}.",
        )
    return reference


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PassportRefused(f"{path} cannot be read ({type(error).__name__}).") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PassportRefused(f"{path} is not JSON: {error}.") from error


def _problems(path: Path, error: ValidationError) -> str:
    problems = (f"  - {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:20])
    return "\n".join([f"{path} cannot be used:", *problems])


def _tree(passport: Passport, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Give the plain tree; ``verdict`` and ``references`` only where there are some."""
    tree = passport.model_dump(mode="json", by_alias=True)
    absent = {*without, *(key for key in OPTIONAL if tree[key] in (None, []))}
    return {key: value for key, value in tree.items() if key not in absent}


def _canonical(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

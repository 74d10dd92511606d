"""The passport: what one bundle's saliency maps are worth at one site, as measured by commissioning.

``passport.json`` is one JSON object (schema 1)::

    schema           "heatproof.passport"
    version          1
    digest           SHA-256 of everything below but ``run``, as canonical JSON (sorted keys, no blanks)
    bundle           name, version, title, digest, weights_digest, classes, method (the manifest's own)
    data             digest (of every case used), splits (name -> counts), judged, fitted_on, excluded, blank
    fingerprint      device, python, libraries, threads, arithmetic
    settings         what was asked: methods, splits, limit, sizes of the subsets, samples, seed
    classification   figures of the classifier on the judged split; by class, what the model missed, and the calibration
                     of its probability (``class_calibration.py``)
    methods          NAME -> control, parameters, criteria (CRITERION -> Criterion), unsuitable
    chosen           method for deployment, the manifest's, tally of deciding criteria, the reason in words
    sample           some cases with the digest of each map and its localisation: what ``--check`` recomputes
    gallery          which cases show best, worst and misleading maps
    references       absent, or networks trained on outlines of the findings, each trained twice: set, kind (unet or
                     retinanet), epochs, split, slices, groups, trainings (seed, average_precision, hit), repeatability
                     (spearman, ssim, iou_above_otsu); one file of ``heatproof commission --references`` holds one
    acquisition      absent, or how the series were acquired by their headers (``acquisitions.py``): trait -> patients
                     who had it, with low and high, or values (word -> patients) and others; of 5 patients or more
    limits           sentences
    verdict          absent; or ``FittedVerdict`` (``verdict.py``): calibrators, thresholds, claims of the region,
                     envelope, definition versions; or ``reason``, why none could be fitted
    run              seconds, seconds_per_map, share_in_network (of the time spent on maps and figures): of this run,
                     not part of the digest

Every figure is rounded to six decimals. ``null`` stands for what could not be measured; the reason is in words beside
it. Neither patients nor groups are named; cases go by digests of their pixels. This file alone turns JSON into the
dataclasses and back.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from inference.errors import PassportRefused, Unparsable
from inference.parsing import parse_json
from inference.passport.acquisitions import SeenTrait
from inference.passport.entries import (
    CHECKED,
    BundleEntry,
    Chosen,
    ClassificationEntry,
    DataEntry,
    FingerprintEntry,
    GalleryEntry,
    LocalisationReference,
    MethodEntry,
    Run,
    Sample,
)
from inference.passport.ranges import out_of_range
from inference.passport.verdict import FittedVerdict, NoVerdict

SHIPPED_PASSPORTS = Path(__file__).parents[1] / "passports"
"""Passports that come with the product, as SITE/BUNDLE/passport.json: examples, and the demo's."""
SCHEMA: Literal["heatproof.passport"] = "heatproof.passport"
VERSION: Literal[1] = 1
OPTIONAL = ("references", "acquisition", "verdict")
"""Keys that are left out where there is nothing to say."""
LARGEST_BYTES = 64 * 1024 * 1024
MOST_VALUES = 5_000_000
UNKNOWN_KEY = "unexpected_keyword_argument"
"""Pydantic's type of the error."""
FITTED, NONE = "(fitted)", "(none)"
"""Kinds of verdict, told apart by ``_kind_of``; pydantic puts them among the keys of an error."""
Setting = tuple[str, ...] | str | int | float | bool | None


def _kind_of(verdict: object) -> str:
    has_reason = isinstance(verdict, NoVerdict) or (isinstance(verdict, Mapping) and "reason" in verdict)
    return NONE if has_reason else FITTED


VerdictEntry = Annotated[
    Annotated[FittedVerdict, Tag(FITTED)] | Annotated[NoVerdict, Tag(NONE)], Discriminator(_kind_of)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passport:
    """The whole file."""

    __pydantic_config__ = CHECKED

    schema: Literal["heatproof.passport"] = SCHEMA
    version: Literal[1] = VERSION
    digest: str = ""
    bundle: BundleEntry
    data: DataEntry
    fingerprint: FingerprintEntry
    settings: Mapping[str, Setting]
    classification: ClassificationEntry
    methods: Mapping[str, MethodEntry]
    chosen: Chosen
    sample: tuple[Sample, ...]
    gallery: tuple[GalleryEntry, ...]
    references: tuple[LocalisationReference, ...] = ()
    acquisition: Mapping[str, SeenTrait] = field(default_factory=dict)
    limits: tuple[str, ...]
    verdict: VerdictEntry | None = None
    run: Run | None = None


_PASSPORT = TypeAdapter(Passport)
_REFERENCE = TypeAdapter(LocalisationReference)


def digest_of_passport(passport: Passport) -> str:
    """Return the SHA-256 of the canonical JSON of everything but ``digest`` and ``run``."""
    return _digest(_tree(passport))


def sealed(passport: Passport) -> Passport:
    """Return the passport with its digest; to be called again after a part such as ``verdict`` was replaced."""
    return replace(passport, digest=digest_of_passport(passport))


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
        PassportRefused: missing, not a passport, of another version, incomplete, or altered.
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
        passport = _PASSPORT.validate_python(tree)
    except ValidationError as error:
        raise PassportRefused(_problems(path, error)) from error
    if _digest(tree) != passport.digest:
        raise PassportRefused(f"{path} was altered after it was written.", cure="Commission again.")
    if problems := out_of_range(tree):
        raise PassportRefused("\n  - ".join((f"{path} cannot be used:", *problems)), cure="Commission again.")
    return passport


def load_reference(path: Path, judged: str) -> LocalisationReference:
    """Read the figures of one localisation reference, as ``inference.training.train_references`` writes them.

    Args:
        path: a JSON file.
        judged: the split the passport is about.

    Raises:
        PassportRefused: missing, incomplete, or measured on another split.
    """
    try:
        reference = _REFERENCE.validate_python(_read(path))
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


def reference_text(reference: LocalisationReference) -> str:
    """Write the figures of one localisation reference as JSON."""
    return _REFERENCE.dump_json(reference, indent=2, exclude_defaults=True).decode() + "\n"


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise PassportRefused(f"{path} is larger than {LARGEST_BYTES // 2**20} MiB.")
        return parse_json(path.read_bytes(), most_bytes=LARGEST_BYTES, most_values=MOST_VALUES)
    except OSError as error:
        raise PassportRefused(f"{path} cannot be read ({type(error).__name__}).") from error
    except Unparsable as error:
        raise PassportRefused(f"{path} cannot be read as JSON: it {error.reason}.") from error


def _problems(path: Path, error: ValidationError) -> str:
    lines = [f"{path} cannot be used:"]
    for problem in error.errors(include_url=False, include_input=False)[:20]:
        key = ".".join(str(name) for name in problem["loc"] if name not in (FITTED, NONE))
        words = "unknown key" if problem["type"] == UNKNOWN_KEY else problem["msg"]
        lines.append(f"  - {key}: {words}")
    return "\n".join(lines)


def _tree(passport: Passport) -> dict[str, Any]:
    tree: dict[str, Any] = _PASSPORT.dump_python(passport, mode="json")
    if isinstance(passport.verdict, FittedVerdict) and passport.verdict.versions is None:
        del tree["verdict"]["versions"]
    if not passport.fingerprint.arithmetic:
        del tree["fingerprint"]["arithmetic"]
    for counts in tree["data"]["splits"].values():
        if counts["outlined"] is None:
            del counts["outlined"]
    for figures in tree["classification"]["classes"].values():
        for later in ("missed", "calibration"):
            if figures[later] is None:
                del figures[later]
    return {key: value for key, value in tree.items() if key not in OPTIONAL or value not in (None, [], {})}


def _digest(tree: Mapping[str, Any]) -> str:
    counted = {key: value for key, value in tree.items() if key not in ("digest", "run")}
    text = json.dumps(counted, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

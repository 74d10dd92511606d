"""The new bundle: the old one with its companions beside it, in MONAI's layout, sealed, and renamed into place."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from inference.bundle.bundle import CONFIGS, Bundle
from inference.bundle.digests import MANIFEST, MANIFEST_NAMES, SEAL, list_files
from inference.bundle.manifest import ConfigurationEntry, LocaliserEntry, Manifest, NetworkEntry, ReplicateEntry
from inference.companions.architectures import Definition
from inference.companions.files import read_json, write_bytes, write_json, write_weights
from inference.companions.report import HEADING, CompanionReport
from inference.companions.settings import Kind
from inference.errors import Refused
from inference.porting.manifest_text import manifest_text
from inference.porting.seal import seal

DEFINITIONS = "configs/companions.json"
"""Adds the companions' networks to the bundle's own configuration."""
REPORT = "companions.json"
README = "README.md"


@dataclass(frozen=True, eq=False)
class Companion:
    """A trained network that becomes part of the bundle."""

    name: str
    kind: Kind
    network: nn.Module
    definition: Definition | None = None
    layer: str | None = None

    @property
    def file(self) -> str:
        """Path of its weights inside the bundle."""
        return f"models/companion_{self.name}.safetensors"

    @property
    def key(self) -> str:
        """Id of its network in the configuration."""
        return f"companion_{self.kind}_def"


def check_place(out: Path) -> None:
    """Check that there is room for a new bundle.

    Raises:
        Refused: something is there.
    """
    if out.exists():
        raise Refused(f"{out} is there.", cure="Name a new folder with --out, or remove this one.")


def assemble(bundle: Bundle, companions: list[Companion], report: CompanionReport, out: Path) -> None:
    """Write the new bundle.

    Args:
        bundle: the old one, which stays as it is.
        companions: what was trained; of a kind that is there, those of the old bundle are left out.
        report: goes into ``companions.json`` and into the README.
        out: folder of the new bundle.

    Raises:
        BundleRefused: the new bundle does not pass the checks of sealing.
    """
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    manifest = manifest_of_new(bundle, companions, out.name)
    dropped = {*MANIFEST_NAMES, SEAL, *(set(bundle.manifest.files) - set(manifest.files))}
    for name in list_files(bundle.folder):
        if name not in dropped:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.folder / name, part / name)
    for companion in companions:
        write_weights(part / companion.file, companion.network)
    definitions = _definitions(bundle, companions)
    if definitions:
        write_json(part / DEFINITIONS, definitions)
    write_bytes(part / MANIFEST, manifest_text(manifest).encode())
    write_json(part / REPORT, report.as_dict())
    write_bytes(part / README, _readme(part / README, report).encode())
    seal(part)
    part.rename(out)


def manifest_of_new(bundle: Bundle, companions: list[Companion], folder: str) -> Manifest:
    """Return the manifest with the companions in it, and with the name of its folder."""
    old, of_kind = bundle.manifest, _by_kind(companions)
    name = re.sub(r"[^a-z0-9_]+", "_", folder.lower()).strip("_")[:64]
    changes: dict[str, object] = {"name": name or old.name}
    if "guided" in of_kind:
        changes["primary"] = old.primary.model_copy(update={"file": of_kind["guided"][0].file})
    if "replicate" in of_kind:
        changes["replicates"] = tuple(ReplicateEntry(file=entry.file) for entry in of_kind["replicate"])
    if "alternate" in of_kind:
        changes["alternates"] = tuple(_entry(entry) for entry in of_kind["alternate"])
    if "localiser" in of_kind:
        (localiser,) = of_kind["localiser"]
        changes["localiser"] = LocaliserEntry(file=localiser.file, network=localiser.key, activation="sigmoid")
    if _definitions(bundle, companions):
        own = old.configuration.files or tuple(
            name for name in CONFIGS if (bundle.folder / name).is_file()
        )[:1]  # fmt: skip
        files = (*(name for name in own if name != DEFINITIONS), DEFINITIONS)
        changes["configuration"] = ConfigurationEntry(files=files, preprocessing=old.configuration.preprocessing)
    return old.model_copy(update=changes)


def _entry(companion: Companion) -> NetworkEntry:
    if companion.layer is None:
        return NetworkEntry(file=companion.file, network=companion.key)
    return NetworkEntry(file=companion.file, network=companion.key, layer=companion.layer)


def _by_kind(companions: list[Companion]) -> dict[Kind, list[Companion]]:
    of_kind: dict[Kind, list[Companion]] = {}
    for companion in companions:
        of_kind.setdefault(companion.kind, []).append(companion)
    return of_kind


def _definitions(bundle: Bundle, companions: list[Companion]) -> Mapping[str, Definition]:
    """Return the networks that the configuration gains, with those of earlier companions that stay."""
    made = {entry.key: entry.definition for entry in companions if entry.definition is not None}
    if not made or DEFINITIONS not in bundle.manifest.configuration.files:
        return made
    return {**read_json(bundle.folder / DEFINITIONS), **made}


def _readme(path: Path, report: CompanionReport) -> str:
    """Return the README with the section on companions in place of an earlier one."""
    text = path.read_text(encoding="utf-8") if path.is_file() else f"# {report.bundle}\n"
    before, _, after = text.partition(f"{HEADING}\n")
    following = re.search(r"^## ", after, re.MULTILINE)
    rest = f"\n{after[following.start() :]}" if following else ""
    return f"{before.rstrip()}\n\n{report.section()}{rest}"

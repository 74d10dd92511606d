"""The files of a bundle's folder as somebody brings it: configuration, metadata, licence, weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from inference.bundle.bundle import CONFIGS
from inference.bundle.configs import Config
from inference.bundle.dialect.config_text import parse_config
from inference.bundle.digests import list_files
from inference.errors import BundleRefused
from inference.porting.metadata import Described, licence_of, read_metadata

METADATA = "configs/metadata.json"
WEIGHTS = ("model.safetensors", "model.pt", "model.pth", "model.ckpt", "model.ts")
"""Names of the weights of one network below ``models/``, in the order in which they are taken."""
COMMON = ("configs/common.json", "configs/common.yaml", "configs/common.yml")
"""Definitions that several configurations share, as MONAI's tutorials have them in a file of their own."""
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".ts")


@dataclass(frozen=True)
class Brought:
    """A bundle's folder before it has a manifest."""

    folder: Path
    names: tuple[str, ...]
    """Every file by its path inside."""
    configuration: tuple[str, ...]
    """Files of the configuration, read over each other."""
    config: Config
    described: Described

    @property
    def licence(self) -> str:
        """SPDX identifier of the licence that lies in the folder; empty where none is known."""
        files = sorted(name for name in self.names if Path(name).stem.upper() in ("LICENSE", "LICENCE", "COPYING"))
        texts = ((self.folder / name).read_text(encoding="utf-8", errors="replace")[:20_000] for name in files)
        return next(filter(None, map(licence_of, texts)), "")

    @property
    def weights(self) -> tuple[str, ...]:
        """Files of weights below ``models/``: the usual name alone where it is there, else all that could be."""
        usual = [f"models/{name}" for name in WEIGHTS if f"models/{name}" in self.names]
        others = [name for name in self.names if name.startswith("models/") and Path(name).suffix in SUFFIXES]
        return tuple(usual[:1] or others)

    @property
    def usual_weights(self) -> str:
        """The file of weights where there is no choice; empty where there is."""
        return self.weights[0] if len(self.weights) == 1 else ""

    @property
    def without_weights(self) -> str:
        """Say that there are none, and where MONAI keeps them."""
        places = ", ".join(self.offered.values())[:600]
        cure = f"The zoo's list of large files says where they are: {places}." if places else ""
        return f"{self.folder.name}: models/ holds no weights. {cure or f'Put them there as {WEIGHTS[0]} or .pt.'}"

    @property
    def offered(self) -> dict[str, str]:
        """Files that the zoo keeps elsewhere: their addresses by their paths in the bundle."""
        listed = [name for name in self.names if name in ("large_files.yml", "large_files.yaml")]
        return _large_files(self.folder / listed[0]) if listed else {}


def brought(folder: Path, configuration: Sequence[str] = ()) -> Brought:
    """Read a bundle's folder.

    Args:
        folder: as ``monai.bundle download`` leaves it.
        configuration: files of the configuration, read over each other; empty: as MONAI names it, over the shared
            definitions where it has no network of its own.

    Raises:
        BundleRefused: it has no inference configuration, or the configuration cannot be used; every reason is given.
    """
    names = list_files(folder)
    metadata = (folder / METADATA).read_bytes() if METADATA in names else None

    def read(files: Sequence[str]) -> Config:
        first, *further = ((_read(folder, name), name) for name in files)
        return Config(*first, metadata, further)

    files = tuple(configuration) or tuple(name for name in CONFIGS if name in names)[:1]
    shared = tuple(name for name in COMMON if name in names)[:1]
    if not (files or shared):
        there = ", ".join(name for name in names if name.startswith("configs/")) or "nothing"
        raise BundleRefused(
            f"{folder.name}: {' or '.join(CONFIGS)} must be there and is not; configs/ has {there}.",
            cure="Give the configuration that is used for inference by --set configuration=configs/NAME; of several "
            "files, such as common.yaml and inference.yaml, all with commas between them.",
        )
    config = read(files or shared)
    if not configuration and files and shared and not config.has_network:
        files, config = (*shared, *files), read((*shared, *files))
    described = Described() if metadata is None else read_metadata(parse_config(metadata, METADATA))
    return Brought(folder, names, files or shared, config, described)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise BundleRefused(f"{folder.name}: {name} cannot be read ({type(error).__name__}).") from error


def _large_files(path: Path) -> dict[str, str]:
    """Return paths and addresses of the zoo's list of large files."""
    try:
        tree = parse_config(path.read_bytes(), path.name)
    except (BundleRefused, yaml.YAMLError):
        return {}
    entries = tree.get("large_files")
    held = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {str(entry["path"]): str(entry["url"]) for entry in held if "path" in entry and "url" in entry}

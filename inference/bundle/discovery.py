"""Which bundles there are: those shipped and those in further folders, sealed or refused."""

from dataclasses import dataclass
from pathlib import Path

from inference.bundle.bundle import SHIPPED, Bundle, load_bundle
from inference.bundle.digests import MANIFEST_NAMES
from inference.bundle.identity import BundleIdentity
from inference.bundle.manifest import FIRST_MEANING_IN_WORDS
from inference.errors import DAMAGE, BundleRefused, UnknownName


@dataclass(frozen=True)
class Discovered:
    """A bundle that was found in a folder, sealed or refused."""

    name: str
    folder: Path
    state: str
    """sealed or refused."""
    reason: str
    """Why it is refused; empty where it is sealed."""
    identity: BundleIdentity | None
    meaning: str = ""
    """What is kept of an older release's reading, in words; empty where the bundle has today's."""

    def as_dict(self) -> dict[str, str]:
        """Return what ``heatproof bundles`` prints."""
        known = self.identity
        return {
            "name": self.name,
            "version": known.version if known else "",
            "title": known.title if known else "",
            "state": self.state,
            "reason": self.reason,
            "meaning": self.meaning,
            "digest": known.digest if known else "",
            "licence": known.licence if known else "",
            "intended_use": known.intended_use if known else "",
            "folder": str(self.folder),
        }


def load_anywhere(name: str) -> Bundle:
    """Load the bundle in a folder, or the shipped one of a name.

    Args:
        name: path of the folder, or the name.

    Raises:
        UnknownName: there is neither.
        BundleRefused: it is refused.
    """
    if Path(name).is_dir():
        return load_bundle(Path(name))
    if set(name) & {"/", "\\", "."}:
        raise UnknownName(f"There is no folder {name!r}.", cure="Give the folder of a bundle, or a bundle's name.")
    return load_named(name)


def load_named(name: str, folders: tuple[Path, ...] = ()) -> Bundle:
    """Load the bundle of this name, of those shipped and those in further folders.

    Raises:
        UnknownName: there is none.
        BundleRefused: it is refused.
    """
    candidates = {folder.name: folder for folder in _candidates(folders)}
    if name not in candidates:
        raise UnknownName(
            f"There is no bundle {name!r}.", cure=f"There are: {', '.join(sorted(candidates)) or 'none'}."
        )
    return load_bundle(candidates[name])


def discover(folders: tuple[Path, ...] = ()) -> tuple[Discovered, ...]:
    """List the bundles found among those shipped and in further folders, refused ones with the reason."""
    return tuple(_discovered(folder) for folder in _candidates(folders))


def _candidates(folders: tuple[Path, ...]) -> list[Path]:
    """Folders that hold a manifest; of two with one name the shipped, or the earlier, counts."""
    folders_by_name: dict[str, Path] = {}
    for folder in (SHIPPED, *folders):
        for path in _listed(folder):
            if any((path / name).is_file() for name in MANIFEST_NAMES):
                folders_by_name.setdefault(path.name, path)
    return list(folders_by_name.values())


def _listed(folder: Path) -> list[Path]:
    """List a folder; one that is not there or may not be read has nothing."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _discovered(folder: Path) -> Discovered:
    try:
        bundle = load_bundle(folder)
    except BundleRefused as error:
        return Discovered(folder.name, folder, "refused", str(error), None)
    except DAMAGE as error:  # one bad folder hides no other
        reason = f"{folder.name} cannot be read ({type(error).__name__})."
        return Discovered(folder.name, folder, "refused", reason, None)
    meaning = FIRST_MEANING_IN_WORDS if bundle.seal_version == 1 else ""
    return Discovered(bundle.manifest.name, folder, "sealed", "", bundle.identity, meaning)

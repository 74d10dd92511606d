"""The files of a bundle by their SHA-256: the list that seals it, and reading that checks against the list."""

import hashlib
import re
import shlex
from pathlib import Path

from inference.errors import BundleRefused

SEAL = "heatproof.sha256"
"""Name of the list, in the format of ``sha256sum``: ``sha256sum -c heatproof.sha256`` checks it too."""

SEAL_VERSION = 2
"""Version of what an unstated key of the manifest means; a list without a version line has version 1 (0.1.0)."""

MANIFEST = "bundle.toml"
"""Name of the manifest."""
MANIFEST_NAMES = (MANIFEST, "heatproof.toml")
"""Today's name, and the one that the manifest shared with the node's settings file before: both are read."""

_LINE = re.compile(r"^([0-9a-f]{64})  (\S.*)$")
_VERSION = re.compile(r"^# heatproof seal (\d{1,4})$")
"""First line of the list; ``sha256sum`` takes a line that begins with # as a comment."""


class SealedFolder:
    """The files of a bundle; each is checked against the seal at the moment it is read."""

    def __init__(self, folder: Path, listed: bytes) -> None:
        """Check that the folder holds exactly what the list names.

        Raises:
            BundleRefused: a file is missing, extra, altered, a symbolic link or outside the folder.
        """
        self.folder = folder
        self.digest = hashlib.sha256(listed).hexdigest()
        """SHA-256 of the list of digests."""
        self.version, self.digests = _parse(listed.decode("utf-8", "replace"), folder)
        present = set(list_files(folder)) - {SEAL}
        for name in sorted(present ^ set(self.digests)):
            state = "is missing" if name in self.digests else "was added after the bundle was sealed"
            raise BundleRefused(f"{folder.name}: {name} {state}.", cure=_reseal(folder))
        for name in sorted(present):
            self.read(name)

    def read(self, name: str) -> bytes:
        """Read one file whole.

        Raises:
            BundleRefused: the seal does not list it, or it was altered.
        """
        if name not in self.digests:
            raise BundleRefused(f"{self.folder.name}: {name} must be there and is not.")
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise BundleRefused(f"{self.folder.name}: {name} cannot be read ({type(error).__name__}).") from error
        if hashlib.sha256(content).hexdigest() != self.digests[name]:
            raise BundleRefused(
                f"{self.folder.name}: {name} was altered after it was sealed.", cure=_reseal(self.folder)
            )
        return content


def manifest_of(folder: Path) -> str:
    """Return the name that the manifest of a bundle's folder has; empty where there is none.

    Raises:
        BundleRefused: there are two.
    """
    present = [name for name in MANIFEST_NAMES if (folder / name).is_file()]
    if len(present) > 1:
        raise BundleRefused(
            f"{folder.name} has two manifests, {' and '.join(present)}.", cure=f"Keep {MANIFEST}, and remove the other."
        )
    return present[0] if present else ""


def list_files(folder: Path) -> tuple[str, ...]:
    """Return every file below a bundle's folder, sorted, by its path inside.

    Raises:
        BundleRefused: no such folder; or something in it is a symbolic link or no regular file.
    """
    if not folder.is_dir():
        raise BundleRefused(f"There is no bundle folder {folder.name!r}.")
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise BundleRefused(
                f"{folder.name}: {name} is a symbolic link.", cure="Replace the link by the file itself."
            )
        if path.is_file():
            names.append(name)
        elif not path.is_dir():
            raise BundleRefused(f"{folder.name}: {name} is neither a file nor a folder.", cure="Remove it.")
    return tuple(names)


def digest_files(folder: Path) -> bytes:
    """List every file of the folder as it is now, sorted, as ``sha256sum`` does, below the version of the seal."""
    lines = [f"# heatproof seal {SEAL_VERSION}\n"]
    lines += [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in list_files(folder)
        if name != SEAL
    ]
    return "".join(lines).encode()


def read_seal(folder: Path) -> bytes:
    """Read the list that was written when the bundle was sealed.

    Raises:
        BundleRefused: no such folder, or it is not sealed.
    """
    path = folder / SEAL
    if not folder.is_dir():
        raise BundleRefused(f"There is no bundle folder {folder.name!r}.")
    if path.is_symlink() or not path.is_file():
        raise BundleRefused(f"{folder.name} is not sealed.", cure=_reseal(folder))
    return path.read_bytes()


def _parse(text: str, folder: Path) -> tuple[int, dict[str, str]]:
    lines = text.splitlines()
    versioned = _VERSION.match(lines[0]) if lines else None
    version = int(versioned[1]) if versioned else 1
    if version > SEAL_VERSION:
        raise BundleRefused(
            f"{folder.name} was sealed by a later release of heatproof (seal {version}; {SEAL_VERSION} is known here).",
            cure="Update heatproof.",
        )
    matches = [_LINE.match(line) for line in lines[1 if versioned else 0 :]]
    listed = {match[2]: match[1] for match in matches if match}
    if len(listed) != len(matches) or not listed:
        raise BundleRefused(f"{folder.name}: {SEAL} is damaged.", cure=_reseal(folder))
    for name in listed:
        if name.startswith("/") or ".." in Path(name).parts:
            raise BundleRefused(f"{folder.name}: {SEAL} names {name!r}, which lies outside the bundle.")
    return version, listed


def _reseal(folder: Path) -> str:
    return f"If the content of the bundle is correct, seal it: heatproof bundle seal {shlex.quote(str(folder))}"

"""What is in a backup: one JSON file with size and SHA-256 of every other, written last, so that it says "whole"."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from inference.errors import Refused, Unparsable
from inference.parsing import parse_json

NAME = "manifest.json"
STORE = "store.sqlite"
SCHEMA = "heatproof.backup"
_MOST_BYTES = 1 << 30
_MOST_VALUES = 50_000_000
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class BackupManifest:
    """A whole backup."""

    made_at: str
    """When the copy of the store was made, ISO 8601 in UTC: everything acknowledged before is in it."""
    release: str
    ledger_head: str
    files: dict[str, tuple[int, str]]
    """Size in bytes and SHA-256 by path below the backup."""

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest: it names the backup."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write it into a backup, after all other files are on the disk."""
        os.sync()
        part = folder / f"{NAME}.part"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"schema": SCHEMA, **asdict(self)}, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        part.rename(folder / NAME)
        os.sync()

    @classmethod
    def read(cls, folder: Path) -> "BackupManifest":
        """Read that of a backup.

        Raises:
            Refused: it is not a backup, or not a whole one.
        """
        try:
            tree = parse_json((folder / NAME).read_bytes(), most_bytes=_MOST_BYTES, most_values=_MOST_VALUES)
            files = {str(path): (int(size), str(digest)) for path, (size, digest) in tree["files"].items()}
            manifest = cls(str(tree["made_at"]), str(tree["release"]), str(tree["ledger_head"]), files)
        except (OSError, Unparsable, KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(f"{folder} is no whole backup.", cure=f"One has a {NAME}, which is written last.") from error
        wrong = [path for path in manifest.files if Path(path).is_absolute() or ".." in Path(path).parts]
        if wrong or tree.get("schema") != SCHEMA:
            raise Refused(
                f"{folder} is of another kind, or names a file outside of itself.",
                cure="Take a backup that heatproof has made.",
            )
        return manifest


def copied(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file for its owner alone; give its size and SHA-256."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as given:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            return _measured(given, file.write)


def measured(path: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file."""
    with path.open("rb") as given:
        return _measured(given)


def _measured(given: BinaryIO, write: Callable[[bytes], object] = len) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    while chunk := given.read(_CHUNK_BYTES):
        digest.update(chunk)
        write(chunk)
        size += len(chunk)
    return size, digest.hexdigest()

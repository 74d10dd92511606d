"""The on-disk cache of an unfinished commissioning: maps in chunks and raw figures, each file written atomically.

The folder is named by a key over bundle, data, settings and libraries; a killed run resumes where it stopped, and what
was computed under another key is never used. Each file is renamed into place when it is complete.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from inference.errors import Refused

Maps = NDArray[np.float32]
Raw = dict[str, Any]
"""What JSON holds: figures of one method by one family of criteria."""
SECONDS = "_seconds"


class Store:
    """A folder of cached chunks and figures."""

    def __init__(self, work: Path, key: str, *, resume: bool) -> None:
        """Open the store of this key.

        Raises:
            Refused: there is unfinished work of this key, and it is not to be resumed.
        """
        self.folder = work / key[:16]
        self.resumed = self.folder.is_dir() and any(self.folder.iterdir())
        if self.resumed and not resume:
            raise Refused(
                f"{work} holds the unfinished work of an earlier run.",
                cure="Give --resume to go on with it, or name another folder with --out.",
            )
        self.folder.mkdir(parents=True, exist_ok=True)

    def has_chunk(self, name: str, chunk: int) -> bool:
        """Whether a chunk of this set of maps is there."""
        return self._chunk(name, chunk).is_file()

    def put_chunk(self, name: str, chunk: int, maps: Mapping[str, Maps], seconds: float) -> None:
        """Write the maps of one chunk of cases by every method, (cases, *spatial) each."""
        path = self._chunk(name, chunk)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path)
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(maps), **{SECONDS: np.array(seconds)})
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def maps(self, name: str, method: str) -> Maps | None:
        """Return all maps of one method in one set, (cases, *spatial); None where there are none, or not of all."""
        parts = []
        for path in self._chunks(name):
            with np.load(path, allow_pickle=False) as arrays:
                if method not in arrays.files:
                    return None
                parts.append(arrays[method])
        return np.concatenate(parts) if parts else None

    def put_refusals(self, name: str, chunk: int, reasons: Mapping[str, str]) -> None:
        """Note why methods that were tried gave no map of some case of a chunk."""
        self._replace(self._figures(f"refused.{name}.{chunk:05d}"), json.dumps(dict(reasons)))

    def refusals(self, name: str) -> dict[str, str]:
        """Return the methods that gave no map of some case of a set, with the first reason."""
        noted = [json.loads(path.read_text()) for path in sorted(self.folder.glob(f"figures/refused.{name}.*.json"))]
        return {method: reason for reasons in reversed(noted) for method, reason in reasons.items()}

    def seconds(self) -> float:
        """Time spent on all chunks, of earlier runs too."""
        total = 0.0
        for path in sorted(self.folder.glob("*/*.npz")):
            with np.load(path, allow_pickle=False) as arrays:
                total += float(arrays[SECONDS])
        return total

    def note_time(self, piece: str, seconds: float, in_network: float | None) -> None:
        """Note how long one piece of work took, and how much of that inside networks; None: not known."""
        self._replace(self.folder / "times" / f"{piece}.json", json.dumps([seconds, in_network]))

    def times(self) -> tuple[float, float]:
        """Return the seconds of all pieces of which both are known, of earlier runs too, and those inside networks."""
        paths = sorted((self.folder / "times").glob("*.json"))
        noted = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        known = [(seconds, in_network) for seconds, in_network in noted if in_network is not None]
        return sum((piece[0] for piece in known), 0.0), sum((piece[1] for piece in known), 0.0)

    def map_count(self) -> int:
        """Count the maps of all sets and methods."""
        total = 0
        for path in sorted(self.folder.glob("*/*.npz")):
            with np.load(path, allow_pickle=False) as arrays:
                names = [name for name in arrays.files if name != SECONDS]
                total += len(names) * len(arrays[names[0]]) if names else 0
        return total

    def has(self, name: str) -> bool:
        """Whether figures of this name are there."""
        return self._figures(name).is_file()

    def keep(self, name: str, compute: Callable[[], Raw]) -> Raw:
        """Return the cached figures of this name, or compute and cache them. JSON keeps every float exactly."""
        path = self._figures(name)
        if path.is_file():
            return cast("Raw", json.loads(path.read_text(encoding="utf-8")))
        text = json.dumps(compute())
        self._replace(path, text)
        return cast("Raw", json.loads(text))

    def clear(self) -> None:
        """Remove the store after commissioning has finished."""
        shutil.rmtree(self.folder)
        if not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()

    def _replace(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _part_of(path)
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def _figures(self, name: str) -> Path:
        return self.folder / "figures" / f"{name}.json"

    def _chunk(self, name: str, chunk: int) -> Path:
        return self.folder / name / f"{chunk:05d}.npz"

    def _chunks(self, name: str) -> list[Path]:
        return sorted((self.folder / name).glob("*.npz"))


def _part_of(path: Path) -> Path:
    """Return a name of its own for an unfinished file: a node whose piece was taken over may still be writing it."""
    return path.with_suffix(f".{uuid4().hex}.part")

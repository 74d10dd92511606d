"""A site's own network as a sealed bundle: a copy with a manifest, checked; the folder it came from stays as it is."""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.bundle.bundle import Bundle, load_bundle
from inference.bundle.digests import MANIFEST, SEAL, manifest_of
from inference.bundle.discovery import load_anywhere
from inference.errors import BundleRefused
from inference.porting.check import Write, check
from inference.porting.proposal import propose
from inference.porting.questions import Ask
from inference.porting.seal import seal

Tell = Callable[[str], None]
"""Is told what a person should read."""


@dataclass(frozen=True, eq=False)
class Bringing:
    """How a folder becomes a bundle."""

    answers: Mapping[str, str]
    """To the questions of ``bundle init``, by key."""
    ask: Ask
    """Asks a person what is not answered."""
    write: Write
    """Writes the synthetic stack of the check."""
    tell: Tell


def bring(given: str, home: Path, how: Bringing) -> Bundle:
    """Return a network as a sealed bundle below a folder.

    What is there from an earlier run is loaded. A sealed bundle is copied as it is; a folder of MONAI's gets the
    manifest that ``bundle init`` proposes, is checked, and sealed.

    Args:
        given: the folder of a MONAI bundle or of a sealed one, or the name of a shipped one.
        home: folder of bundles.
        how: see ``Bringing``.

    Raises:
        UnknownName: there is no such folder or bundle.
        BundleRefused: a question is open, something of it is wrong, or a sealed bundle was altered.
    """
    is_given_folder = Path(given).is_dir() and not (Path(given) / SEAL).is_file()
    source = Path(given).resolve() if is_given_folder else load_anywhere(given).folder.resolve()
    name = re.sub(r"[^a-z0-9_]+", "_", source.name.lower()).strip("_") if is_given_folder else source.name
    place = home / name
    if not place.is_dir():
        part = home / ".brought" / name  # the name of the folder is that of the bundle
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, part, ignore=shutil.ignore_patterns(".git", ".cache", "__pycache__"))
        if is_given_folder:
            _made_ready(part, how)
        part.rename(place)
        shutil.rmtree(part.parent, ignore_errors=True)
    return load_bundle(place)


def _made_ready(folder: Path, how: Bringing) -> None:
    if not manifest_of(folder):
        proposal = propose(folder, how.answers, how.ask)
        for note in proposal.notes:
            how.tell(note)
        (folder / MANIFEST).write_text(proposal.text, encoding="utf-8")
    checked = list(check(folder, how.write))
    wrong = [f"{entry.part}: {entry.sentence}" for entry in checked if entry.state == "wrong"]
    if wrong:
        raise BundleRefused(
            f"{folder.name} does not pass its check:" + "".join(f"\n  - {line}" for line in wrong) + "\n",
            cure="Write its manifest by hand (heatproof bundle init, then bundle check), and adopt it again.",
        )
    for entry in checked:
        if entry.state == "note":
            how.tell(f"{entry.part}: {entry.sentence}")
    seal(folder)

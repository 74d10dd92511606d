"""The folder of an adoption: what is where, and what of it is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.companions.files import read_json, write_json
from inference.companions.report import CompanionReport, report_of
from inference.errors import Refused


@dataclass(frozen=True)
class AdoptionSite:
    """One adoption's folder."""

    folder: Path

    @property
    def bundles(self) -> Path:
        """Of the bundle as it was given, and of the one with companions."""
        return self.folder / "bundles"

    @property
    def passports(self) -> Path:
        """Of ``NAME/passport.json``, as a node reads them."""
        return self.folder / "passports"

    @property
    def page(self) -> Path:
        """For the physicist."""
        return self.folder / "adoption.html"

    @property
    def for_machines(self) -> Path:
        """The same as JSON."""
        return self.folder / "adoption.json"

    @property
    def settings(self) -> Path:
        """Lines for the node's settings."""
        return self.folder / "settings.toml"

    @property
    def _begun(self) -> Path:
        return self.folder / "begun.json"

    @property
    def _companions(self) -> Path:
        return self.folder / "companions.json"

    def check(self, asked: Mapping[str, Any], *, resume: bool) -> None:
        """Check that the folder is free, or holds the same adoption, which is to go on.

        An adoption has begun once its bundle is there: before, questions may be answered otherwise.

        Raises:
            Refused: something is there and is not to be resumed, or was begun otherwise.
        """
        begun = read_json(self._begun)
        if begun is None:
            if not self.folder.is_dir() or {path.name for path in self.folder.iterdir()} <= {self.bundles.name}:
                return
            raise Refused(f"{self.folder} holds other files.", cure="Name a new folder with --out.")
        if not resume:
            raise Refused(
                f"{self.folder} holds an adoption that was begun.",
                cure="Give --resume to go on with it, or name another folder with --out.",
            )
        changed = sorted(key for key in {*begun, *asked} if begun.get(key) != asked.get(key))
        if changed:
            raise Refused(
                f"{self.folder} was begun with other settings ({', '.join(changed)}).",
                cure="Give --resume with the same ones, or name another folder with --out.",
            )

    def begin(self, asked: Mapping[str, Any]) -> None:
        """Note what is asked for."""
        write_json(self._begun, dict(asked))

    def companions(self) -> CompanionReport | None:
        """Return what became of the companions; None: they are not done."""
        known = read_json(self._companions)
        return None if known is None else report_of(known)

    def note_companions(self, report: CompanionReport) -> None:
        """Keep what became of the companions."""
        write_json(self._companions, report.as_dict())

    def passport(self, name: str) -> Path:
        """Return where the passport of a bundle lies."""
        return self.passports / name / "passport.json"

"""Deterministic UIDs of results: derived from what went in, so that a re-run stores nothing new."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import UID

if TYPE_CHECKING:  # it brings torch, which whoever only names things does not need
    from inference.analysis import Analysis


@dataclass(frozen=True)
class ResultUids:
    """One UID a role, all from the same three digests (PS3.5 B.2: 2.25 and a number of 128 bits)."""

    source_digest: str
    """What was read: ``Image.digest``, and of several stacks of a series which."""
    bundle_digest: str
    """Who read it: ``BundleIdentity.digest``; empty where no bundle ran."""
    settings_digest: str
    """How: ``Analysis.settings_digest``, or the digest of the reason where nothing was analysed."""

    @classmethod
    def of_analysis(cls, analysis: Analysis) -> ResultUids:
        """Return the UIDs of everything written for one analysis."""
        image = analysis.image
        source = _digest(image.digest, image.stack) if image.stack else image.digest
        return cls(source, analysis.bundle.digest, analysis.settings_digest)

    @classmethod
    def of_not_analysed(cls, sop_instance_uids: Iterable[str], reason: str) -> ResultUids:
        """Return the UIDs of the report that says why these instances were not analysed."""
        return cls(_digest(*sorted(sop_instance_uids)), "", _digest(reason))

    def series(self, role: str) -> UID:
        """Series Instance UID of all objects of one role (``roles.ROLES``)."""
        return self._uid(f"{_words(role)} series")

    def instance(self, role: str, which: int | str = "") -> UID:
        """SOP Instance UID of one object.

        Args:
            role: of ``roles.ROLES``.
            which: index of the explanation, from 0; of an object of the whole series, what the study lacks, because an
                object that says so is another than one that does not.
        """
        return self._uid(_words(role), *([str(which)] if which != "" else []))

    def dimensions(self, which: int | str) -> UID:
        """Dimension Organization UID of the parametric map of the explanation at this index, from 0, or of a role."""
        return self._uid("dimensions", str(which))

    def tracking(self, role: str) -> UID:
        """Tracking Unique Identifier of one measurement group of the report (TID 1501)."""
        return self._uid("tracking", role)

    def _uid(self, *role: str) -> UID:
        return uid_of(self.source_digest, self.bundle_digest, self.settings_digest, *role)


def uid_of(*parts: str) -> UID:
    """Return 2.25 and the first 128 bits of SHA-256 over the parts."""
    return UID(f"2.25.{int(_digest(*parts)[:32], 16)}")


def _words(role: str) -> str:
    return role.replace("_", " ")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

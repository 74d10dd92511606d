"""The UID of everything that is written: derived from what went in, so that a re-run stores nothing new."""

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
    """What was read: ``Image.digest``."""
    bundle_digest: str
    """Who read it: ``BundleIdentity.digest``; empty where no bundle ran."""
    settings_digest: str
    """How: ``Analysis.settings_digest``, or the digest of the reason where nothing was analysed."""

    @classmethod
    def of_analysis(cls, analysis: Analysis) -> ResultUids:
        """Give the UIDs of everything written for one analysis."""
        return cls(analysis.image.digest, analysis.bundle.digest, analysis.settings_digest)

    @classmethod
    def of_not_analysed(cls, sop_instance_uids: Iterable[str], reason: str) -> ResultUids:
        """Give the UIDs of the report that says why these instances were not analysed."""
        return cls(_digest(*sorted(sop_instance_uids)), "", _digest(reason))

    def capture_series(self) -> UID:
        """Series of all captures of one analysis."""
        return self._uid("capture series")

    def capture(self, index: int) -> UID:
        """Capture of the explanation at this index, from 0."""
        return self._uid("capture", str(index))

    def report_series(self) -> UID:
        """Series of the structured report."""
        return self._uid("report series")

    def report(self, missing: str = "") -> UID:
        """Structured report; one that says that something is missing is another than one that does not."""
        return self._uid("report", *([missing] if missing else []))

    def parametric_map_series(self) -> UID:
        """Series of all parametric maps of one analysis."""
        return self._uid("parametric map series")

    def parametric_map(self, index: int) -> UID:
        """Parametric map of the explanation at this index, from 0."""
        return self._uid("parametric map", str(index))

    def dimensions(self, index: int) -> UID:
        """Dimension Organization UID of the parametric map of the explanation at this index, from 0."""
        return self._uid("dimensions", str(index))

    def presentation_state_series(self) -> UID:
        """Series of all presentation states of one analysis."""
        return self._uid("presentation state series")

    def presentation_state(self, index: int) -> UID:
        """Presentation state of the explanation at this index, from 0."""
        return self._uid("presentation state", str(index))

    def key_objects_series(self) -> UID:
        """Series of the key object selection."""
        return self._uid("key objects series")

    def key_objects(self, missing: str = "") -> UID:
        """Key object selection; it names the report, and is another where that is another."""
        return self._uid("key objects", *([missing] if missing else []))

    def tracking(self, role: str) -> UID:
        """Tracking Unique Identifier of one measurement group of the report (TID 1501)."""
        return self._uid("tracking", role)

    def _uid(self, *role: str) -> UID:
        return uid_of(self.source_digest, self.bundle_digest, self.settings_digest, *role)


def uid_of(*parts: str) -> UID:
    """Give 2.25 and the first 128 bits of SHA-256 over the parts."""
    return UID(f"2.25.{int(_digest(*parts)[:32], 16)}")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

"""The result of one bundle on one series, as reports and audit take it."""

from dataclasses import dataclass

from inference.bundle.identity import BundleIdentity
from inference.findings import Classification
from inference.fingerprint import Fingerprint
from inference.reading.image import Image
from inference.saliency.engine.maps import SaliencyMap
from inference.trust.statement import Statement
from inference.trust.verdict import Trust


@dataclass(frozen=True)
class Explanation:
    """One map and how far it can be trusted."""

    map: SaliencyMap
    trust: Trust


@dataclass(frozen=True)
class Analysis:
    """Image, findings, and the explanation of each with its assessment."""

    image: Image
    bundle: BundleIdentity
    classification: Classification
    explanations: tuple[Explanation, ...]
    statement: Statement
    """What is said of the stack as a whole."""
    fingerprint: Fingerprint
    settings_digest: str
    """SHA-256 of the settings that shape a result (method, parameters, number of planes explained)."""
    remarks: tuple[str, ...] = ()
    """Sentences on how the image was read that a reader of the result must know; empty: nothing."""

    @property
    def partly_read(self) -> str:
        """What is missing from the stack, in a sentence to stand beside every statement; empty: it is whole."""
        return f"The stack was partly read: {' '.join(self.image.missing)}" if self.image.missing else ""
